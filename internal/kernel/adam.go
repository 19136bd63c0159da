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
		s := adamScalars[T]{a.Beta1, 1 - a.Beta1, a.Beta2, 1 - a.Beta2, a.Epsilon, a.Rate, a.UnbiasMean, a.UnbiasSquare}
		adam(weights[lo:hi], grad[lo:hi], mean[lo:hi], square[lo:hi], &s)
	})
}

type adamScalars[T Float] struct {
	beta1, rest1, beta2, rest2 T // rest is 1 − β
	epsilon, rate              T
	unbiasMean, unbiasSquare   T
}

// adamGo makes one pass, because memory limits Adam's speed. The conversions
// prevent the compiler from fusing products and sums.
func adamGo[T Float](weights, grad, mean, square []T, s *adamScalars[T]) {
	grad, mean, square = grad[:len(weights)], mean[:len(weights)], square[:len(weights)] // removes the bounds checks
	for i, g := range grad {
		m := T(s.beta1*mean[i]) + T(s.rest1*g)
		v := T(s.beta2*square[i]) + T(s.rest2*T(g*g))
		root := T(math.Sqrt(float64(v * s.unbiasSquare)))
		weights[i] -= T(s.rate*T(m*s.unbiasMean)) / (root + s.epsilon)
		mean[i], square[i] = m, v
	}
}
