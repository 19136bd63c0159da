package cu

/*
#include <stdint.h>
#include <stdlib.h>

// An OS thread has a stack of contexts, as in the driver.
enum { depth = 256 };
static __thread uintptr_t contexts[depth];
static __thread int top;

static uintptr_t current(void) { return contexts[top]; }
static void set_current(uintptr_t c) { contexts[top] = c; }
static void push(uintptr_t c) { if (top < depth - 1) top++; contexts[top] = c; }
static void pop(uintptr_t c) {
	if (contexts[top] != c) return;
	contexts[top] = 0;
	if (top > 0) top--;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// ContextFlags are flags that are used to create a context.
type ContextFlags byte

// SchedAuto lets the driver choose how to wait.
const SchedAuto ContextFlags = 0

// CUContext is a CUDA context.
type CUContext struct{ ctx uintptr }

// driver holds what the contexts of the process own. A fault in a kernel stays with
// its context: every later call there returns it again.
var driver = struct {
	sync.Mutex
	last     uintptr
	primary  uintptr // 0 until it is retained
	contexts map[uintptr]cuResult
	memory   map[DevicePtr]allocation
	used     int64
	modules  map[uintptr]*image
}{
	contexts: map[uintptr]cuResult{},
	memory:   map[DevicePtr]allocation{},
	modules:  map[uintptr]*image{},
}

func (ctx CUContext) String() string { return fmt.Sprintf("0x%x", ctx.ctx) }

// call runs f with the driver locked and the current context of this OS thread, unless
// there is none or it has failed.
func call(f func(context uintptr) cuResult) cuResult {
	driver.Lock()
	defer driver.Unlock()
	context := uintptr(C.current())
	if context == 0 {
		return InvalidContext
	}
	fault, ok := driver.contexts[context]
	switch {
	case !ok:
		return ContextIsDestroyed
	case fault != Success:
		return fault
	}
	return f(context)
}

// MakeContext creates a context, which becomes current.
func (d Device) MakeContext(flags ContextFlags) (CUContext, error) {
	if d != 0 {
		return CUContext{}, InvalidDevice
	}
	driver.Lock()
	defer driver.Unlock()
	c := open()
	C.push(C.uintptr_t(c))
	return CUContext{c}, nil
}

// RetainPrimaryCtx returns the context that the device's libraries use if none is
// current.
func (d Device) RetainPrimaryCtx() (primaryContext CUContext, err error) {
	if d != 0 {
		return CUContext{}, InvalidDevice
	}
	driver.Lock()
	defer driver.Unlock()
	if driver.primary == 0 {
		driver.primary = open()
	}
	return CUContext{driver.primary}, nil
}

// folder is where each program counts the contexts that it opens, if the environment
// names one. C reads the variable, because go test does not reuse a result if a
// variable that Go has read differs.
var folder = C.GoString(C.getenv(C.CString("CUDA_STANDIN_CONTEXTS")))

// count adds a byte to the program's file.
func count() error {
	file, err := os.OpenFile(filepath.Join(folder, filepath.Base(os.Args[0])), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString("c")
	return errors.Join(err, file.Close())
}

// open returns a new context. The driver must be locked.
func open() uintptr {
	if folder != "" {
		if err := count(); err != nil {
			log.Printf("cu stand-in: %v", err)
		}
	}
	driver.last++
	driver.contexts[driver.last] = Success
	return driver.last
}

// SetCurrentContext makes a context the current one of this OS thread.
func SetCurrentContext(ctx CUContext) (err error) { return result(setCurrent(ctx)) }

func setCurrent(ctx CUContext) cuResult {
	driver.Lock()
	defer driver.Unlock()
	if _, ok := driver.contexts[ctx.ctx]; !ok && ctx.ctx != 0 {
		return InvalidContext
	}
	C.set_current(C.uintptr_t(ctx.ctx))
	return Success
}

// CurrentContext returns the current context of this OS thread.
func CurrentContext() (pctx CUContext, err error) { return CUContext{uintptr(C.current())}, nil }

// CurrentDevice returns the device of the current context.
func CurrentDevice() (device Device, err error) {
	return 0, result(call(func(uintptr) cuResult { return Success }))
}

// Synchronize waits for all work of the current context. Here a launch returns when its
// work is done.
func Synchronize() (err error) { return result(synchronize()) }

func synchronize() cuResult { return call(func(uintptr) cuResult { return Success }) }

// Lock locks the goroutine to its OS thread and makes the context current there.
func (ctx CUContext) Lock() error {
	runtime.LockOSThread()
	return SetCurrentContext(ctx)
}

// Unlock undoes Lock.
func (ctx CUContext) Unlock() error {
	if err := Synchronize(); err != nil {
		return err
	}
	runtime.UnlockOSThread()
	return nil
}

// Destroy destroys the context with its memory and its modules.
func (ctx *CUContext) Destroy() error {
	c := ctx.ctx
	*ctx = CUContext{}
	driver.Lock()
	defer driver.Unlock()
	if _, ok := driver.contexts[c]; !ok {
		return InvalidContext
	}
	var left, bytes int64
	for p, a := range driver.memory {
		if a.context == c {
			left, bytes = left+1, bytes+a.size
			release(p, a)
		}
	}
	if left > 0 {
		log.Printf("cu stand-in: context %d was destroyed before %d allocations (%d bytes) were freed", c, left, bytes)
	}
	for m, image := range driver.modules {
		if image.context == c {
			delete(driver.modules, m)
		}
	}
	delete(driver.contexts, c)
	C.pop(C.uintptr_t(c))
	return nil
}
