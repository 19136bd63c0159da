//go:build cuda

package device

import (
	"fmt"
	"sync"
	"testing"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gumbel-go/gumbel/internal/cuda/module"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// A driver is a context on its own OS thread, with the kernels of all modules
// indexed by module.function.
type driver struct {
	context   *cu.Ctx
	mutex     *sync.Mutex // the context mixes up the errors of concurrent calls
	functions map[string]cu.Function
}

// Do calls f on the context's OS thread.
func (d driver) Do(f func() error) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
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
	for _, m := range module.Registered() {
		loaded, err := cu.LoadData(m.PTX)
		if err != nil {
			return fmt.Errorf("module %s: %w", m.Name, err)
		}
		for _, name := range m.Entries {
			if d.functions[m.Name+"."+name], err = loaded.Function(name); err != nil {
				return fmt.Errorf("kernel %s.%s: %w", m.Name, name, err)
			}
		}
	}
	return nil
}

// A Device runs the launches of one test.
type Device struct {
	testing.TB
	driver
}

// Open returns the device, with one context for all tests of the process.
func Open(t testing.TB) Device {
	t.Helper()
	d, err := drive()
	if err != nil {
		t.Fatalf("no device: %v", err)
	}
	return Device{t, d}
}

// Run launches in order and waits. A launch that fails ends the test.
func (d Device) Run(launches ...plan.Launch) {
	d.Helper()
	for _, l := range launches {
		if err := d.Try(l); err != nil {
			d.Fatal(err)
		}
	}
}

// Try launches and waits.
func (d Device) Try(l plan.Launch) error {
	return d.Do(func() error {
		if err := d.Start(l); err != nil {
			return err
		}
		return cu.Synchronize()
	})
}

// Start launches in order and does not wait. Call it in Do.
func (d Device) Start(launches ...plan.Launch) error {
	for _, l := range launches {
		if err := module.Start(l, d.functions); err != nil {
			return err
		}
	}
	return nil
}

// Element is an element type of arrays on the device.
type Element interface {
	float32 | float64 | int32 | int64 | uint32 | uint64 | byte
}

// Alloc allocates an array on the device, with arbitrary content.
func Alloc[T Element](d Device, n int) plan.Pointer {
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

func sizeOf[T Element](n int) int64 {
	var zero T
	return int64(n) * int64(unsafe.Sizeof(zero))
}

// Upload allocates an array on the device with the elements of x.
func Upload[T Element](d Device, x []T) plan.Pointer {
	d.Helper()
	p := Alloc[T](d, len(x))
	if len(x) == 0 {
		return p
	}
	err := d.Do(func() error { return cu.MemcpyHtoD(cu.DevicePtr(p), unsafe.Pointer(&x[0]), sizeOf[T](len(x))) })
	if err != nil {
		d.Fatalf("uploading %d elements: %v", len(x), err)
	}
	return p
}

// Download returns n elements of an array on the device.
func Download[T Element](d Device, p plan.Pointer, n int) []T {
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
