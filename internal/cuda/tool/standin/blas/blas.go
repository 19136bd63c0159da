// Package cublas stands in for gorgonia.org/cu/blas with Gonum's BLAS.
package cublas

import (
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
	"gorgonia.org/cu"
)

// Standard is the part of cuBLAS that Gorgonia calls. Matrices are in column
// order.
type Standard struct {
	e error

	cu.Context
	sync.Mutex
}

// ConsOpt is an option of Init.
type ConsOpt func(impl *Standard)

// WithContext sets the context in which the calls are made.
func WithContext(ctx cu.Context) ConsOpt {
	return func(impl *Standard) { impl.Context = ctx }
}

// Init makes the implementation ready.
func (impl *Standard) Init(opts ...ConsOpt) error {
	impl.Lock()
	defer impl.Unlock()
	for _, opt := range opts {
		opt(impl)
	}
	return nil
}

// Err returns the error of the last call.
func (impl *Standard) Err() error { return impl.e }

// Close releases the implementation.
func (impl *Standard) Close() error {
	impl.Lock()
	defer impl.Unlock()
	impl.Context = nil
	return nil
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
	gonum.Implementation{}.Sgemm(tB, tA, n, m, k, alpha, b, ldb, a, lda, beta, c, ldc)
}

// Dgemm computes c = alpha·a·b + beta·c.
func (impl *Standard) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	gonum.Implementation{}.Dgemm(tB, tA, n, m, k, alpha, b, ldb, a, lda, beta, c, ldc)
}

// Sgemv computes y = alpha·a·x + beta·y.
func (impl *Standard) Sgemv(tA blas.Transpose, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	gonum.Implementation{}.Sgemv(transposed(tA), n, m, alpha, a, lda, x, incX, beta, y, incY)
}

// Dgemv computes y = alpha·a·x + beta·y.
func (impl *Standard) Dgemv(tA blas.Transpose, m, n int, alpha float64, a []float64, lda int, x []float64, incX int, beta float64, y []float64, incY int) {
	gonum.Implementation{}.Dgemv(transposed(tA), n, m, alpha, a, lda, x, incX, beta, y, incY)
}

// Sger computes a += alpha·x·yᵀ.
func (impl *Standard) Sger(m, n int, alpha float32, x []float32, incX int, y []float32, incY int, a []float32, lda int) {
	gonum.Implementation{}.Sger(n, m, alpha, y, incY, x, incX, a, lda)
}

// Dger computes a += alpha·x·yᵀ.
func (impl *Standard) Dger(m, n int, alpha float64, x []float64, incX int, y []float64, incY int, a []float64, lda int) {
	gonum.Implementation{}.Dger(n, m, alpha, y, incY, x, incX, a, lda)
}
