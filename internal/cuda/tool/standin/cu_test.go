package cu

import (
	"errors"
	"runtime"
	"testing"
	"unsafe"
)

// makeContext creates a context and locks the test to its OS thread.
func makeContext(t *testing.T) CUContext {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	c, err := Device(0).MakeContext(SchedAuto)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Destroy(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// A context is current on one OS thread, and calls elsewhere fail.
func TestContextIsOfThread(t *testing.T) {
	c := makeContext(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		_, err := MemAlloc(8)
		wantErr(t, "before", err, InvalidContext)
		wantErr(t, "setting", SetCurrentContext(c), nil)
		p, err := MemAlloc(8)
		wantErr(t, "after", err, nil)
		wantErr(t, "freeing", MemFree(p), nil)
	}()
	<-done
	wantErr(t, "here", Synchronize(), nil)
}

func TestDestroyedContext(t *testing.T) {
	makeContext(t)
	other, err := Device(0).MakeContext(SchedAuto)
	wantErr(t, "making", err, nil)
	copied := other
	wantErr(t, "destroying", other.Destroy(), nil)
	wantErr(t, "the one before", Synchronize(), nil)
	wantErr(t, "setting", SetCurrentContext(copied), InvalidContext)
	wantErr(t, "destroying again", copied.Destroy(), InvalidContext)
}

func TestMemory(t *testing.T) {
	makeContext(t)
	p, err := MemAllocManaged(12, AttachGlobal)
	wantErr(t, "allocating", err, nil)
	if p%256 != 0 {
		t.Errorf("%v is not aligned", p)
	}
	host := []uint32{1, 2, 3}
	wantErr(t, "reading", MemcpyDtoH(unsafe.Pointer(&host[0]), p, 12), nil)
	if host[0] != 0xA5A5A5A5 {
		t.Errorf("fresh memory is %#x", host[0])
	}
	wantErr(t, "writing too much", MemcpyHtoD(p, unsafe.Pointer(&host[0]), 13), InvalidValue)
	wantErr(t, "writing too far", MemcpyHtoD(p+4, unsafe.Pointer(&host[0]), 12), InvalidValue)
	wantErr(t, "freeing the middle", MemFree(p+4), InvalidValue)
	wantErr(t, "freeing", MemFree(p), nil)
	wantErr(t, "freeing again", MemFree(p), InvalidValue)
	_, err = MemAlloc(0)
	wantErr(t, "allocating nothing", err, InvalidValue)
	_, err = MemAlloc(totalMemory + 1)
	wantErr(t, "allocating too much", err, OutOfMemory)
}

func TestWriteBeyond(t *testing.T) {
	for _, at := range []int64{-1, 12} {
		makeContext(t)
		p, err := MemAlloc(12)
		wantErr(t, "allocating", err, nil)
		*(*byte)(unsafe.Add(*(*unsafe.Pointer)(unsafe.Pointer(&p)), at)) = 7 // as a kernel might
		wantErr(t, "freeing", MemFree(p), IllegalAddress)
	}
}

func TestModule(t *testing.T) {
	makeContext(t)
	_, err := LoadData("nonsense")
	wantErr(t, "loading nonsense", err, InvalidPtx)
	m, err := LoadData(".version 7.8\n.target sm_52\n.visible .entry f(\n.param .u64 f_param_0\n)\n.maxntid 128, 1, 1\n{\n.shared .align 4 .b8 buffer[64];\nmov.u64 %rd1, buffer;\nret;\n}\n")
	wantErr(t, "loading", err, nil)
	if got := driver.modules[m.mod].entries["f"]; got != (entry{1, 128, 64}) {
		t.Errorf("f is %+v", got)
	}
	_, err = m.Function("g")
	wantErr(t, "another kernel", err, NotFound)
	wantErr(t, "no kernel", Function{}.Launch(1, 1, 1, 1, 1, 1, 0, NoStream, nil), InvalidHandle)
	wantErr(t, "unloading", m.Unload(), nil)
	wantErr(t, "unloading again", m.Unload(), InvalidHandle)
}

// A batch continues after an error, and the next batch does not have that error.
func TestBatch(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b := NewBatchedContext(NewManuallyManagedContext(0, SchedAuto), 0)
	defer b.Close()
	p, err := MemAlloc(4)
	wantErr(t, "allocating", err, nil)
	in, out := uint32(42), uint32(0)
	b.MemFree(p + 1)
	b.MemcpyHtoD(p, unsafe.Pointer(&in), 4)
	b.MemcpyDtoH(unsafe.Pointer(&out), p, 4)
	if out != 0 {
		t.Error("a queued call was made at once")
	}
	b.DoWork()
	if out != in {
		t.Errorf("copied %d", out)
	}
	var list interface{ ListErrors() []error }
	if !errors.As(b.Errors(), &list) {
		t.Fatalf("errors %v", b.Errors())
	}
	errs := list.ListErrors()
	if len(errs) != 3 {
		t.Fatalf("errors %v", errs)
	}
	wantErr(t, "first", errs[0], InvalidValue)
	wantErr(t, "second", errs[1], nil)
	b.MemFree(p)
	b.DoWork()
	wantErr(t, "next batch", b.Errors(), nil)
}
