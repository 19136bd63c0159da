//go:build !purego

package kernel

import "math"

// bceSIMD is BCE on a part of the arrays, if the level has it and the input is
// allowed.
func bceSIMD[T Float](dst, logits, targets, _ []T) bool {
	x, ok := any(logits).([]float32)
	if !ok || level == levelGo {
		return false
	}
	out, z := any(dst).([]float32), any(targets).([]float32)
	if level == levelAVX512 {
		return bce32AVX512(&out[0], &x[0], &z[0], len(x)) == 0
	}
	return bce32AVX2(&out[0], &x[0], &z[0], len(x)) == 0
}

// gradBCESIMD is the same of GradBCELogits.
func gradBCESIMD[T Float](dst, logits, targets, grad []T) bool {
	x, ok := any(logits).([]float32)
	if !ok || level == levelGo {
		return false
	}
	out, z, g := any(dst).([]float32), any(targets).([]float32), any(grad).([]float32)
	if level == levelAVX512 {
		return bceGrad32AVX512(&out[0], &x[0], &z[0], &g[0], len(x)) == 0
	}
	return bceGrad32AVX2(&out[0], &x[0], &z[0], &g[0], len(x)) == 0
}

// klBuffers are rows as long as a distribution.
type klBuffers struct {
	q, p  []float32 // e^(logit − maximum)
	zeros []float32
}

func (b *klBuffers) grow(classes int) {
	if b.zeros == nil {
		b.q, b.p, b.zeros = make([]float32, classes), make([]float32, classes), make([]float32, classes)
	}
}

// exponentials sets dst to e^(logit − maximum) and returns the maximum and the
// sum.
func (b *klBuffers) exponentials(dst, logits []float32) (top float32, sum float64, ok bool) {
	peak, bad := peakSIMD(logits, b.zeros)
	if bad {
		return 0, 0, false
	}
	return peak.sum, exps32(dst, logits, b.zeros, scalars{top: peak.sum, hi: 1}), true
}

// klTerms is what the divergence and its gradients are made of.
type klTerms struct {
	sumQ, sumP float64 // of the exponentials
	mean       float64 // of the differences of the logits less their maxima, under softmax(q)
	p          []float32
	at         scalars // top: the maximum of q, low: that of p; the mean in two parts
}

// terms works a distribution out. A nil p is the uniform one. It is not done
// where the input is not allowed, nor where the mean leaves float32.
func (b *klBuffers) terms(q, p []float32) (t klTerms, ok bool) {
	if level == levelGo {
		return t, false
	}
	b.grow(len(q))
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
	var sum [16]float64
	bad := uint32(0)
	if level == levelAVX512 {
		bad = klDot32AVX512(&b.q[0], &q[0], &t.p[0], len(q), t.at.array(), &sum)
	} else {
		bad = klDot32AVX2(&b.q[0], &q[0], &t.p[0], len(q), t.at.array(), &sum)
	}
	t.mean = addLanes(&sum) / t.sumQ
	t.at.mean, t.at.rest = split32(t.mean)
	return t, bad == 0 && math.Abs(t.mean) < math.MaxFloat32
}

// klSIMD is the divergence of a distribution, if the level has it and the input
// is allowed.
func klSIMD[T Float](w *klWork, q, p []T) (kl float64, ok bool) {
	x, ok := any(q).([]float32)
	if !ok {
		return 0, false
	}
	t, ok := w.simd.terms(x, any(p).([]float32))
	return max(t.mean-math.Log(t.sumQ)+math.Log(t.sumP), 0), ok
}

// gradKLQSIMD is the same of a distribution's gradient to q.
func gradKLQSIMD[T Float](w *klWork, dst, q, p []T, grad float64) bool {
	x, ok := any(q).([]float32)
	if !ok {
		return false
	}
	t, ok := w.simd.terms(x, any(p).([]float32))
	if !ok {
		return false
	}
	out := any(dst).([]float32)
	t.at.hi = float32(grad / t.sumQ)
	if level == levelAVX512 {
		klGrad32AVX512(&out[0], &w.simd.q[0], &x[0], &t.p[0], len(x), t.at.array())
	} else {
		klGrad32AVX2(&out[0], &w.simd.q[0], &x[0], &t.p[0], len(x), t.at.array())
	}
	return true
}

// gradKLPSIMD is the same of its gradient to p.
func gradKLPSIMD[T Float](w *klWork, dst, q, p []T, grad float64) bool {
	x, ok := any(q).([]float32)
	if !ok {
		return false
	}
	t, ok := w.simd.terms(x, any(p).([]float32))
	if !ok {
		return false
	}
	out := any(dst).([]float32)
	t.at.hi, t.at.lo = float32(grad/t.sumP), float32(grad/t.sumQ)
	if level == levelAVX512 {
		weigh32AVX512(&out[0], &w.simd.p[0], &w.simd.q[0], len(x), t.at.array())
	} else {
		weigh32AVX2(&out[0], &w.simd.p[0], &w.simd.q[0], len(x), t.at.array())
	}
	return true
}
