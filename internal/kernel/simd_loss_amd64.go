//go:build !purego

package kernel

import "math"

// bceRowsSIMD is BCE on a part of the arrays, if the level has it and the input
// is allowed.
func bceRowsSIMD[T Float](dst, logits, targets, _ []T) bool {
	return level != levelGo && bceSIMD(dst, logits, targets) == 0
}

// gradBCERowsSIMD is the same of GradBCELogits.
func gradBCERowsSIMD[T Float](dst, logits, targets, grad []T) bool {
	return level != levelGo && bceGradSIMD(dst, logits, targets, grad) == 0
}

// klBuffers are rows as long as a distribution.
type klBuffers[T Float] struct {
	q, p  []T // e^(logit − maximum)
	zeros []T
}

// exponentials sets dst to e^(logit − maximum) and returns the maximum and the
// sum.
func (b *klBuffers[T]) exponentials(dst, logits []T) (top T, sum float64, ok bool) {
	peak, bad := peakSIMD(logits, b.zeros)
	if bad {
		return 0, 0, false
	}
	at := scalars[T]{top: peak.sum}
	at.hi, at.lo = rate[T](1)
	return peak.sum, expsSIMD(dst, logits, b.zeros, at.array()), true
}

// klTerms is what the divergence and its gradients are made of.
type klTerms[T Float] struct {
	sumQ, sumP float64 // of the exponentials
	mean       float64 // of the differences of the logits less their maxima, under softmax(q)
	p          []T
	at         scalars[T] // top: the maximum of q, low: that of p; the mean in two parts
}

// terms works a distribution out. A nil p is the uniform one. It is not done
// where the input is not allowed, nor where the mean leaves T.
func (b *klBuffers[T]) terms(q, p []T) (t klTerms[T], ok bool) {
	if level == levelGo {
		return t, false
	}
	if b.zeros == nil {
		b.q, b.p, b.zeros = make([]T, len(q)), make([]T, len(q)), make([]T, len(q))
	}
	if t.at.top, t.sumQ, ok = b.exponentials(b.q, q); !ok {
		return t, false
	}
	t.p, t.sumP = b.zeros, float64(len(q))
	if p != nil {
		t.p = p
		if t.at.low, t.sumP, ok = b.exponentials(b.p, p); !ok {
			return t, false
		}
	}
	sum, bad := klDotSIMD(b.q, q, t.p, t.at.array())
	t.mean = sum / t.sumQ
	t.at.mean, t.at.rest = parts[T](t.mean)
	return t, bad == 0 && t.at.mean-t.at.mean == 0
}

// kl is the divergence of a distribution, if the level has it, the input is
// allowed and the divergence is not small.
func (b *klBuffers[T]) kl(q, p []T) (kl float64, ok bool) {
	t, ok := b.terms(q, p)
	if !ok {
		return 0, false
	}
	// The difference of logarithms is off by the exponentials' rounding, 2e-8
	// in float32: plain Go tells small divergences better.
	small := 1e-2
	if !isFloat32[T]() {
		small = 1e-4
	}
	kl = t.mean - math.Log(t.sumQ) + math.Log(t.sumP)
	return kl, kl > small
}

// gradQ is the same of a distribution's gradient to q.
func (b *klBuffers[T]) gradQ(dst, q, p []T, grad float64) bool {
	t, ok := b.terms(q, p)
	if !ok {
		return false
	}
	t.at.hi = T(grad / t.sumQ)
	klGradSIMD(dst, b.q, q, t.p, t.at.array())
	return true
}

// gradP is the same of its gradient to p.
func (b *klBuffers[T]) gradP(dst, q, p []T, grad float64) bool {
	t, ok := b.terms(q, p)
	if !ok {
		return false
	}
	t.at.hi, t.at.lo = T(grad/t.sumP), T(grad/t.sumQ)
	weighSIMD(dst, b.p, b.q, t.at.array())
	return true
}
