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

	kernels "github.com/gumbel-go/gumbel/internal/cuda" // registers those of Gorgonia's own nodes too
	"github.com/gumbel-go/gumbel/internal/layout"
)

// Gorgonia's engine waits for ever where one of its goroutines has ended, or
// was never started. The first machine of a process waits for the driver to
// compile all kernels, which takes seconds.
var (
	openLimit  = 2 * time.Minute
	closeLimit = 10 * time.Second
)

// device is a GPU, if the graph has anything to do there.
type device struct {
	vm      G.VM // nil once closed
	engines []cuda.Engine
	inputs  G.Nodes // what is copied to the device
	blocks  int     // of the arena to take before a run: see prepare
	taken   bool
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
		return nil, errors.New("a Read of a graph that has nothing to do on the device makes Gorgonia's machine panic: take the node's Value, or build without -tags cuda")
	}
	err := within(openLimit, func() error { return m.compile(g, opts) })
	switch {
	case errors.Is(err, errLate):
		return nil, fmt.Errorf("the CUDA device did not come up: %w; Gorgonia hangs so where the device has too little free memory, of which it takes 2.5 times what the graph's values need", err)
	case driverError(err) != nil:
		return nil, fmt.Errorf("the CUDA device cannot be used; see whether nvidia-smi lists one, with free memory and a driver of CUDA 11.8 or newer, or build without -tags cuda: %w", err)
	case err != nil:
		return nil, err
	}
	m.engines = m.vm.(G.CUDAMachine).Engines()
	if err := m.settle(); err != nil {
		return nil, err
	}
	if err := m.createBLAS(); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

func (d *device) compile(g *G.ExprGraph, opts []G.VMOpt) (err error) {
	defer panicked(&err)
	program, registers, err := G.Compile(g)
	if err != nil {
		return err
	}
	if d.blocks > 0 {
		enlarge(program, arenaRoom+arenaRoomNode*int64(len(g.AllNodes())))
	}
	d.vm = G.NewTapeMachine(g, append([]G.VMOpt{G.WithPrecompiled(program, registers)}, opts...)...)
	return nil
}

// Gorgonia's arena on the device has 2.5 times the size of the values, which is
// too little where these are small: each takes 32 bytes at least. What was given
// back must not be needed again in a run: see prepare.
const (
	arenaRoom     = 64 << 10
	arenaRoomNode = 4 << 10
)

// enlarge adds to the size of the values of a program, which is a field that
// only Gorgonia can set. A test sees to it that it is there.
func enlarge(program any, bytes int64) {
	sizes := reflect.ValueOf(program).Elem().FieldByName("gpumem")
	if sizes.Kind() == reflect.Slice && sizes.Len() > 0 && sizes.Type().Elem().Kind() == reflect.Int64 {
		*(*int64)(sizes.UnsafePointer()) += bytes
	}
}

// prepare is for each run.
//
// The arena joins neighbouring free blocks once three quarters of those taken
// have been given back, and mixes up its list then: it may crash, or give the
// same memory out twice. So a number of blocks is taken that are not given back
// before the run ends, more than nodes give back: they do so with their value, and
// at most with the copy of an input.
func (d *device) prepare() error {
	if err := d.checkInputs(); err != nil || d.taken {
		return err
	}
	for range d.blocks {
		if _, err := d.vm.(G.CUDAMachine).Get(0, kernels.LeastBlock); err != nil {
			return fmt.Errorf("memory on the device: %w", err)
		}
	}
	d.taken = true
	return nil
}

func (d *device) reset() {
	d.vm.Reset()
	d.taken = false
}

var errLate = errors.New("no answer")

// within calls f on an OS thread of its own, for Gorgonia's contexts belong to
// threads, and waits no longer than it may take.
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
		return fmt.Errorf("%w in %v", errLate, limit)
	}
}

// checkInputs finds inputs that would be misread: Gorgonia copies their memory
// as it lies.
func (d *device) checkInputs() error {
	for _, n := range d.inputs {
		if err := layout.CheckRaw(n); err != nil {
			return fmt.Errorf("the input %w", err)
		}
	}
	return nil
}

// failure tells why the device can no longer be used after a run that ended in
// err, or nil if it can.
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
	return d.settle()
}

// driverError finds what the driver has said in an error of Gorgonia's.
func driverError(err error) error {
	// An error of a tape machine does not unwrap by itself.
	if e, ok := err.(interface{ Err() error }); ok {
		err = e.Err()
	}
	if code := cu.Success; errors.As(err, &code) {
		return code
	}
	if codes := interface{ ListErrors() []error }(nil); errors.As(err, &codes) {
		return errors.Join(codes.ListErrors()...)
	}
	return nil
}

// settle waits until the goroutine of each engine is at its work. Before that,
// closing an engine hangs, and Gorgonia copies what the goroutine still writes.
func (d *device) settle() error {
	for i := range d.engines {
		ctx := d.engines[i].Context()
		err := within(closeLimit, func() error { return ctx.Do(func() error { return nil }) })
		if err != nil {
			return fmt.Errorf("the CUDA engine: %w", err)
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
	if err := d.settle(); err != nil {
		return err
	}
	return within(closeLimit, func() error {
		var all []error
		for i := range d.engines {
			all = append(all, d.engines[i].Close())
		}
		return errors.Join(all...)
	})
}
