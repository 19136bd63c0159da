//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/gorgonia/cuda"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/cuda/module"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// A Call is the work of one op in a run of Gorgonia's tape machine. It waits for the
// engine's queue, calls the driver itself and waits for the result. It does not use
// the queue, because the bindings leak the parameters of queued launches, and run
// more than 64 queued calls on two goroutines at once.
//
// A call keeps the engine's memory that it takes until the machine is reset.
// Gorgonia's allocator may return the same memory twice after three quarters of its
// blocks have been freed in the middle of a run: its coalesce then leaves pointers to
// blocks that no longer exist.
type Call struct {
	extern G.External
	device G.Device
	engine *cuda.Engine
	header plan.Pointer // of the output
}

// headerSize returns the size of the header in front of an output of size bytes. The
// first word of the header is the status of the call. The rest aligns a large output;
// a small one should fit into the smallest block, which has 32 bytes. The header also
// keeps the output from being freed with its register: Gorgonia frees by address, and
// ignores an address at which no block begins.
func headerSize(size int64) int64 {
	if size < 1<<10 {
		return 8
	}
	return 32
}

// Begin starts the work of an op. Call it in CUDADo.
func Begin(extern G.External, device G.Device) (*Call, error) {
	machine, ok := extern.(G.CUDAMachine)
	if !ok {
		return nil, fmt.Errorf("a %T has no CUDA device", extern)
	}
	if _, ok := extern.(interface{ Let(*G.Node, any) error }); !ok {
		return nil, errors.New("a LispMachine does not run on CUDA: use a tape machine, or build without the tag cuda")
	}
	if int(device) < 0 || int(device) >= len(machine.Engines()) {
		return nil, errors.New("the machine has no memory on the device: create it from a graph, not from a program of CompileFunction")
	}
	// Contexts would return the context of a copy of the engine.
	return &Call{extern: extern, device: device, engine: &machine.Engines()[int(device)]}, nil
}

// Output allocates the value for the op's result.
func (c *Call) Output(dt tensor.Dtype, shape tensor.Shape) (G.Value, error) {
	size := int64(dt.Size()) * int64(max(1, shape.TotalSize()))
	header := headerSize(size)
	memory, err := c.extern.Get(c.device, header+size)
	if err != nil {
		return nil, fmt.Errorf("%d bytes for the output: %w", size, err)
	}
	c.reserve(int(min(size/LeastBlock, maxReserved)))
	c.header = plan.Pointer(memory.Uintptr())
	address := memory.Uintptr() + uintptr(header)
	switch {
	case len(shape) == 0 && dt == tensor.Float32:
		return *(**G.F32)(unsafe.Pointer(&address)), nil
	case len(shape) == 0 && dt == tensor.Float64:
		return *(**G.F64)(unsafe.Pointer(&address)), nil
	}
	return tensor.New(tensor.Of(dt), tensor.WithShape(shape.Clone()...), tensor.FromMemory(address, uintptr(size))), nil
}

// Gorgonia sets aside 2.5 times the size of an output. A call reserves some of the
// surplus as blocks that nobody uses, so that the blocks which are freed in this run
// are a smaller part of all: see Call.
const (
	LeastBlock  = 32 // bytes of the smallest block
	maxReserved = 8
)

func (c *Call) reserve(blocks int) {
	for range blocks {
		if _, err := c.extern.Get(c.device, LeastBlock); err != nil {
			return // the run returns an error if it lacks memory
		}
	}
}

// Address returns the address of a value on the device.
func Address(v G.Value) plan.Pointer { return plan.Pointer(v.Uintptr()) }

// Run plans launches, with the output's header as the status word, and runs them in
// order. refused reports whether a kernel rejected an input. Call Output first.
func (c *Call) Run(launches func(p *plan.Plan) []plan.Launch) (refused bool, err error) {
	var failed error
	p := plan.New(c.header, func(bytes int) plan.Pointer {
		memory, err := c.extern.Get(c.device, int64(bytes))
		if err != nil {
			failed = fmt.Errorf("%d bytes of scratch memory: %w", bytes, err)
			return 0
		}
		return plan.Pointer(memory.Uintptr())
	})
	all := launches(p)
	if failed != nil {
		return false, failed
	}
	var status int64
	err = c.do(func() error {
		if p.Checks() {
			if err := cu.MemcpyHtoD(cu.DevicePtr(c.header), unsafe.Pointer(&status), int64(unsafe.Sizeof(status))); err != nil {
				return err
			}
		}
		for _, l := range all {
			if err := module.Start(l, c.engine.Functions()); err != nil {
				return err
			}
		}
		if !p.Checks() {
			return cu.Synchronize()
		}
		// The copy waits for the kernels.
		return cu.MemcpyDtoH(unsafe.Pointer(&status), cu.DevicePtr(c.header), int64(unsafe.Sizeof(status)))
	})
	return status != 0, err
}

// do calls the driver with the engine's context as the thread's current one.
func (c *Call) do(f func() error) error {
	if err := c.engine.DoWork(); err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(c.engine.Context().CUDAContext()); err != nil {
		return err
	}
	return f()
}

// Upload copies a value of floats to a value of its size on the device.
func (c *Call) Upload(dst, src G.Value) error {
	var data unsafe.Pointer
	switch d := src.Data().(type) {
	case float32:
		data = unsafe.Pointer(&d)
	case float64:
		data = unsafe.Pointer(&d)
	case []float32:
		data = unsafe.Pointer(&d[0])
	case []float64:
		data = unsafe.Pointer(&d[0])
	default:
		return fmt.Errorf("a value of %T cannot be copied to the device", d)
	}
	return c.do(func() error {
		return cu.MemcpyHtoD(cu.DevicePtr(dst.Uintptr()), data, int64(src.MemSize()))
	})
}

// Store writes numbers to a value on the device.
func (c *Call) Store(v G.Value, numbers ...int64) error {
	return c.do(func() error {
		return cu.MemcpyHtoD(cu.DevicePtr(v.Uintptr()), unsafe.Pointer(&numbers[0]), int64(len(numbers))*8)
	})
}
