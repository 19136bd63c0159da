package kernel

import (
	"math"

	"github.com/gumbel-go/gumbel/internal/philox"
)

// BCE sets dst to the binary cross-entropy of targets z from sigmoid(logits x),
// elementwise:
//
//	max(x, 0) − x·z + log(1 + e^−|x|)
//
// written so that for z in [0, 1] nothing cancels: |x|·(1−z) or |x|·z, plus
// the logarithm. Finite for every finite logit.
func BCE[T Float](dst, logits, targets []T) error {
	return eachLogit(dst, logits, targets, nil, bceRowsSIMD, func(x, z T) T {
		if x > 0 {
			return T(x*(1-z)) + softplus(-x)
		}
		return T(-x*z) + softplus(x)
	})
}

// GradBCELogits sets dst to the gradient to the logits: g (sigmoid(x) − z).
func GradBCELogits[T Float](dst, logits, targets, grad []T) error {
	return eachLogit(dst, logits, targets, grad, gradBCERowsSIMD, func(x, z T) T {
		e := expNegative(-max(x, -x))
		if x > 0 { // sigmoid(x) − z without cancellation at z = 1
			return (1 - z) - e/(1+e)
		}
		return e/(1+e) - z
	})
}

// GradBCETargets sets dst to the gradient to the targets: −g x.
func GradBCETargets[T Float](dst, logits, targets, grad []T) error {
	none := func(_, _, _, _ []T) bool { return false }
	return eachLogit(dst, logits, targets, grad, none, func(x, _ T) T { return -x })
}

// expNegative returns e^x for x ≤ 0.
func expNegative[T Float](x T) T {
	switch x := any(x).(type) {
	case float32:
		return T(exp32(x))
	default:
		return T(math.Exp(float64(x.(T))))
	}
}

// softplus returns log(1 + e^x) for x ≤ 0.
func softplus[T Float](x T) T {
	if x, ok := any(x).(float32); ok {
		return T(log1p32(exp32(x)))
	}
	return T(math.Log1p(math.Exp(float64(x))))
}

// log1p32 returns log(1+x) for x in [0, 1]; 1+x itself is never rounded.
func log1p32(x float32) float32 {
	f, k := [1]float32{x}, [philox.Group]float32{}
	if x >= 0.5 {
		f[0], k[0] = (x-1)*0.5, 1
	}
	minusLogs32(f[:], &k)
	return -f[0]
}
