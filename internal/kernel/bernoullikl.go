package kernel

import (
	"math"

	"github.com/gumbel-go/gumbel/internal/coeff"
)

// BernoulliKL sets dst to the Kullback-Leibler divergence of Bernoulli(σ(a)) from
// Bernoulli(σ(b)), elementwise. A nil b is 0, the fair coin. With p = σ(a), q = σ(−a)
// and d = b − a, the divergence is
//
//	log(p·e^qd + q·e^−pd) = log(1 + p·φ(qd) + q·φ(−pd)),  φ(x) = e^x − 1 − x
//
// Nothing cancels in the second form, however close a and b are, because φ is positive.
// Where |d| ≥ 2, so that φ may overflow, the terms of this form cancel little:
//
//	softplus(b) − softplus(a) − pd = max(b, 0) − pd + log((1 + e^−|b|)/(1 + e^a)),  a ≤ 0
//
// Both forms have the same value for −a and −b. With the signs that make a negative, p is
// at most ½, and small where the divergence is. The relative error is at most eight units
// in the last place.
//
// An infinite a is a certain outcome, and the divergence is softplus(∓b). An infinite b is
// an error beside another a: see checkCertain.
func BernoulliKL[T Float](dst, a, b []T) error {
	return eachElement(dst, a, b, nil, func(dst, a, b, _ []T) bool { return bernoulliKL(dst, a, b) }, checkCertain[T])
}

// GradBernoulliKLQ sets dst to the gradient to a: g σ(a)σ(−a)(a − b), 0 where a is
// infinite.
func GradBernoulliKLQ[T Float](dst, a, b, grad []T) error {
	return eachElement(dst, a, b, grad, gradBernoulliKLQ[T], checkCertain[T])
}

// GradBernoulliKLP sets dst to the gradient to b: g (σ(b) − σ(a)). The difference of the
// greater and the less of the two is computed without cancellation, as
// σ(h) − σ(l) = σ(h)σ(−l)(1 − e^(l−h)).
func GradBernoulliKLP[T Float](dst, a, b, grad []T) error {
	return eachElement(dst, a, b, grad, gradBernoulliKLP[T], checkCertain[T])
}

// checkCertain corrects the elements of dst whose b is infinite: the outcome is certain
// under b. If it is the same one under a, the element is 0, and otherwise an error. So is
// NaN.
func checkCertain[T Float](t *tile[T], dst, a, b []T) error {
	for i, x := range a {
		switch {
		case x != x:
			return &InputError{t.index(i, 0), BadFirst, float64(x)}
		case b[i] != b[i]:
			return &InputError{t.index(i, 0), BadSecond, float64(b[i])}
		case isFinite(b[i]):
		case b[i] != x:
			return &InputError{t.index(i, 0), InfiniteKL, float64(b[i])}
		default:
			dst[i] = 0
		}
	}
	return nil
}

// bernoulliKLGo sets dst to the divergence. It reports whether one is not finite, because
// an a is NaN, or a b is NaN or infinite.
func bernoulliKLGo[T Float](dst, a, b []T) (bad bool) {
	for i, x := range a {
		y := b[i]
		if x > 0 {
			x, y = -x, -y
		}
		x = max(x, underflow[T]()) // there p is 0, and d has to be finite
		e := expNegative(x)
		q := 1 / (1 + e)
		p, d := e*q, y-x
		if u, v := q*d, p*d; d > -2 && d < 2 {
			dst[i] = log1p(u * v * (T(q*expTail(u)) + T(p*expTail(-v))))
		} else {
			dst[i] = max(y, 0) - v + log1p((expNegative(-max(y, -y))-e)*q)
		}
		bad = bad || !isFinite(dst[i])
	}
	return bad
}

// gradBernoulliKLQGo sets dst to σ(a)σ(−a)(a − b)·grad, 0 where a is infinite.
func gradBernoulliKLQGo[T Float](dst, a, b, grad []T) (bad bool) {
	for i, x := range a {
		bad = bad || x != x || !isFinite(b[i])
		dst[i] = 0
		if isFinite(x) {
			d := min(max(x-b[i], least[T]()), -least[T]()) // finite, because the slope may be 0
			dst[i] = T(slope(float64(x))) * d * grad[i]
		}
	}
	return bad
}

// gradBernoulliKLPGo sets dst to (σ(b) − σ(a))·grad.
func gradBernoulliKLPGo[T Float](dst, a, b, grad []T) (bad bool) {
	for i, x := range a {
		y := b[i]
		bad = bad || x != x || !isFinite(y)
		high, low := max(x, y), min(x, y)
		rest := -math.Expm1(float64(low) - float64(high))
		dst[i] = T(rest*sigmoidOf(float64(high))*sigmoidOf(-float64(low))) * grad[i]
		if x > y {
			dst[i] = -dst[i]
		}
	}
	return bad
}

// expTail returns (e^x − 1 − x)/x² for x in [−2, 2], without cancellation.
func expTail[T Float](x T) T {
	c := coeff.ExpTail64
	if isFloat32[T]() {
		c = coeff.ExpTail
	}
	p := T(c[len(c)-1])
	for i := len(c) - 2; i >= 0; i-- {
		p = T(p*x) + T(c[i])
	}
	return p
}

// underflow returns a number whose exponential is 0.
func underflow[T Float]() T {
	if isFloat32[T]() {
		return expUnderflow
	}
	return -746
}

// log1p returns log(1+x) for x in [−½, 1].
func log1p[T Float](x T) T {
	if isFloat32[T]() {
		return T(log1p32(float32(x)))
	}
	return T(math.Log1p(float64(x)))
}
