package cu

import (
	"bytes"
	"fmt"
	"log"
	"runtime"
	"unsafe"
)

const workBufLen = 64

// work is a queued call, which may return memory.
type work struct {
	do       func() (DevicePtr, cuResult)
	blocking bool
}

type errorSlice []error

func (err errorSlice) Error() string {
	var buf bytes.Buffer
	for i, v := range err {
		fmt.Fprintf(&buf, "[%d]: %v\n", i, v)
	}
	return buf.String()
}

// ListErrors returns the errors of a batch, nil for a call without one.
func (err errorSlice) ListErrors() []error { return []error(err) }

// BatchedContext queues calls, and makes them when a call returns something, the
// queue is full or DoWork is called. It behaves like the real one: a batch continues
// after a call that failed, the errors are those of the last batch, and copies share
// the queue but not its length.
type BatchedContext struct {
	Context
	Device

	workAvailable chan struct{}
	work          chan work

	queue   []work
	results []cuResult
	retVal  chan DevicePtr

	initialized bool
}

// NewBatchedContext returns a context that queues calls.
func NewBatchedContext(c Context, d Device) *BatchedContext {
	return &BatchedContext{
		Context:       c,
		Device:        d,
		workAvailable: make(chan struct{}, 1),
		work:          make(chan work, workBufLen),
		queue:         make([]work, 0, workBufLen),
		results:       make([]cuResult, workBufLen),
		retVal:        make(chan DevicePtr),
		initialized:   true,
	}
}

// IsInitialized reports whether the context is open.
func (ctx *BatchedContext) IsInitialized() bool { return ctx.initialized }

func (ctx *BatchedContext) enqueue(w work) (retVal DevicePtr, err error) {
	if len(ctx.work) >= workBufLen-1 {
		ctx.workAvailable <- struct{}{}
	}
	ctx.work <- w
	if w.blocking {
		select {
		case ctx.workAvailable <- struct{}{}:
		default:
		}
		retVal = <-ctx.retVal
		return retVal, ctx.Errors()
	}
	return 0, ctx.Errors()
}

// WorkAvailable returns the channel that says when there is work.
func (ctx *BatchedContext) WorkAvailable() <-chan struct{} { return ctx.workAvailable }

// Signal says that there is work.
func (ctx *BatchedContext) Signal() { ctx.workAvailable <- struct{}{} }

// DoWork makes the queued calls.
func (ctx *BatchedContext) DoWork() {
	for {
		select {
		case w := <-ctx.work:
			ctx.queue = append(ctx.queue, w)
		default:
			if len(ctx.queue) == 0 {
				return
			}
		}
		blocking := ctx.queue[len(ctx.queue)-1].blocking

	enqueue:
		for len(ctx.queue) < cap(ctx.queue) && !blocking {
			select {
			case w := <-ctx.work:
				ctx.queue = append(ctx.queue, w)
				blocking = w.blocking
			default:
				break enqueue
			}
		}

		ctx.results = ctx.results[:cap(ctx.results)]
		last := ctx.process()
		ctx.results = ctx.results[:len(ctx.queue)]
		if ctx.checkResults() {
			log.Printf("cu stand-in: errors of a batch:\n%v", ctx.Errors())
		}
		if blocking {
			ctx.retVal <- last
		}
		ctx.queue = ctx.queue[:0]
	}
}

// process makes the calls of the queue on one OS thread, and returns the result of
// the last one.
func (ctx *BatchedContext) process() (last DevicePtr) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	setCurrent(ctx.CUDAContext())
	for i, w := range ctx.queue {
		last, ctx.results[i] = w.do()
	}
	return last
}

// Run makes calls until there is an error that nobody receives.
func (ctx *BatchedContext) Run(errChan chan error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case <-ctx.workAvailable:
			ctx.DoWork()
			if err := ctx.Errors(); err != nil {
				if errChan == nil {
					return err
				}
				errChan <- err
			}
		case w := <-ctx.Work():
			ctx.ErrChan() <- w()
		}
	}
}

// Cleanup does nothing: the real package frees the parameters of its calls.
func (ctx *BatchedContext) Cleanup() {}

// Close closes the context.
func (ctx *BatchedContext) Close() error {
	ctx.initialized = false
	return ctx.Context.Close()
}

func (ctx *BatchedContext) checkResults() bool {
	for _, v := range ctx.results {
		if v != Success {
			return true
		}
	}
	return false
}

// Errors returns the errors of the last batch.
func (ctx *BatchedContext) Errors() error {
	if !ctx.checkResults() {
		return nil
	}
	err := make(errorSlice, len(ctx.results))
	for i, v := range ctx.results {
		err[i] = result(v)
	}
	return err
}

// FirstError returns the first error of the last batch.
func (ctx *BatchedContext) FirstError() error {
	for i, v := range ctx.results {
		if v != Success {
			return result(v)
		}
		ctx.results[i] = Success
	}
	return nil
}

func (ctx *BatchedContext) queueCall(f func() cuResult) {
	ctx.enqueue(work{do: func() (DevicePtr, cuResult) { return 0, f() }})
}

// SetCurrent sets the current context.
func (ctx *BatchedContext) SetCurrent() {
	ctx.queueCall(func() cuResult { return setCurrent(ctx.CUDAContext()) })
}

// MemAlloc allocates memory. It is a blocking call.
func (ctx *BatchedContext) MemAlloc(bytesize int64) (retVal DevicePtr, err error) {
	return ctx.enqueue(work{do: func() (DevicePtr, cuResult) { return allocate(bytesize) }, blocking: true})
}

// MemAllocManaged allocates memory that the host may use too. It is a blocking
// call.
func (ctx *BatchedContext) MemAllocManaged(bytesize int64, flags MemAttachFlags) (retVal DevicePtr, err error) {
	return ctx.MemAlloc(bytesize)
}

// Memcpy copies from anywhere to anywhere.
func (ctx *BatchedContext) Memcpy(dst, src DevicePtr, byteCount int64) {
	ctx.queueCall(func() cuResult { return memcpy(dst, src, byteCount) })
}

// MemcpyHtoD copies to the device.
func (ctx *BatchedContext) MemcpyHtoD(dst DevicePtr, src unsafe.Pointer, byteCount int64) {
	ctx.queueCall(func() cuResult { return memcpyHtoD(dst, src, byteCount) })
}

// MemcpyDtoH copies from the device.
func (ctx *BatchedContext) MemcpyDtoH(dst unsafe.Pointer, src DevicePtr, byteCount int64) {
	ctx.queueCall(func() cuResult { return memcpyDtoH(dst, src, byteCount) })
}

// MemFree frees memory.
func (ctx *BatchedContext) MemFree(mem DevicePtr) {
	ctx.queueCall(func() cuResult { return free(mem) })
}

// LaunchKernel queues a launch. It reads the parameters immediately.
func (ctx *BatchedContext) LaunchKernel(function Function, gridDimX, gridDimY, gridDimZ int, blockDimX, blockDimY, blockDimZ int, sharedMemBytes int, stream Stream, kernelParams []unsafe.Pointer) {
	params := words(kernelParams)
	grid, block := dimensions{gridDimX, gridDimY, gridDimZ}, dimensions{blockDimX, blockDimY, blockDimZ}
	ctx.queueCall(func() cuResult { return function.run(grid, block, sharedMemBytes, params) })
}

// Synchronize waits for the calls before it.
func (ctx *BatchedContext) Synchronize() { ctx.queueCall(synchronize) }

// LaunchAndSync launches a kernel and waits for it.
func (ctx *BatchedContext) LaunchAndSync(function Function, gridDimX, gridDimY, gridDimZ int, blockDimX, blockDimY, blockDimZ int, sharedMemBytes int, stream Stream, kernelParams []unsafe.Pointer) {
	ctx.LaunchKernel(function, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, stream, kernelParams)
	ctx.Synchronize()
}
