package kernel

import (
	"math"
	"slices"
	"testing"
)

// A step computes algorithm 1, with the same bits at every level and for every length.
func TestAdam(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testAdam[float32](t, 1e-6) })
	t.Run("float64", func(t *testing.T) { testAdam[float64](t, 1e-14) })
}

func testAdam[T Float](t *testing.T, tolerance float64) {
	a := Adam[T]{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Rate: 1e-3, UnbiasMean: 5, UnbiasSquare: 400}
	for _, n := range []int{0, 1, 7, 8, 15, 17, 1000, 100_003} {
		weights, grad, mean, square := finite[T](n, 1), finite[T](n, 2), finite[T](n, 3), finite[T](n, 4)
		for i := range n {
			grad[i] *= T(math.Pow(10, float64(i%40-36))) // in float32, denormal numbers too
			mean[i] *= 1e-2
			square[i] *= square[i]
			if i%5 == 0 {
				grad[i], mean[i], square[i] = 0, 0, 0
			}
		}
		var want []T
		eachLevel(t, func(t *testing.T) {
			w, m, s := slices.Clone(weights), slices.Clone(mean), slices.Clone(square)
			a.Update(w, grad, m, s)
			got := slices.Concat(w, m, s)
			if level == levelGo {
				want = got
			} else if !slices.Equal(got, want) {
				t.Fatalf("%d elements: the bits differ from plain Go", n)
			}
			for i, g := range grad {
				g, beta1, beta2 := float64(g), float64(a.Beta1), float64(a.Beta2)
				newM, newS := beta1*float64(mean[i])+(1-beta1)*g, beta2*float64(square[i])+(1-beta2)*g*g
				newW := float64(weights[i]) - float64(a.Rate)*newM*5/(math.Sqrt(newS*400)+float64(a.Epsilon))
				if math.Abs(float64(m[i])-newM) > tolerance*(1+math.Abs(g)) || math.Abs(float64(s[i])-newS) > tolerance*(1+g*g) || math.Abs(float64(w[i])-newW) > tolerance {
					t.Fatalf("element %d of %d: %v, %v, %v; want %v, %v, %v", i, n, w[i], m[i], s[i], newW, newM, newS)
				}
			}
		})
	}
}
