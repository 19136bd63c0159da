//go:build cuda

package cuda

import (
	"fmt"
	"sync"
	"testing"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gumbel-go/gumbel/internal/plan"
)

// The tests of kernels run launches by the bindings alone, without Gorgonia:
//
//	d := open(t)
//	out := alloc[float32](d, n)
//	d.run(BCE(Float32, out, upload(d, logits), …))
//	got := download[float32](d, out, n)
//
// A call of cu's own goes through d.Do, which makes it on the OS thread that has
// the context. Arrays live to the end of the test, which fails if a kernel has
// written beyond one (on the CPU stand-in, which can tell).

// A driver is the device's context, on an OS thread of its own, with the
// kernels of all modules by module.function.
type driver struct {
	context   *cu.Ctx
	one       *sync.Mutex // the context mixes up the errors of calls at once
	functions map[string]cu.Function
}

// Do calls f on the context's OS thread.
func (d driver) Do(f func() error) error {
	d.one.Lock()
	defer d.one.Unlock()
	return d.context.Do(f)
}

var drive = sync.OnceValues(func() (driver, error) {
	dev, err := cu.GetDevice(0)
	if err != nil {
		return driver{}, err
	}
	d := driver{cu.NewContext(dev, cu.SchedAuto), new(sync.Mutex), map[string]cu.Function{}}
	return d, d.Do(d.load)
})

func (d driver) load() error {
	for _, m := range Modules() {
		module, err := cu.LoadData(m.PTX)
		if err != nil {
			return fmt.Errorf("module %s: %w", m.Name, err)
		}
		for _, name := range m.Entries {
			if d.functions[m.Name+"."+name], err = module.Function(name); err != nil {
				return fmt.Errorf("kernel %s.%s: %w", m.Name, name, err)
			}
		}
	}
	return nil
}

// A device runs the launches of one test.
type device struct {
	testing.TB
	driver
}

func open(t testing.TB) device {
	t.Helper()
	d, err := drive()
	if err != nil {
		t.Fatalf("no device: %v", err)
	}
	return device{t, d}
}

// run launches in order and waits. A launch that fails ends the test.
func (d device) run(launches ...plan.Launch) {
	d.Helper()
	for _, l := range launches {
		if err := d.try(l); err != nil {
			d.Fatalf("%s: %v", l.Kernel, err)
		}
	}
}

// try launches and waits.
func (d device) try(l plan.Launch) error {
	return d.Do(func() error {
		if err := start(l, d.functions); err != nil {
			return err
		}
		return cu.Synchronize()
	})
}

// element is what arrays on the device are of.
type element interface {
	float32 | float64 | int32 | int64 | uint32 | uint64 | byte
}

// alloc makes an array on the device, filled with rubbish.
func alloc[T element](d device, n int) plan.Pointer {
	d.Helper()
	var p cu.DevicePtr
	err := d.Do(func() (err error) {
		p, err = cu.MemAlloc(max(1, sizeOf[T](n)))
		return err
	})
	if err != nil {
		d.Fatalf("%d elements: %v", n, err)
	}
	d.Cleanup(func() {
		if err := d.Do(func() error { return cu.MemFree(p) }); err != nil {
			d.Errorf("freeing %d elements: %v", n, err)
		}
	})
	return plan.Pointer(p)
}

func sizeOf[T element](n int) int64 {
	var zero T
	return int64(n) * int64(unsafe.Sizeof(zero))
}

// upload makes an array on the device with the elements of x.
func upload[T element](d device, x []T) plan.Pointer {
	d.Helper()
	p := alloc[T](d, len(x))
	if len(x) == 0 {
		return p
	}
	err := d.Do(func() error { return cu.MemcpyHtoD(cu.DevicePtr(p), unsafe.Pointer(&x[0]), sizeOf[T](len(x))) })
	if err != nil {
		d.Fatalf("uploading %d elements: %v", len(x), err)
	}
	return p
}

// download returns n elements of an array on the device.
func download[T element](d device, p plan.Pointer, n int) []T {
	d.Helper()
	x := make([]T, n)
	if n == 0 {
		return x
	}
	err := d.Do(func() error { return cu.MemcpyDtoH(unsafe.Pointer(&x[0]), cu.DevicePtr(p), sizeOf[T](n)) })
	if err != nil {
		d.Fatalf("downloading %d elements: %v", n, err)
	}
	return x
}
