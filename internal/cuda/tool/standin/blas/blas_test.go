package cublas

import (
	"errors"
	"runtime"
	"testing"
	"unsafe"

	"gonum.org/v1/gonum/blas"
	"gorgonia.org/cu"
)

// open creates a context that is current on the test's OS thread, and three arrays of
// one element in it.
func open(t *testing.T) (ctx cu.CUContext, arrays [3][]float32) {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	ctx, err := cu.Device(0).MakeContext(cu.SchedAuto)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ctx.Destroy() })
	for i := range arrays {
		p, err := cu.MemAllocManaged(4, cu.AttachGlobal)
		if err != nil {
			t.Fatal(err)
		}
		address := p.Uintptr()
		arrays[i] = unsafe.Slice(*(**float32)(unsafe.Pointer(&address)), 1)
		arrays[i][0] = float32(i + 2)
		t.Cleanup(func() {
			if err := errors.Join(cu.SetCurrentContext(ctx), cu.MemFree(p)); err != nil {
				t.Error(err)
			}
		})
	}
	return ctx, arrays
}

func product(impl *Standard, arrays [3][]float32) error {
	impl.Sgemm(blas.NoTrans, blas.NoTrans, 1, 1, 1, 1, arrays[0], 1, arrays[1], 1, 0, arrays[2], 1)
	return impl.Err()
}

func TestHandleOfContext(t *testing.T) {
	_, arrays := open(t)
	var impl Standard
	if err := product(&impl, arrays); !errors.Is(err, NotInitialized) {
		t.Errorf("without a handle: %v", err)
	}
	impl = Standard{}
	if err := impl.Init(); err != nil {
		t.Fatal(err)
	}
	if err := product(&impl, arrays); err != nil || arrays[2][0] != 6 {
		t.Errorf("2·3 is %v: %v", arrays[2][0], err)
	}
}

// A handle that is created without a current context belongs to the primary one.
func TestHandleOfPrimaryContext(t *testing.T) {
	ctx, arrays := open(t)
	if err := cu.SetCurrentContext(cu.CUContext{}); err != nil {
		t.Fatal(err)
	}
	var impl Standard
	if err := impl.Init(); err != nil {
		t.Fatal(err)
	}
	primary, err := cu.Device(0).RetainPrimaryCtx()
	if current, _ := cu.CurrentContext(); err != nil || current != primary {
		t.Errorf("context %v is current, want %v (%v)", current, primary, err)
	}
	if err := product(&impl, arrays); !errors.Is(err, ExecFailed) {
		t.Errorf("arrays of another context: %v", err)
	}
	if err := cu.SetCurrentContext(ctx); err != nil {
		t.Fatal(err)
	}
	impl.e = nil
	if err := product(&impl, arrays); !errors.Is(err, ExecFailed) {
		t.Errorf("another context is current: %v", err)
	}
}

func TestHandleOfDestroyedContext(t *testing.T) {
	runtime.LockOSThread() // never unlocked: its context is destroyed
	ctx, err := cu.Device(0).MakeContext(cu.SchedAuto)
	if err != nil {
		t.Fatal(err)
	}
	destroyed := make(chan error)
	go func() { destroyed <- ctx.Destroy() }()
	if err := <-destroyed; err != nil {
		t.Fatal(err)
	}
	if err := new(Standard).Init(); !errors.Is(err, NotInitialized) {
		t.Errorf("Init: %v", err)
	}
}
