package layers

import (
	"math"
	"testing"

	G "gorgonia.org/gorgonia"

	ours "github.com/gumbel-go/gumbel/blas"
	"github.com/gumbel-go/gumbel/internal/kernel"
)

// plainBLAS multiplies as the library's BLAS does, but has another type, so that affine
// adds the bias in a separate pass.
type plainBLAS struct{ ours.Implementation }

// The bits are the same whether the bias and the activation are fused or not.
func TestAffineFused(t *testing.T) {
	defer G.Use(G.WhichBLAS())
	for _, act := range []kernel.Activation{kernel.Identity, kernel.ReLU, kernel.Tanh, kernel.Sigmoid} {
		for _, s := range []linearSize{{1, 1, 1, act}, {3, 5, 7, act}, {100, 900, 35, act}, {0, 5, 7, act}} {
			x, w, b := waves(s.batch*s.in, 1), waves(s.in*s.out, 2), waves(s.out, 3)
			b[0] = float32(math.Inf(-1))
			results := [2][2][]float32{}
			for i, use := range []G.BLAS{ours.Implementation{}, plainBLAS{}} {
				G.Use(use)
				y, saved := make([]float32, s.batch*s.out), make([]float32, s.batch*s.out)
				affine(s, x, w, b, y, saved)
				results[i] = [2][]float32{y, saved}
			}
			for part, fused := range results[0] {
				for i, v := range fused {
					if want := results[1][part][i]; math.Float32bits(v) != math.Float32bits(want) {
						t.Fatalf("%v, array %d: element %d is %v, want %v", s, part, i, v, want)
					}
				}
			}
		}
	}
}

// waves returns numbers of both signs.
func waves(n, frequency int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.Sin(float64(1 + i*frequency)))
	}
	return x
}
