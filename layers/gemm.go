package layers

import (
	"gonum.org/v1/gonum/blas"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

// gemm sets c, m×n, to the product of a, m×k, and b, k×n. Either factor may be
// stored transposed. The BLAS that gorgonia.Use sets computes it.
func gemm[T kernel.Float](transA, transB blas.Transpose, m, n, k int, a, b, c []T) {
	if m == 0 || n == 0 {
		return
	}
	if k == 0 { // at which gonum's BLAS panics
		clear(c)
		return
	}
	lda, ldb := k, n
	if transA == blas.Trans {
		lda = m
	}
	if transB == blas.Trans {
		ldb = k
	}
	switch c := any(c).(type) {
	case []float32:
		tensor.WhichBLAS().Sgemm(transA, transB, m, n, k, 1, any(a).([]float32), lda, any(b).([]float32), ldb, 0, c, n)
	case []float64:
		tensor.WhichBLAS().Dgemm(transA, transB, m, n, k, 1, any(a).([]float64), lda, any(b).([]float64), ldb, 0, c, n)
	}
}
