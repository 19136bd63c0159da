//go:build cuda

package vm

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"time"

	"gorgonia.org/cu"
	cublas "gorgonia.org/cu/blas"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/gorgonia/cuda"

	kernels "github.com/gumbel-go/gumbel/internal/cuda" // also registers the kernels of Gorgonia's nodes
	"github.com/gumbel-go/gumbel/internal/layout"
)

// Gorgonia's engine waits forever if one of its goroutines has ended or never
// started. Opening takes seconds in a process's first machine, while the driver
// compiles the kernels.
var (
	openLimit  = 2 * time.Minute
	closeLimit = 10 * time.Second
)

// device is a GPU, if the graph has a node that runs there.
type device struct {
	vm       G.VM // nil once closed
	engines  []cuda.Engine
	inputs   G.Nodes // those that are copied to the device
	blocks   int     // of the arena, to reserve before a run: see prepare
	reserved bool
}

func open(g *G.ExprGraph, opts []G.VMOpt) (*Machine, error) {
	m := &Machine{}
	if onDevice(g) {
		if err := checkOptions(opts); err != nil {
			return nil, err
		}
		if err := checkGraph(g); err != nil {
			return nil, err
		}
		m.inputs, m.blocks = deviceInputs(g), 2*len(g.AllNodes())
	} else if reads(g) {
		return nil, errors.New("the graph has a Read but no node on the device, and Gorgonia's machine panics on such a Read: use the node's Value, or build without -tags cuda")
	}
	err := within(openLimit, func() error { return m.compile(g, opts) })
	switch {
	case errors.Is(err, errTimeout):
		return nil, &DeviceError{"the CUDA device did not start; Gorgonia hangs if the device has too little free memory, of which it takes 2.5 times the size of the graph's values", err}
	case driverError(err) != nil:
		return nil, &DeviceError{"the CUDA device cannot be used: check that nvidia-smi lists it with free memory and a driver for CUDA 11.8 or newer, or build without -tags cuda", err}
	case err != nil:
		return nil, err
	}
	m.engines = m.vm.(G.CUDAMachine).Engines()
	if err := m.awaitEngines(); err != nil {
		return nil, err
	}
	if err := m.createBLAS(); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

func (d *device) compile(g *G.ExprGraph, opts []G.VMOpt) (err error) {
	defer recoverError(&err)
	program, registers, err := G.Compile(g)
	if err != nil {
		return err
	}
	if d.blocks > 0 {
		enlarge(program, arenaExtra+arenaExtraPerNode*int64(len(g.AllNodes())))
	}
	d.vm = G.NewTapeMachine(g, append([]G.VMOpt{G.WithPrecompiled(program, registers)}, opts...)...)
	return nil
}

// Gorgonia's arena on the device is 2.5 times the size of the values. That is
// too little if they are small, because each takes at least 32 bytes. The arena
// must also be large enough without the memory that a run frees: see prepare.
const (
	arenaExtra        = 64 << 10 // bytes
	arenaExtraPerNode = 4 << 10
)

// enlarge adds to the size of a program's values. Only Gorgonia can set that
// field; a test checks that it still exists.
func enlarge(program any, bytes int64) {
	sizes := reflect.ValueOf(program).Elem().FieldByName("gpumem")
	if sizes.Kind() == reflect.Slice && sizes.Len() > 0 && sizes.Type().Elem().Kind() == reflect.Int64 {
		*(*int64)(sizes.UnsafePointer()) += bytes
	}
}

// prepare checks the inputs of a run and protects the arena.
//
// The arena joins neighbouring free blocks once three quarters of all blocks
// taken have been freed, and then corrupts its list: it may crash or hand the
// same memory out twice. prepare therefore reserves blocks until the end of the
// run. They outnumber the blocks that nodes free, of which there are at most two
// per node: its value, and a copy of an input.
func (d *device) prepare() error {
	if err := d.checkInputs(); err != nil || d.reserved {
		return err
	}
	for range d.blocks {
		if _, err := d.vm.(G.CUDAMachine).Get(0, kernels.LeastBlock); err != nil {
			return &DeviceError{"the device's memory for this graph is used up", err}
		}
	}
	d.reserved = true
	return nil
}

func (d *device) reset() {
	d.vm.Reset()
	d.reserved = false
}

var errTimeout = errors.New("no answer")

// within calls f on its own OS thread, because Gorgonia's contexts belong
// to threads, and waits for it at most limit.
func within(limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fmt.Errorf("%w within %v", errTimeout, limit)
	}
}

// checkInputs finds inputs that the device would misread, because Gorgonia
// copies their memory as it is.
func (d *device) checkInputs() error {
	for _, n := range d.inputs {
		if err := layout.CheckRaw(n); err != nil {
			return fmt.Errorf("the input %w", err)
		}
	}
	return nil
}

// failure returns why the device cannot be used after a run that ended in err,
// or nil if it can.
func (d *device) failure(err error) error {
	if cause := driverError(err); cause != nil {
		return cause
	}
	for i := range d.engines {
		e := &d.engines[i]
		e.Context().Synchronize()
		if err := e.DoWork(); err != nil {
			return err
		}
	}
	return d.awaitEngines()
}

// driverError returns what the driver reported in an error of Gorgonia's, or
// nil.
func driverError(err error) error {
	if code := cu.Success; errors.As(err, &code) {
		return code
	}
	if codes := interface{ ListErrors() []error }(nil); errors.As(err, &codes) {
		return errors.Join(codes.ListErrors()...)
	}
	return nil
}

// awaitEngines waits until each engine's goroutine takes work. Before that,
// closing an engine hangs, and Gorgonia copies what the goroutine still writes.
func (d *device) awaitEngines() error {
	for i := range d.engines {
		ctx := d.engines[i].Context()
		err := within(closeLimit, func() error { return ctx.Do(func() error { return nil }) })
		if err != nil {
			return &DeviceError{"the CUDA engine does not respond", err}
		}
	}
	return nil
}

// createBLAS creates the cuBLAS handle of each engine again, in the engine's context.
// Gorgonia creates it on a thread without that context and drops the error. The handle
// then belongs to the device's primary context, whose products may be read before they
// are complete.
func (d *device) createBLAS() error {
	for i := range d.engines {
		ctx, blas := d.engines[i].Context(), d.engines[i].BLASContext()
		err := within(openLimit, func() error {
			var created error
			err := ctx.Do(func() error {
				created = errors.Join(
					blas.Close(), // while the context in which it was created is still current
					cu.SetCurrentContext(ctx.CUDAContext()),
					blas.Init(cublas.WithContext(ctx)),
				)
				return nil // an error would end the engine's goroutine
			})
			return errors.Join(err, created)
		})
		if err != nil {
			return fmt.Errorf("the handle of cuBLAS: %w", err)
		}
	}
	return nil
}

// close closes the engines themselves, where the tape machine's own Close would
// close copies of them, locks and all, and drop the errors.
func (d *device) close() error {
	if len(d.engines) == 0 {
		return d.vm.Close()
	}
	d.reset()
	runtime.SetFinalizer(d.vm, nil) // it would close the engines again
	if err := d.awaitEngines(); err != nil {
		return err
	}
	err := within(closeLimit, func() error {
		var all []error
		for i := range d.engines {
			all = append(all, d.engines[i].Close())
		}
		return errors.Join(all...)
	})
	if err != nil {
		return &DeviceError{"the CUDA engine did not close, so its memory stays taken until the program ends", err}
	}
	return nil
}
