package kernel

import "math"

// BCE sets dst to the binary cross-entropy of targets z and sigmoid(logits x),
// elementwise:
//
//	max(x, 0) − x·z + log(1 + e^−|x|)
//
// It is computed as |x|·(1−z) or |x|·z plus the logarithm, so that nothing cancels for
// z in [0, 1]. It is finite for every finite logit. An infinite logit has the loss 0,
// with gradients of 0, beside the target that it predicts; beside another target it is
// an error.
func BCE[T Float](dst, logits, targets []T) error {
	return eachElement(dst, logits, targets, nil, func(dst, x, z, _ []T) bool { return bce(dst, x, z) }, checkInfinite[T])
}

// GradBCELogits sets dst to the gradient to the logits: g (sigmoid(x) − z).
func GradBCELogits[T Float](dst, logits, targets, grad []T) error {
	return eachElement(dst, logits, targets, grad, gradBCE[T], checkInfinite[T])
}

// GradBCETargets sets dst to the gradient to the targets: −g x.
func GradBCETargets[T Float](dst, logits, targets, grad []T) error {
	return eachElement(dst, logits, targets, grad, func(dst, x, z, g []T) (bad bool) {
		for i, x := range x {
			bad = bad || !isFinite(x) || !isFinite(z[i])
			dst[i] = -x * g[i]
		}
		return bad
	}, checkInfinite[T])
}

func bceGo[T Float](dst, logits, targets []T) (bad bool) {
	for i, x := range logits {
		z := targets[i]
		bad = bad || !isFinite(x) || !isFinite(z)
		if x > 0 {
			dst[i] = T(x*(1-z)) + softplus(-x)
		} else {
			dst[i] = T(-x*z) + softplus(x)
		}
	}
	return bad
}

func gradBCEGo[T Float](dst, logits, targets, grad []T) (bad bool) {
	for i, x := range logits {
		z, e := targets[i], expNegative(-max(x, -x))
		bad = bad || !isFinite(x) || !isFinite(z)
		if x > 0 { // sigmoid(x) − z without cancellation at z = 1
			dst[i] = ((1 - z) - e/(1+e)) * grad[i]
		} else {
			dst[i] = (e/(1+e) - z) * grad[i]
		}
	}
	return bad
}

// expNegative returns e^x for x ≤ 0.
func expNegative[T Float](x T) T {
	if isFloat32[T]() {
		return T(exp32(float32(x)))
	}
	return T(math.Exp(float64(x)))
}

// softplus returns log(1 + e^x) for x ≤ 0.
func softplus[T Float](x T) T {
	if isFloat32[T]() {
		return T(log1p32(exp32(float32(x))))
	}
	return T(math.Log1p(math.Exp(float64(x))))
}
