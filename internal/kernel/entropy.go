package kernel

import "math"

// Entropy sets dst, one element per distribution, to the entropy of softmax(logits):
//
//	H = −Σᵢ pᵢ log pᵢ
func Entropy[T Float](dst, logits []T, d Dims) error {
	return eachDistribution(logits, nil, d, nil, distributionKernel[T]{
		vector: func(w *rowWork[T], logits, _ []T, distribution int, _ []T) bool {
			x, s, ok := entropyTerms(w, logits)
			if !ok {
				return false
			}
			h := math.Log(x.sum) - float64(s.mean) - float64(s.meanLow)
			dst[distribution] = T(h)
			return h > smallEntropy[T]()
		},
		columns: func(w *columns, first, rows int, _ bool) (failed uint32) {
			x, bad := w.entropy(d.Classes)
			return bad | failedLanes(rows, func(lane int) bool {
				h := math.Log(x.total[lane]) - x.dot[lane]/x.total[lane]
				dst[first+lane] = T(h)
				return h > smallEntropy[T]()
			})
		},
		plain: func(logP, _ []float64, distribution int, _ []T) { dst[distribution] = T(entropy(logP)) },
	})
}

// GradEntropy sets dst to the gradient to the logits: −g pᵢ(log pᵢ + H).
func GradEntropy[T Float](dst, logits, grad []T, d Dims) error {
	return eachDistribution(logits, nil, d, dst, distributionKernel[T]{
		vector: func(w *rowWork[T], logits, _ []T, distribution int, out []T) bool {
			x, s, ok := entropyTerms(w, logits)
			if ok = ok && isFinite(grad[distribution]); ok {
				s.factor = T(float64(grad[distribution]) / x.sum)
				gradEntropy(out, x.e, logits, &s)
			}
			return ok
		},
		columns: func(w *columns, first, rows int, _ bool) (failed uint32) {
			var f columnFactors
			x, bad := w.entropy(d.Classes)
			bad |= failedLanes(rows, func(lane int) bool {
				return f.set(lane, -float64(grad[first+lane])/x.total[lane], x.dot[lane]/x.total[lane])
			})
			centredColumns(w.c[:], w.soft[:], w.c[:], d.Classes, &f)
			return bad
		},
		plain: func(logP, _ []float64, distribution int, out []T) {
			g, h := float64(grad[distribution]), entropy(logP)
			for i, lp := range logP {
				out[i] = 0
				if !isMasked(lp) {
					out[i] = T(-g * math.Exp(lp) * (lp + h))
				}
			}
		},
	})
}

// smallEntropy returns the bound below which the vector code leaves entropies to plain Go.
// The two terms have one sign, so only the sum of the exponentials, which is near 1, loses
// digits.
func smallEntropy[T Float]() float64 {
	if isFloat32[T]() {
		return 1e-8
	}
	return smallKL[T]()
}

// entropy returns −Σ e^logP logP.
func entropy(logP []float64) (h float64) {
	for _, lp := range logP {
		if p := math.Exp(lp); p != 0 {
			h -= p * lp
		}
	}
	return h
}

// entropyScalars are the greatest logit, a factor, and the mean of logit − top under
// the distribution in two parts.
type entropyScalars[T Float] struct{ top, factor, mean, meanLow T }

// entropyTerms computes the exponentials of a distribution and their mean. ok is false
// where there is no vector code, where the input is not allowed, or where the mean is
// not finite in T.
func entropyTerms[T Float](w *rowWork[T], logits []T) (x exponentials[T], s entropyScalars[T], ok bool) {
	if x, ok = w.exponentials(&w.expQ, logits); ok {
		s.top = x.top
		s.mean, s.meanLow = splitFloat[T](dotEntropy(x.e, logits, &s) / x.sum)
	}
	return x, s, ok && isFinite(s.mean)
}

// dotEntropyGo returns Σ e·(logit − top) over the classes whose e is not 0.
func dotEntropyGo[T Float](e, logits []T, s *entropyScalars[T]) (sum float64) {
	for i, y := range e {
		if y != 0 {
			sum += float64(y) * float64(logits[i]-s.top)
		}
	}
	return sum
}

// gradEntropyGo sets dst to factor·e·(mean − (logit − top)), 0 where e is 0.
func gradEntropyGo[T Float](dst, e, logits []T, s *entropyScalars[T]) {
	for i, y := range e {
		dst[i] = s.factor * (0 - centred(y, logits[i]-s.top, s.mean, s.meanLow))
	}
}
