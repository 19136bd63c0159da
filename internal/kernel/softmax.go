package kernel

import (
	"math"

	"github.com/gumbel-go/gumbel/internal/coeff"
)

// softmax sets dst to the softmax of (logits + noise)/tau.
func softmax[T Float](dst, logits, noise []T, top peak[T], tau float64) {
	var sum float64
	if x, ok := any(dst).([]float32); ok && math.Abs(float64(top.sum)) < tau*(1<<27) {
		sum = softmax32(x, any(logits).([]float32), any(noise).([]float32), float64(top.sum)+float64(top.low), math.Log2E/tau)
	} else {
		for i, logit := range logits {
			dst[i] = T(top.exponent(logit, noise[i], tau))
		}
		sum = expSum(dst)
	}
	scaleGo(dst, T(1/sum))
}

// softmax32 sets dst to 2^(rate·(logits + noise − top)) and returns the sum. The peak
// must not be so much greater than tau that float64 rounds its neighbours to it.
func softmax32(dst, logits, noise []float32, top, rate float64) (sum float64) {
	const round = 3 << 51 // adding and subtracting 1.5·2⁵² rounds to an integer
	noise, dst = noise[:len(logits)], dst[:len(logits)]
	for i, logit := range logits {
		x := (float64(logit) + float64(noise[i]) - top) * rate
		if !(x > -151) {
			dst[i] = 0
			continue
		}
		n := x + round - round
		r := float32(x - n)
		z := r * r
		y := 1 + r*coeff.Exp2C1 + z*(coeff.Exp2C2+r*coeff.Exp2C3+z*(coeff.Exp2C4+r*coeff.Exp2C5))
		if n < -126 {
			y = y * exp2(int32(n)+64) * exp2(-64)
		} else {
			y *= exp2(int32(n))
		}
		dst[i] = y
		sum += float64(y)
	}
	return sum
}

// vectorSoftmax is softmax in vector code. s has the rate and gets the peak.
func vectorSoftmax[T Float](dst, logits, noise []T, top peak[T], s *softmaxScalars[T]) {
	s.top, s.topLow = top.sum, top.low
	sum := exponentiate(dst, logits, noise, s)
	scale(dst, T(1/sum))
}

// softmaxScalars are what the vector code of a softmax needs besides arrays: the
// peak, the rate of the exponentials (see setRate), and the mean gradient under the
// sample, each in two parts that add up to it.
type softmaxScalars[T Float] struct {
	top, topLow   T
	rate, rateLow T
	mean, meanLow T
}

// setRate sets the factor of the exponents: 1/tau in float64, and log2(e)/tau in
// float32, whose exponentials are powers of 2.
func (s *softmaxScalars[T]) setRate(tau float64) {
	if isFloat32[T]() {
		s.rate, s.rateLow = splitFloat[T](math.Log2E / tau)
		return
	}
	s.rate = T(1 / tau)
	s.rateLow = T(math.FMA(-float64(s.rate), tau, 1) / tau)
}

// splitFloat returns two numbers that add up to x.
func splitFloat[T Float](x float64) (hi, lo T) {
	hi = T(x)
	return hi, T(x - float64(hi))
}

// hasVector reports whether there is vector code for a temperature. The inverse has to
// be far from the ends of T. In float32 the lower part of the rate, at most 2⁻²⁴ of it,
// has to stay finite when multiplied by any difference.
func hasVector[T Float](tau float64) bool {
	least, most := 1e-7, 1e30
	if !isFloat32[T]() {
		least, most = 1e-290, 1e290
	}
	return level != levelGo && tau > least && tau < most
}

// exp returns e^((logit + noise − peak)/tau), 0 where masked.
func (s *softmaxScalars[T]) exp(logit, noise T) T {
	sum := logit + noise
	d, e := float64(sum-s.top), float64(lost(logit, noise, sum)-s.topLow)
	x := (d + e) * (float64(s.rate) + float64(s.rateLow))
	switch {
	case math.IsInf(d, -1):
		return 0
	case isFloat32[T]():
		return T(math.Exp2(x))
	default:
		return T(math.Exp(x))
	}
}

// exponentiateGo sets dst to e^((logits + noise − peak)/tau) and returns the sum.
func exponentiateGo[T Float](dst, logits, noise []T, s *softmaxScalars[T]) (sum float64) {
	for i, logit := range logits {
		dst[i] = s.exp(logit, noise[i])
		sum += float64(dst[i])
	}
	return sum
}

// scaleGo multiplies dst by a number.
func scaleGo[T Float](dst []T, by T) {
	for i := range dst {
		dst[i] *= by
	}
}

// dotGo returns Σ xᵢyᵢ. It may prefetch another array, which is as long.
func dotGo[T Float](x, y []T, ahead []T) (sum float64) {
	for i, v := range x {
		sum += float64(v) * float64(y[i])
	}
	return sum
}

// centred returns y·(x − mean), exactly 0 where y is 0, of a mean in two parts.
func centred[T Float](y, x, mean, meanLow T) T {
	if y == 0 {
		return 0
	}
	return y * (x - mean - meanLow)
}
