package kernel

import "math"

// KL sets dst, one element per distribution, to the Kullback-Leibler divergence
// of softmax(q) from softmax(p):
//
//	KL = Σᵢ softmax(q)ᵢ (log softmax(q)ᵢ − log softmax(p)ᵢ)
//
// A nil p is the uniform distribution.
func KL[T Float](dst, q, p []T, d Dims) error {
	return eachDistribution(q, p, d, nil, distributionKernel[T]{
		vector: func(w *rowWork[T], q, p []T, distribution int, _ []T) bool {
			t, ok := newKLTerms(w, q, p)
			if !ok {
				return false
			}
			shift := math.Log(t.q.sum / t.p.sum)
			kl := t.mean - shift
			if kl <= smallKL[T]() {
				t.s.mean, t.s.meanLow = splitFloat[T](shift)
				sum, far := excess(t.q.e, q, t.logitsP, &t.s)
				kl, ok = sum/t.q.sum, !far
			}
			dst[distribution] = T(kl)
			return ok
		},
		columns: func(w *columns, first, rows int, _ bool) uint32 {
			var f columnFactors
			x, totalP, bad := w.divergence(d.Classes, p == nil)
			small := failedLanes(rows, func(lane int) bool {
				shift := math.Log(x.total[lane] / totalP[lane])
				f.set(lane, 1, shift)
				kl := x.dot[lane]/x.total[lane] - shift
				dst[first+lane] = T(kl)
				return kl > smallKL[T]()
			})
			if small == 0 {
				return bad
			}
			var found columnExcess
			excessColumns(w.soft[:], w.c[:], d.Classes, &f, &found)
			for lane := range rows {
				if small>>lane&1 != 0 {
					dst[first+lane] = T(found.sum[lane] / x.total[lane])
				}
			}
			return bad | small&found.far
		},
		second: logitsBeside[T],
		plain: func(logQ, logP []float64, distribution int, _ []T) {
			dst[distribution] = T(divergence(logQ, logP))
		},
	})
}

// smallKL returns the bound below which a divergence is computed by excess, because the
// difference of logarithms is off by the rounding of the exponentials, 2e-8 in float32.
// Log-probabilities have the same bound.
func smallKL[T Float]() float64 {
	if isFloat32[T]() {
		return 1e-2
	}
	return 1e-4
}

// GradKLQ sets dst to the gradient to q, given that to KL, one element per
// distribution: dL/dqᵢ = g softmax(q)ᵢ (log softmax(q)ᵢ − log softmax(p)ᵢ − KL).
func GradKLQ[T Float](dst, q, p, grad []T, d Dims) error {
	return eachDistribution(q, p, d, dst, distributionKernel[T]{
		vector: func(w *rowWork[T], q, p []T, distribution int, out []T) bool {
			t, ok := newKLTerms(w, q, p)
			if ok = ok && isFinite(grad[distribution]); ok {
				t.s.factor = T(float64(grad[distribution]) / t.q.sum)
				gradKL(out, t.q.e, q, t.logitsP, &t.s)
			}
			return ok
		},
		columns: func(w *columns, first, rows int, _ bool) uint32 {
			var f columnFactors
			x, _, bad := w.divergence(d.Classes, p == nil)
			bad |= failedLanes(rows, func(lane int) bool {
				return f.set(lane, float64(grad[first+lane])/x.total[lane], x.dot[lane]/x.total[lane])
			})
			centredColumns(w.c[:], w.soft[:], w.c[:], d.Classes, &f)
			return bad
		},
		second: logitsBeside[T],
		plain: func(logQ, logP []float64, distribution int, out []T) {
			g, kl := float64(grad[distribution]), divergence(logQ, logP)
			for i, lq := range logQ {
				out[i] = 0
				if !isMasked(lq) {
					out[i] = T(g * math.Exp(lq) * (lq - logP[i] - kl))
				}
			}
		},
	})
}

// GradKLP sets dst to the gradient to p: dL/dpᵢ = g (softmax(p)ᵢ − softmax(q)ᵢ).
func GradKLP[T Float](dst, q, p, grad []T, d Dims) error {
	return eachDistribution(q, p, d, dst, distributionKernel[T]{
		vector: func(w *rowWork[T], q, p []T, distribution int, out []T) bool {
			t, ok := newKLTerms(w, q, p)
			if ok = ok && isFinite(grad[distribution]); ok {
				g := float64(grad[distribution])
				axpby(out, t.p.e, t.q.e, &axpbyScalars[T]{T(g / t.p.sum), T(g / t.q.sum)})
			}
			return ok
		},
		columns: func(w *columns, first, rows int, _ bool) uint32 {
			var f columnWeights
			x, totalP, bad := w.divergence(d.Classes, false)
			bad |= failedLanes(rows, func(lane int) bool {
				g := float64(grad[first+lane])
				return f.set(lane, g/totalP[lane], -g/x.total[lane])
			})
			axpbyColumns(w.c[:], w.probs[:], w.soft[:], d.Classes, &f)
			return bad
		},
		second: logitsBeside[T],
		plain: func(logQ, logP []float64, distribution int, out []T) {
			g := float64(grad[distribution])
			for i, lq := range logQ {
				out[i] = 0
				if !isMasked(logP[i]) { // q is masked there too
					out[i] = T(g * (math.Exp(logP[i]) - math.Exp(lq)))
				}
			}
		},
	})
}

// klTerms are what the vector code computes the divergence and its gradients from.
type klTerms[T Float] struct {
	q, p    exponentials[T]
	logitsP []T
	mean    float64 // of (q − topQ) − (p − topP) under softmax(q)
	s       klScalars[T]
}

// klScalars are what the vector code needs besides arrays: the greatest logits, a
// factor, and the mean of klTerms in two parts.
type klScalars[T Float] struct{ topQ, topP, factor, mean, meanLow T }

// newKLTerms computes the terms of a distribution. A nil p is the uniform one. ok is
// false where there is no vector code, where the input is not allowed, or where the
// mean is not finite in T.
func newKLTerms[T Float](w *rowWork[T], q, p []T) (t klTerms[T], ok bool) {
	if t.q, ok = w.exponentials(&w.expQ, q); !ok {
		return t, false
	}
	t.logitsP, t.p.sum = sized(&w.zeros, len(q)), float64(len(q))
	if p != nil {
		t.logitsP = p
		if t.p, ok = w.exponentials(&w.expP, p); !ok {
			return t, false
		}
	}
	t.s.topQ, t.s.topP = t.q.top, t.p.top
	sum, bad := dotKL(t.q.e, q, t.logitsP, &t.s)
	t.mean = sum / t.q.sum
	t.s.mean, t.s.meanLow = splitFloat[T](t.mean)
	return t, !bad && isFinite(t.s.mean)
}

// dotKLGo returns Σ e·((q − topQ) − (p − topP)) over the classes whose e is not 0. It
// reports whether p masks a class that q does not.
func dotKLGo[T Float](e, q, p []T, s *klScalars[T]) (sum float64, bad bool) {
	for i, y := range e {
		bad = bad || math.IsInf(float64(p[i]), -1) && !math.IsInf(float64(q[i]), -1)
		if y != 0 {
			sum += float64(y) * float64((q[i]-s.topQ)-(p[i]-s.topP))
		}
	}
	return sum, bad
}

// excessGo returns Σ e·(δ + e^−δ − 1) with δ = (q − topQ) − (p − topP) − mean. If the mean is
// the logarithm of the ratio of the sums of exponentials, δ is log softmax(q)ᵢ −
// log softmax(p)ᵢ, and Σ softmax(q)ᵢ e^−δ is 1. So the sum is the divergence times Σ e. Its
// terms are positive, and an error of the mean changes it only in the second order. bad
// reports whether a class has an e of 0, so that the sum lacks its share of softmax(p), or a
// δ beyond ±2.
func excessGo[T Float](e, q, p []T, s *klScalars[T]) (sum float64, bad bool) {
	for i, y := range e {
		d := preciseRatio(q[i], s.topQ, p[i], s.topP) - s.mean - s.meanLow
		bad = bad || y == 0 || !(d > -2 && d < 2)
		sum += float64(y) * float64(d*d*expTail(-d))
	}
	return sum, bad
}

// preciseRatio returns (q − topQ) − (p − topP), with the rounding of one difference.
func preciseRatio[T Float](q, topQ, p, topP T) T {
	x, y := q-topQ, p-topP
	return (x - y) + (lost(q, -topQ, x) - lost(p, -topP, y))
}

// gradKLGo sets dst to factor·e·((q − topQ) − (p − topP) − mean), 0 where e is 0.
func gradKLGo[T Float](dst, e, q, p []T, s *klScalars[T]) {
	for i, y := range e {
		dst[i] = s.factor * centred(y, (q[i]-s.topQ)-(p[i]-s.topP), s.mean, s.meanLow)
	}
}

// axpbyScalars are the factors of axpby: α and −β.
type axpbyScalars[T Float] struct{ alpha, minusBeta T }

// axpbyGo sets dst to α·x + β·y.
func axpbyGo[T Float](dst, x, y []T, s *axpbyScalars[T]) {
	for i, v := range x {
		dst[i] = s.alpha*v - s.minusBeta*y[i]
	}
}

// logitsBeside sets dst to log softmax(p), which may mask only what q masks.
func logitsBeside[T Float](r tileRow[T], logQ, dst []float64) error {
	if err := logSoftmax(r.tile, dst, r.p, r.number, BadSecond); err != nil {
		return err
	}
	if c := unbounded(logQ, dst); c >= 0 {
		return r.problem(c, Infinite)
	}
	return nil
}

// unbounded returns the first class that q allows and p masks, or -1.
func unbounded(logQ, logP []float64) int {
	for c, lq := range logQ {
		if math.IsInf(logP[c], -1) && !math.IsInf(lq, -1) {
			return c
		}
	}
	return -1
}

// divergence returns Σ e^logQ (logQ − logP), as a sum of positive terms: see excess. A class
// without a share of q adds its share of p.
func divergence(logQ, logP []float64) (kl float64) {
	for i, lq := range logQ {
		y, d := math.Exp(lq), lq-logP[i]
		switch {
		case y == 0:
			kl += math.Exp(logP[i])
		case d > -2 && d < 2:
			kl += y * (d * d * expTail(-d))
		default:
			kl += y*(d-1) + math.Exp(logP[i])
		}
	}
	return kl
}
