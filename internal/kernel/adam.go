package kernel

import "math"

// Adam is one step of algorithm 1 of Kingma and Ba, Adam: A Method for
// Stochastic Optimization (2015), for the weights of one tensor after another.
type Adam struct {
	Beta1, Beta2, Epsilon float32
	Rate                  float32
	UnbiasMean            float32 // 1/(1 − Beta1^t)
	UnbiasSquare          float32 // 1/(1 − Beta2^t)
}

// Update changes weights, and the running means of their gradient and of its
// square, in place:
//
//	m ← β₁m + (1−β₁)g    s ← β₂s + (1−β₂)g²    w ← w − rate·m̂/(√ŝ + ε)
//
// Bits do not depend on the instruction set.
func (a Adam) Update(weights, grad, mean, square []float32) {
	split(len(weights), 1, costLight, func(lo, hi int) {
		a.update(weights[lo:hi], grad[lo:hi], mean[lo:hi], square[lo:hi])
	})
}

// update makes one pass: memory is what Adam waits for. The conversions keep
// products and sums from being fused.
func (a Adam) update(w, grad, mean, square []float32) {
	if a.updateSIMD(w, grad, mean, square) {
		return
	}
	grad, mean, square = grad[:len(w)], mean[:len(w)], square[:len(w)] // spares the bounds checks
	rest1, rest2 := 1-a.Beta1, 1-a.Beta2
	for i, g := range grad {
		m := float32(a.Beta1*mean[i]) + float32(rest1*g)
		s := float32(a.Beta2*square[i]) + float32(rest2*float32(g*g))
		root := float32(math.Sqrt(float64(s * a.UnbiasSquare)))
		w[i] -= float32(a.Rate*float32(m*a.UnbiasMean)) / (root + a.Epsilon)
		mean[i], square[i] = m, s
	}
}
