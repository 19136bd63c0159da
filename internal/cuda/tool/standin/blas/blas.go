// Package cublas stands in for gorgonia.org/cu/blas with Gonum's BLAS.
package cublas

import (
	"log"
	"sync"
	"unsafe"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
	"gorgonia.org/cu"
)

// Status is an error of cuBLAS, numbered as there.
type Status int

// The errors that the stand-in returns.
const (
	NotInitialized Status = 1
	ExecFailed     Status = 13
)

func (err Status) Error() string { return err.String() }

func (err Status) String() string {
	if err == NotInitialized {
		return "NotInitialized"
	}
	return "ExecFailed"
}

// Standard is the part of cuBLAS that Gorgonia calls. Matrices are in column
// order.
//
// A handle belongs to the context that was current when it was created. A device does
// not order products of one context after kernels and copies of another, so the
// stand-in refuses arrays of another context.
type Standard struct {
	e      error
	handle cu.CUContext

	cu.Context
	sync.Mutex
}

// ConsOpt is an option of Init.
type ConsOpt func(impl *Standard)

// WithContext sets the context in which the calls are made.
func WithContext(ctx cu.Context) ConsOpt {
	return func(impl *Standard) { impl.Context = ctx }
}

// Init creates a handle, in the primary context of the device if none is current.
func (impl *Standard) Init(opts ...ConsOpt) error {
	impl.Lock()
	defer impl.Unlock()
	current, err := cu.CurrentContext()
	if err == nil && current == (cu.CUContext{}) {
		if current, err = cu.Device(0).RetainPrimaryCtx(); err == nil {
			err = cu.SetCurrentContext(current)
		}
	}
	if err != nil {
		return NotInitialized
	}
	if _, err := cu.CurrentDevice(); err != nil { // the context is destroyed or has failed
		return NotInitialized
	}
	impl.handle = current
	for _, opt := range opts {
		opt(impl)
	}
	return nil
}

// Err returns the error of the last call.
func (impl *Standard) Err() error { return impl.e }

// Close destroys the handle.
func (impl *Standard) Close() error {
	impl.Lock()
	defer impl.Unlock()
	impl.handle = cu.CUContext{}
	impl.Context = nil
	return nil
}

// usable reports whether a call with these arrays has its result before the next
// call in the arrays' context.
func usable[T any](impl *Standard, arrays ...[]T) bool {
	if impl.e != nil {
		return false
	}
	if impl.handle == (cu.CUContext{}) {
		impl.e = NotInitialized
		return false
	}
	current, err := cu.CurrentContext()
	if err != nil || current != impl.handle {
		log.Printf("cuBLAS stand-in: the handle belongs to context %v, but %v is current", impl.handle, current)
		impl.e = ExecFailed
		return false
	}
	for _, array := range arrays {
		p := cu.DevicePtr(uintptr(unsafe.Pointer(unsafe.SliceData(array))))
		if of, ok := cu.ContextOf(p); !ok || of != impl.handle {
			log.Printf("cuBLAS stand-in: the handle belongs to context %v, but an array to %v", impl.handle, of)
			impl.e = ExecFailed
			return false
		}
	}
	return true
}

// Gonum's matrices are in row order, so each is passed as its transpose.

func transposed(t blas.Transpose) blas.Transpose {
	if t == blas.NoTrans {
		return blas.Trans
	}
	return blas.NoTrans
}

// Sgemm computes c = alpha·a·b + beta·c.
func (impl *Standard) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	if usable(impl, a, b, c) {
		gonum.Implementation{}.Sgemm(tB, tA, n, m, k, alpha, b, ldb, a, lda, beta, c, ldc)
	}
}

// Dgemm computes c = alpha·a·b + beta·c.
func (impl *Standard) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	if usable(impl, a, b, c) {
		gonum.Implementation{}.Dgemm(tB, tA, n, m, k, alpha, b, ldb, a, lda, beta, c, ldc)
	}
}

// Sgemv computes y = alpha·a·x + beta·y.
func (impl *Standard) Sgemv(tA blas.Transpose, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	if usable(impl, a, x, y) {
		gonum.Implementation{}.Sgemv(transposed(tA), n, m, alpha, a, lda, x, incX, beta, y, incY)
	}
}

// Dgemv computes y = alpha·a·x + beta·y.
func (impl *Standard) Dgemv(tA blas.Transpose, m, n int, alpha float64, a []float64, lda int, x []float64, incX int, beta float64, y []float64, incY int) {
	if usable(impl, a, x, y) {
		gonum.Implementation{}.Dgemv(transposed(tA), n, m, alpha, a, lda, x, incX, beta, y, incY)
	}
}

// Sger computes a += alpha·x·yᵀ.
func (impl *Standard) Sger(m, n int, alpha float32, x []float32, incX int, y []float32, incY int, a []float32, lda int) {
	if usable(impl, x, y, a) {
		gonum.Implementation{}.Sger(n, m, alpha, y, incY, x, incX, a, lda)
	}
}

// Dger computes a += alpha·x·yᵀ.
func (impl *Standard) Dger(m, n int, alpha float64, x []float64, incX int, y []float64, incY int, a []float64, lda int) {
	if usable(impl, x, y, a) {
		gonum.Implementation{}.Dger(n, m, alpha, y, incY, x, incX, a, lda)
	}
}
