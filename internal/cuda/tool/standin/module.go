package cu

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

typedef int (*kernel)(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void**);

static int launch(void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                  unsigned shared, uint64_t* words, int count) {
	void** params = malloc(sizeof(void*) * (count + 1));
	for (int i = 0; i < count; i++) params[i] = &words[i];
	int result = ((kernel)f)(gx, gy, gz, bx, by, bz, shared, params);
	free(params);
	return result;
}
*/
import "C"

import (
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// librariesVariable names the environment variable that lists the libraries of
// emulated kernels, as PATH lists folders.
const librariesVariable = "CUDA_STANDIN_KERNELS"

// orderVariable names the environment variable by which the libraries choose the order
// of blocks and threads.
const orderVariable = "CUDA_EMULATOR_ORDER"

// Stream is a CUDA stream. There is only the default one.
type Stream struct{}

// NoStream is the default stream.
var NoStream = Stream{}

// Module is a CUDA module.
type Module struct{ mod uintptr }

// image is a loaded module.
type image struct {
	context uintptr
	entries map[string]entry
}

// entry is an entry point: the number of its parameters, the most threads of a block,
// and the bytes of its static shared memory.
type entry struct{ params, maxThreads, shared int }

// Function is a kernel.
type Function struct{ fn *function }

type function struct {
	entry
	name   string
	launch unsafe.Pointer
}

var (
	entryPattern = regexp.MustCompile(`(?s)\.entry\s+(\w+)\s*\(([^)]*)\)([^{]*)\{`)
	boundPattern = regexp.MustCompile(`\.maxntid\s+(\d+)`)

	sharedPattern = regexp.MustCompile(`\.shared\s+\.align\s+\d+\s+\.b8\s+(\w+)\[(\d+)\]`)
)

var libraries = sync.OnceValue(func() (handles []unsafe.Pointer) {
	os.Getenv(orderVariable) // go test caches by the variables that Go has read
	for _, path := range filepath.SplitList(os.Getenv(librariesVariable)) {
		name := C.CString(path)
		handle := C.dlopen(name, C.RTLD_NOW|C.RTLD_LOCAL)
		C.free(unsafe.Pointer(name))
		if handle == nil {
			log.Printf("cu stand-in: %v", C.GoString(C.dlerror()))
			continue
		}
		handles = append(handles, handle)
	}
	return handles
})

func symbol(kernel string) unsafe.Pointer {
	name := C.CString("cuda_emulator_launch_" + kernel)
	defer C.free(unsafe.Pointer(name))
	for _, library := range libraries() {
		if s := C.dlsym(library, name); s != nil {
			return s
		}
	}
	return nil
}

// LoadData loads a module from its PTX.
func LoadData(image string) (Module, error) {
	var m Module
	err := call(func(context uintptr) (err cuResult) {
		m, err = load(context, image)
		return err
	})
	return m, result(err)
}

func load(context uintptr, ptx string) (Module, cuResult) {
	found := entryPattern.FindAllStringSubmatchIndex(ptx, -1)
	if !strings.Contains(ptx, ".version") || !strings.Contains(ptx, ".target") {
		return Module{}, InvalidPtx
	}
	m := &image{context, make(map[string]entry, len(found))}
	arrays := sharedPattern.FindAllStringSubmatch(ptx, -1)
	for i, at := range found {
		threads := attributes[MaxThreadsPerBlock]
		if bound := boundPattern.FindStringSubmatch(ptx[at[6]:at[7]]); bound != nil {
			threads, _ = strconv.Atoi(bound[1])
		}
		end := len(ptx)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		shared := 0
		for _, array := range arrays {
			if strings.Contains(ptx[at[1]:end], array[1]) {
				size, _ := strconv.Atoi(array[2])
				shared += size
			}
		}
		m.entries[ptx[at[2]:at[3]]] = entry{strings.Count(ptx[at[4]:at[5]], ".param"), threads, shared}
	}
	driver.last++
	driver.modules[driver.last] = m
	return Module{driver.last}, Success
}

// Unload unloads the module.
func (hmod Module) Unload() (err error) {
	return result(call(func(uintptr) cuResult {
		if driver.modules[hmod.mod] == nil {
			return InvalidHandle
		}
		delete(driver.modules, hmod.mod)
		return Success
	}))
}

// Function returns a kernel of the module, or the error NotFound.
func (m Module) Function(name string) (Function, error) {
	var f Function
	err := call(func(uintptr) cuResult {
		module := driver.modules[m.mod]
		if module == nil {
			return InvalidHandle
		}
		entry, ok := module.entries[name]
		if !ok {
			return NotFound
		}
		launch := symbol(name)
		if launch == nil {
			log.Printf("cu stand-in: no library in %s has the kernel %s: run go generate if the PTX is older than its source", librariesVariable, name)
			return NotFound
		}
		f.fn = &function{entry, name, launch}
		return Success
	})
	return f, result(err)
}

// words reads the parameters of a launch, eight bytes each, as the real package does.
func words(kernelParams []unsafe.Pointer) []uint64 {
	w := make([]uint64, len(kernelParams))
	for i, p := range kernelParams {
		w[i] = *(*uint64)(p)
	}
	return w
}

type dimensions struct{ x, y, z int }

// maxShared is the shared memory of a block, in bytes, static and dynamic.
const maxShared = 48 << 10

// run launches a kernel. As on a device, it returns only errors of the launch. The next
// call returns a fault in the kernel.
func (fn Function) run(grid, block dimensions, shared int, params []uint64) cuResult {
	var context uintptr
	err := call(func(c uintptr) cuResult {
		context = c
		return Success
	})
	switch {
	case err != Success:
		return err
	case fn.fn == nil:
		return InvalidHandle
	case grid.x < 1 || grid.y < 1 || grid.z < 1 || block.x < 1 || block.y < 1 || block.z < 1 || shared < 0:
		return InvalidValue
	case block.x*block.y*block.z > fn.fn.maxThreads:
		return InvalidValue
	case fn.fn.shared+shared > maxShared:
		return InvalidValue
	case len(params) != fn.fn.params:
		return InvalidValue // a device would read beyond them
	}
	params = append(params, 0) // so that params[0] exists
	err = cuResult(C.launch(fn.fn.launch, C.uint(grid.x), C.uint(grid.y), C.uint(grid.z),
		C.uint(block.x), C.uint(block.y), C.uint(block.z), C.uint(shared),
		(*C.uint64_t)(unsafe.Pointer(&params[0])), C.int(len(params)-1)))
	if err == Success || err == InvalidValue {
		return err
	}
	driver.Lock()
	driver.contexts[context] = err
	driver.Unlock()
	return Success
}

// Launch launches the kernel.
func (fn Function) Launch(gridDimX, gridDimY, gridDimZ int, blockDimX, blockDimY, blockDimZ int, sharedMemBytes int, stream Stream, kernelParams []unsafe.Pointer) error {
	return result(fn.run(dimensions{gridDimX, gridDimY, gridDimZ}, dimensions{blockDimX, blockDimY, blockDimZ}, sharedMemBytes, words(kernelParams)))
}

// LaunchAndSync launches the kernel and waits for it.
func (fn Function) LaunchAndSync(gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes int, stream Stream, kernelParams []unsafe.Pointer) error {
	if err := fn.Launch(gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, stream, kernelParams); err != nil {
		return err
	}
	return Synchronize()
}
