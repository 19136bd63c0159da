package kernel

import "math"

// Log sets dst to log softmax((logits + noise)/tau), which is finite where the soft
// sample underflows to 0. A masked class is -Inf.
func (s Sampler[T]) Log(dst []T) error {
	return eachTile(s.Dims, costOf[T](costNoise), func(t *tile[T], _ int) error {
		logits, out := t.read(0, s.Logits), t.target(2, dst)
		noise := t.noise(1, s.Noise, prefetch[T]{logits, out})
		for r := range t.rows {
			lo, hi := r*s.Classes, (r+1)*s.Classes
			if !logRow(out[lo:hi], logits[lo:hi], noise[lo:hi], s.Tau) {
				return rowError(t, logits, noise, r)
			}
		}
		t.flush(2, dst)
		return nil
	})
}

// logRow is Log for a row. It returns false if an input is not allowed.
func logRow[T Float](dst, logits, noise []T, tau float64) bool {
	if !hasVector[T](tau) {
		return logRowPlain(dst, logits, noise, tau)
	}
	top, bad := vectorPeak(logits, noise)
	if bad {
		return false
	}
	s := softmaxScalars[T]{top: top.sum, topLow: top.low}
	s.setRate(tau)
	sum := exponentiate(dst, logits, noise, &s)
	logSoftmaxOf(dst, logits, noise, &logScalars[T]{top.sum, top.low, T(1 / tau), T(math.Log(sum)), least[T]()})
	return true
}

// logRowPlain is logRow in float64.
func logRowPlain[T Float](dst, logits, noise []T, tau float64) bool {
	top, bad := findPeak(logits, noise)
	if bad >= 0 || top.class < 0 {
		return false
	}
	var sum float64
	for i, logit := range logits {
		sum += math.Exp(top.exponent(logit, noise[i], tau))
	}
	shift := math.Log(sum)
	for i, logit := range logits {
		dst[i] = T(math.Inf(-1))
		if !isMasked(logit + noise[i]) {
			dst[i] = T(max(top.exponent(logit, noise[i], tau)-shift, float64(least[T]())))
		}
	}
	return true
}

// least returns the least finite number. A sample is not lower unless it is masked.
func least[T Float]() T {
	if isFloat32[T]() {
		return -math.MaxFloat32
	}
	most := math.MaxFloat64
	return T(-most)
}

// logScalars are what the vector code of a logarithm needs: the peak in two parts,
// 1/tau, the logarithm of the sum, and the least finite number.
type logScalars[T Float] struct{ top, topLow, inverse, logSum, least T }

// logSoftmaxOfGo sets dst to (logits + noise − peak)/tau − logSum, -Inf where masked.
func logSoftmaxOfGo[T Float](dst, logits, noise []T, s *logScalars[T]) {
	for i, logit := range logits {
		sum := logit + noise[i]
		dst[i] = T(math.Inf(-1))
		if !isMasked(sum) {
			below := (sum - s.top) + (lost(logit, noise[i], sum) - s.topLow)
			dst[i] = max(below*s.inverse-s.logSum, s.least)
		}
	}
}

// GradLog sets dst to the gradient of Log to the logits, which is also the gradient to
// the noise, given the sample y and the gradient that reaches it:
//
//	dL/dlᵢ = (gᵢ − e^yᵢ Σⱼ gⱼ)/τ
//
// It is exactly 0 for a masked class, whose gradient does not count.
func (s Sampler[T]) GradLog(dst, sample, grad []T) {
	_ = eachTile(s.Dims, costOf[T](costNoise), func(t *tile[T], _ int) error {
		y, g, out := t.read(0, sample), t.read(1, grad), t.target(2, dst)
		for r := range t.rows {
			lo, hi := r*s.Classes, (r+1)*s.Classes
			gradLogRow(out[lo:hi], y[lo:hi], g[lo:hi], s.Tau)
		}
		t.flush(2, dst)
		return nil
	})
}

func gradLogRow[T Float](dst, y, grad []T, tau float64) {
	sum := sumUnmasked(grad, y)
	if hasVector[T](tau) {
		gradLog(dst, y, grad, &gradLogScalars[T]{T(1 / tau), T(sum)})
		return
	}
	for i, v := range y {
		dst[i] = 0
		if !isMasked(v) {
			dst[i] = T((float64(grad[i]) - math.Exp(float64(v))*sum) / tau)
		}
	}
}

// sumUnmaskedGo returns the sum of grad over the classes whose y is not -Inf.
func sumUnmaskedGo[T Float](grad, y []T) (sum float64) {
	for i, v := range y {
		if !isMasked(v) {
			sum += float64(grad[i])
		}
	}
	return sum
}

// gradLogScalars are 1/tau and the sum of the gradient.
type gradLogScalars[T Float] struct{ inverse, sum T }

// gradLogGo sets dst to (grad − e^y·sum)/tau, 0 where masked.
func gradLogGo[T Float](dst, y, grad []T, s *gradLogScalars[T]) {
	for i, v := range y {
		dst[i] = 0
		if !isMasked(v) {
			dst[i] = (grad[i] - T(math.Exp(float64(v)))*s.sum) * s.inverse
		}
	}
}

// GradLogTau returns the gradient of Log to tau, given the sample y and the gradient
// that reaches it:
//
//	dL/dτ = −(1/τ) Σᵢ yᵢ (gᵢ − e^yᵢ Σⱼ gⱼ)
//
// over the classes that are not masked. The formula has (logits + noise)/τ in place of
// y. They differ by a constant in each distribution, which cancels.
func (s Sampler[T]) GradLogTau(sample, grad []T) float64 {
	if s.Size() == 0 {
		return 0
	}
	_, _, count := s.tiles()
	sums := make([]float64, count)
	_ = eachTile(s.Dims, costNoise, func(t *tile[T], number int) error {
		y, g := t.read(0, sample), t.read(1, grad)
		for r := range t.rows {
			lo, hi := r*s.Classes, (r+1)*s.Classes
			sum := sumUnmasked(g[lo:hi], y[lo:hi])
			for i := lo; i < hi; i++ {
				if v := float64(y[i]); !isMasked(v) {
					sums[number] -= v * (float64(g[i]) - math.Exp(v)*sum)
				}
			}
		}
		return nil
	})
	var total float64
	for _, sum := range sums {
		total += sum
	}
	return total / s.Tau
}
