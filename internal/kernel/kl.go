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
			kl := t.mean - math.Log(t.q.sum) + math.Log(t.p.sum)
			dst[distribution] = T(kl)
			return kl > smallKL[T]()
		},
		second: logitsBeside[T],
		plain: func(logQ, logP []float64, distribution int, _ []T) {
			dst[distribution] = T(divergence(logQ, logP))
		},
	})
}

// smallKL returns how small a divergence the vector code leaves to plain Go. The
// difference of logarithms is off by the rounding of the exponentials, 2e-8 in
// float32.
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
	t.logitsP, t.p.sum = w.zeros[:len(q)], float64(len(q))
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

// divergence returns Σ e^logQ (logQ − logP), at least 0, because only rounding can make
// it negative.
func divergence(logQ, logP []float64) float64 {
	var sum float64
	for i, lq := range logQ {
		if y := math.Exp(lq); y != 0 {
			sum += y * (lq - logP[i])
		}
	}
	return max(sum, 0)
}
