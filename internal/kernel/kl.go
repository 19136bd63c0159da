package kernel

import "math"

// KL sets dst, one element a distribution, to the Kullback-Leibler divergence
// of softmax(q) from softmax(p):
//
//	KL = Σᵢ softmax(q)ᵢ (log softmax(q)ᵢ − log softmax(p)ᵢ)
//
// A nil p is the uniform distribution.
func KL[T Float](dst, q, p []T, d Dims) error {
	return eachDivergence(q, p, d, nil, divergenceKernel[T]{
		simd: func(w *klWork[T], q, p []T, distribution int, _ []T) bool {
			kl, ok := w.simd.kl(q, p)
			if ok {
				dst[distribution] = T(kl)
			}
			return ok
		},
		plain: func(logQ, logP []float64, distribution int, _ []T) {
			dst[distribution] = T(divergence(logQ, logP))
		},
	})
}

// GradKLQ sets dst to the gradient to q, given that to KL, one element a
// distribution: dL/dqᵢ = g softmax(q)ᵢ (log softmax(q)ᵢ − log softmax(p)ᵢ − KL).
func GradKLQ[T Float](dst, q, p, grad []T, d Dims) error {
	return eachDivergence(q, p, d, dst, divergenceKernel[T]{
		simd: func(w *klWork[T], q, p []T, distribution int, out []T) bool {
			return w.simd.gradQ(out, q, p, float64(grad[distribution]))
		},
		plain: func(logQ, logP []float64, distribution int, out []T) {
			g, kl := float64(grad[distribution]), divergence(logQ, logP)
			for i, lq := range logQ {
				out[i] = 0
				if y := math.Exp(lq); y != 0 {
					out[i] = T(g * y * (lq - logP[i] - kl))
				}
			}
		},
	})
}

// GradKLP sets dst to the gradient to p: dL/dpᵢ = g (softmax(p)ᵢ − softmax(q)ᵢ).
func GradKLP[T Float](dst, q, p, grad []T, d Dims) error {
	return eachDivergence(q, p, d, dst, divergenceKernel[T]{
		simd: func(w *klWork[T], q, p []T, distribution int, out []T) bool {
			return w.simd.gradP(out, q, p, float64(grad[distribution]))
		},
		plain: func(logQ, logP []float64, distribution int, out []T) {
			g := float64(grad[distribution])
			for i, lq := range logQ {
				out[i] = T(g * (math.Exp(logP[i]) - math.Exp(lq)))
			}
		},
	})
}

// unbounded returns the first class that q allows and p does not, else -1.
func unbounded(logQ, logP []float64) int {
	for c, lq := range logQ {
		if math.IsInf(logP[c], -1) && !math.IsInf(lq, -1) {
			return c
		}
	}
	return -1
}

// divergence returns Σ e^logQ (logQ − logP). Rounding alone could make it
// negative.
func divergence(logQ, logP []float64) float64 {
	var sum float64
	for i, lq := range logQ {
		if y := math.Exp(lq); y != 0 {
			sum += y * (lq - logP[i])
		}
	}
	return max(sum, 0)
}
