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
			dst[i] = T(top.below(logit, noise[i]) / tau)
		}
		sum = expSum(dst)
	}
	scale := T(1 / sum)
	for i := range dst {
		dst[i] *= scale
	}
}

// softmax32 sets dst to 2^(rate·(logits + noise − top)) and returns the sum. It
// is for peaks that are not so much greater than tau that float64 would not
// tell their neighbours apart.
func softmax32(dst, logits, noise []float32, top, rate float64) (sum float64) {
	const round = 3 << 51 // adding and taking away 1.5·2⁵² rounds to an integer
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

// dot returns Σ yᵢgᵢ over the classes whose y is not 0.
func dot[T Float](y, g []T) float64 {
	var sum float64
	for i, v := range y {
		if v != 0 {
			sum += float64(v) * float64(g[i])
		}
	}
	return sum
}
