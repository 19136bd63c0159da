// Package blas is gonum's BLAS with faster matrix products, for any graph:
//
//	gorgonia.Use(blas.Implementation{})
//
// It needs neither cgo nor a C library.
package blas

import (
	"math"
	"runtime"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

// Implementation is gonum's BLAS, except that Sgemm and Dgemm run in code for AVX-512
// (float32) and AVX2 with FMA, or on other processors in plain Go. Without these
// instructions, gonum's own products are faster on amd64, and remain.
//
// They panic where gonum's do. An element of C depends on its row of A and its column
// of B alone: its bits are the same on any number of threads, and in a batch of any
// size. Its error is at most
//
//	k·u·Σ|aᵢbᵢ|    u = 2⁻²⁴ in float32, 2⁻⁵³ in float64
//
// for alpha = 1 and beta = 0. NaN and infinity spread as in gonum: C is not read if beta
// is 0, and a zero in A hides a NaN or an infinity in B, except in A·Bᵀ. As every
// BLAS does in its own order, it sums the products before it multiplies by alpha, so
// that a sum may overflow where gonum's does not.
type Implementation struct{ gonum.Implementation }

var (
	_ blas.Float32    = Implementation{}
	_ blas.Float64    = Implementation{}
	_ blas.Complex64  = Implementation{}
	_ blas.Complex128 = Implementation{}
)

// Sgemm computes C = alpha·A·B + beta·C in float32, A and B transposed or not.
func (i Implementation) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	gemm(i.Implementation.Sgemm, tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// Dgemm computes C = alpha·A·B + beta·C in float64, A and B transposed or not.
func (i Implementation) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	gemm(i.Implementation.Dgemm, tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

type gemmFunc[T kernel.Float] func(tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int)

func gemm[T kernel.Float](gonums gemmFunc[T], tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	if special := !(math.Abs(float64(alpha)) <= math.MaxFloat64) || alpha == 0; special || m <= 0 || n <= 0 || k <= 0 || slow() {
		gonums(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	// With these scalars gonum checks the arguments and does nothing else.
	gonums(tA, tB, m, n, k, 0, a, lda, b, ldb, 1, c, ldc)
	p := kernel.Product[T]{
		Rows: m, Columns: n, Depth: k, Alpha: alpha, Beta: beta,
		A: kernel.Matrix[T]{Data: a, Stride: lda, Transposed: tA != blas.NoTrans},
		B: kernel.Matrix[T]{Data: b, Stride: ldb, Transposed: tB != blas.NoTrans},
		C: kernel.Matrix[T]{Data: c, Stride: ldc},
	}
	p.Compute()
}

// slow reports whether gonum's products, which have SSE code on amd64, are faster.
func slow() bool { return !kernel.Vectorized() && runtime.GOARCH == "amd64" }
