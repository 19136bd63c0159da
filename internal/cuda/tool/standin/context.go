package cu

import (
	"runtime"
	"unsafe"
)

var (
	_ Context = &Ctx{}
	_ Context = &BatchedContext{}
)

// Context is a context that runs functions on its own OS thread.
type Context interface {
	CUDAContext() CUContext
	Error() error
	Run(chan error) error
	Do(fn func() error) error
	Work() <-chan func() error
	ErrChan() chan error
	Close() error

	LaunchKernel(fn Function, gridDimX, gridDimY, gridDimZ int, blockDimX, blockDimY, blockDimZ int, sharedMemBytes int, stream Stream, kernelParams []unsafe.Pointer)
	MemAlloc(bytesize int64) (dptr DevicePtr, err error)
	MemAllocManaged(bytesize int64, flags MemAttachFlags) (dptr DevicePtr, err error)
	MemFree(dptr DevicePtr)
	Memcpy(dst DevicePtr, src DevicePtr, ByteCount int64)
	MemcpyDtoH(dstHost unsafe.Pointer, srcDevice DevicePtr, ByteCount int64)
	MemcpyHtoD(dstDevice DevicePtr, srcHost unsafe.Pointer, ByteCount int64)
	Synchronize()
}

// Ctx is a standalone context.
type Ctx struct {
	CUContext
	work    chan (func() error)
	errChan chan error
	err     error

	device Device
	flags  ContextFlags
}

// CtxFromCUContext wraps a context.
func CtxFromCUContext(d Device, cuctx CUContext, flags ContextFlags) *Ctx {
	ctx := &Ctx{
		CUContext: cuctx,
		work:      make(chan func() error),
		errChan:   make(chan error),
		device:    d,
		flags:     flags,
	}
	runtime.SetFinalizer(ctx, func(ctx *Ctx) { ctx.Close() })
	return ctx
}

// NewContext creates a context and runs it on a goroutine.
func NewContext(d Device, flags ContextFlags) *Ctx {
	ctx := NewManuallyManagedContext(d, flags)
	errChan := make(chan error)
	go ctx.Run(errChan)
	if err := <-errChan; err != nil {
		panic(err)
	}
	return ctx
}

// NewManuallyManagedContext creates a context that the caller runs.
func NewManuallyManagedContext(d Device, flags ContextFlags) *Ctx {
	cuctx, err := d.MakeContext(flags)
	if err != nil {
		panic(err)
	}
	return CtxFromCUContext(d, cuctx, flags)
}

// Close destroys the context and closes its channels.
func (ctx *Ctx) Close() error {
	if ctx.CUContext == (CUContext{}) {
		return nil
	}
	if ctx.errChan != nil {
		close(ctx.errChan)
		ctx.errChan = nil
	}
	if ctx.work != nil {
		close(ctx.work)
		ctx.work = nil
	}
	return ctx.CUContext.Destroy()
}

// Do runs one function at a time.
func (ctx *Ctx) Do(fn func() error) error {
	ctx.work <- fn
	return <-ctx.errChan
}

// CUDAContext returns the CUDA context.
func (ctx *Ctx) CUDAContext() CUContext { return ctx.CUContext }

// Error returns the error of the last call.
func (ctx *Ctx) Error() error { return ctx.err }

// Work returns the channel of the functions to run.
func (ctx *Ctx) Work() <-chan func() error { return ctx.work }

// ErrChan returns the channel of their errors.
func (ctx *Ctx) ErrChan() chan error { return ctx.errChan }

// Run runs the functions of Do, on this OS thread.
func (ctx *Ctx) Run(errChan chan error) error {
	runtime.LockOSThread()
	if err := SetCurrentContext(ctx.CUContext); err != nil {
		if errChan == nil {
			return err
		}
		errChan <- err
		return nil
	}
	close(errChan)
	for w := range ctx.work {
		ctx.errChan <- w()
	}
	runtime.UnlockOSThread()
	return nil
}

// LaunchKernel launches a kernel.
func (ctx *Ctx) LaunchKernel(fn Function, gridDimX, gridDimY, gridDimZ int, blockDimX, blockDimY, blockDimZ int, sharedMemBytes int, stream Stream, kernelParams []unsafe.Pointer) {
	ctx.err = ctx.Do(func() error {
		return fn.Launch(gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, stream, kernelParams)
	})
}

// MemAlloc allocates memory.
func (ctx *Ctx) MemAlloc(bytesize int64) (dptr DevicePtr, err error) {
	err = ctx.Do(func() (err error) {
		dptr, err = MemAlloc(bytesize)
		return err
	})
	return dptr, err
}

// MemAllocManaged allocates memory that the host may use too.
func (ctx *Ctx) MemAllocManaged(bytesize int64, flags MemAttachFlags) (dptr DevicePtr, err error) {
	return ctx.MemAlloc(bytesize)
}

// MemFree frees memory.
func (ctx *Ctx) MemFree(dptr DevicePtr) {
	ctx.err = ctx.Do(func() error { return MemFree(dptr) })
}

// Memcpy copies from anywhere to anywhere.
func (ctx *Ctx) Memcpy(dst DevicePtr, src DevicePtr, ByteCount int64) {
	ctx.err = ctx.Do(func() error { return Memcpy(dst, src, ByteCount) })
}

// MemcpyDtoH copies from the device.
func (ctx *Ctx) MemcpyDtoH(dstHost unsafe.Pointer, srcDevice DevicePtr, ByteCount int64) {
	ctx.err = ctx.Do(func() error { return MemcpyDtoH(dstHost, srcDevice, ByteCount) })
}

// MemcpyHtoD copies to the device.
func (ctx *Ctx) MemcpyHtoD(dstDevice DevicePtr, srcHost unsafe.Pointer, ByteCount int64) {
	ctx.err = ctx.Do(func() error { return MemcpyHtoD(dstDevice, srcHost, ByteCount) })
}

// Synchronize waits for all work of the context.
func (ctx *Ctx) Synchronize() { ctx.err = ctx.Do(Synchronize) }
