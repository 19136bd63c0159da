package layers

import (
	"gonum.org/v1/gonum/blas"
	"gorgonia.org/tensor"

	ours "github.com/gumbel-go/gumbel/blas"
	"github.com/gumbel-go/gumbel/internal/kernel"
)

// affine sets y to act(x·W + b), and saved to the same unless it is empty. The library's
// own BLAS can add b and apply ReLU while it writes the product; the bits are those of
// separate passes.
func affine[T kernel.Float](s linearSize, x, w, b, y, saved []T) {
	_, own := tensor.WhichBLAS().(ours.Implementation)
	fuses := own && kernel.Vectorized() && s.batch > 0 && s.in > 0 && s.out > 0 && (s.act == kernel.Identity || s.act == kernel.ReLU)
	if !fuses {
		gemm(blas.NoTrans, blas.NoTrans, s.batch, s.out, s.in, x, w, y)
		kernel.Activate(s.act, y, b, saved)
		return
	}
	p := kernel.Product[T]{
		Rows: s.batch, Columns: s.out, Depth: s.in, Alpha: 1,
		A:    kernel.Matrix[T]{Data: x, Stride: s.in},
		B:    kernel.Matrix[T]{Data: w, Stride: s.out},
		C:    kernel.Matrix[T]{Data: y, Stride: s.out},
		Bias: b, ReLU: s.act == kernel.ReLU,
	}
	p.Compute()
	copy(saved, y)
}

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
