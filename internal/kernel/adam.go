package kernel

import "math"

// Adam is one step of algorithm 1 of Kingma and Ba, Adam: A Method for
// Stochastic Optimization (2015), for the weights of one tensor after another.
type Adam[T Float] struct {
	Beta1, Beta2, Epsilon T
	Rate                  T
	UnbiasMean            T // 1/(1 − Beta1^t)
	UnbiasSquare          T // 1/(1 − Beta2^t)
}

// Update changes weights, and the running means of their gradient and of its
// square, in place:
//
//	m ← β₁m + (1−β₁)g    s ← β₂s + (1−β₂)g²    w ← w − rate·m̂/(√ŝ + ε)
//
// The result has the same bits on every instruction set.
func (a Adam[T]) Update(weights, grad, mean, square []T) {
	split(len(weights), 1, costLight, func(lo, hi int) {
		a.update(weights[lo:hi], grad[lo:hi], mean[lo:hi], square[lo:hi])
	})
}

// update makes one pass, because memory limits Adam's speed. The conversions
// prevent the compiler from fusing products and sums.
func (a Adam[T]) update(w, grad, mean, square []T) {
	if a.updateSIMD(w, grad, mean, square) {
		return
	}
	grad, mean, square = grad[:len(w)], mean[:len(w)], square[:len(w)] // removes the bounds checks
	rest1, rest2 := 1-a.Beta1, 1-a.Beta2
	for i, g := range grad {
		m := T(a.Beta1*mean[i]) + T(rest1*g)
		s := T(a.Beta2*square[i]) + T(rest2*T(g*g))
		root := T(math.Sqrt(float64(s * a.UnbiasSquare)))
		w[i] -= T(a.Rate*T(m*a.UnbiasMean)) / (root + a.Epsilon)
		mean[i], square[i] = m, s
	}
}
