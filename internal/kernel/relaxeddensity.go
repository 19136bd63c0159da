package kernel

import "math"

// A RelaxedDensity is the density of relaxed Bernoulli samples in logit space: of the
// Value y = (a + L)/τ, with a the Logits and L logistic noise. With u = a − τy, its
// logarithm is
//
//	log τ + u − 2 log(1 + e^u) = log τ − |u| − 2 log(1 + e^−|u|)
//
// An infinite logit is a certain outcome, whose sample is the same infinity, with the
// log density 0 and no gradient: see checkOutcome.
type RelaxedDensity[T Float] struct {
	Logits, Value []T
	Tau           float64
}

// Log sets dst to the log density. It is at least the least finite number.
func (r RelaxedDensity[T]) Log(dst []T) error {
	s := densityScalars[T]{T(r.Tau), T(math.Log(r.Tau)), least[T]()}
	return eachElement(dst, r.Logits, r.Value, nil, func(dst, a, y, _ []T) bool {
		s := s // because s itself would be allocated
		return relaxedDensity(dst, a, y, &s)
	}, checkOutcome[T])
}

// GradLogits sets dst to the gradient to the logits, −g tanh(u/2), and GradValue to that
// to the value, g τ tanh(u/2).
func (r RelaxedDensity[T]) GradLogits(dst, grad []T) error { return r.grad(dst, grad, -1) }
func (r RelaxedDensity[T]) GradValue(dst, grad []T) error  { return r.grad(dst, grad, r.Tau) }

func (r RelaxedDensity[T]) grad(dst, grad []T, factor float64) error {
	s := gradDensityScalars[T]{T(r.Tau), T(factor)}
	return eachElement(dst, r.Logits, r.Value, grad, func(dst, a, y, g []T) bool {
		s := s
		return gradRelaxedDensity(dst, a, y, g, &s)
	}, checkOutcome[T])
}

// GradTau returns the gradient to tau: Σ g (1/τ + y tanh(u/2)).
func (r RelaxedDensity[T]) GradTau(grad []T) (float64, error) {
	s := gradDensityScalars[T]{T(r.Tau), 1}
	return sumTiles(Dims{len(r.Logits), 1, 1}, costOf[T](costNoise), func(t *tile[T], sum *float64) error {
		a, y, g, s := t.direct(r.Logits), t.direct(r.Value), t.direct(grad), s
		var sums tauSums
		if gradRelaxedDensityTau(a, y, g, &s, &sums) {
			// A certain outcome adds nothing. Its product with 0 would be NaN.
			sums = tauSums{}
			if err := checkOutcome(t, t.buffer(0), a, y); err != nil {
				return err
			}
			for i, logit := range a {
				if isFinite(logit) {
					gradRelaxedDensityTauGo(a[i:i+1], y[i:i+1], g[i:i+1], &s, &sums)
				}
			}
		}
		*sum += sums.gradient(r.Tau)
		return nil
	})
}

// checkOutcome corrects the elements of dst whose logit is infinite: the outcome is
// certain. If the value is that outcome, the same infinity, the element is 0, and
// otherwise an error. So is NaN, and an infinite value beside a finite logit.
func checkOutcome[T Float](t *tile[T], dst, logits, value []T) error {
	for i, logit := range logits {
		switch y := value[i]; {
		case logit != logit:
			return &InputError{t.index(i, 0), BadFirst, float64(logit)}
		case y != y || isFinite(logit) && !isFinite(y):
			return &InputError{t.index(i, 0), BadSecond, float64(y)}
		case isFinite(logit):
		case y != logit:
			return &InputError{t.index(i, 0), ZeroDensity, float64(y)}
		default:
			dst[i] = 0
		}
	}
	return nil
}

// densityScalars are tau, its logarithm, and the least finite number.
type densityScalars[T Float] struct{ tau, logTau, least T }

// relaxedDensityGo sets dst to log τ − |u| − 2 log(1 + e^−|u|), with u = a − τy. It reports
// whether a u is not finite. A log density out of range is the least finite number.
func relaxedDensityGo[T Float](dst, logits, value []T, s *densityScalars[T]) (bad bool) {
	for i, logit := range logits {
		u := minusProduct(logit, s.tau, value[i])
		bad = bad || !isFinite(u)
		size := max(u, -u)
		dst[i] = max(s.logTau-size-2*softplus(-size), s.least)
	}
	return bad
}

// gradDensityScalars are tau, and what the slope is multiplied by.
type gradDensityScalars[T Float] struct{ tau, factor T }

// gradRelaxedDensityGo sets dst to factor·tanh(u/2)·grad.
func gradRelaxedDensityGo[T Float](dst, logits, value, grad []T, s *gradDensityScalars[T]) (bad bool) {
	for i, logit := range logits {
		u := minusProduct(logit, s.tau, value[i])
		bad = bad || !isFinite(u)
		dst[i] = T(math.Tanh(float64(u)/2)) * s.factor * grad[i]
	}
	return bad
}

// tauSums are the sums of lanes: of the gradient, and of that times y·tanh(u/2).
type tauSums struct{ grad, score [16]float64 }

// gradient returns the gradient to tau.
func (s *tauSums) gradient(tau float64) float64 {
	var grad, score float64
	for lane, g := range s.grad {
		grad += g
		score += s.score[lane]
	}
	return grad/tau + score
}

// gradRelaxedDensityTauGo adds the elements to sums. factor is 1.
func gradRelaxedDensityTauGo[T Float](logits, value, grad []T, s *gradDensityScalars[T], sums *tauSums) (bad bool) {
	for i, logit := range logits {
		u := minusProduct(logit, s.tau, value[i])
		bad = bad || !isFinite(u)
		sums.grad[0] += float64(grad[i])
		sums.score[0] += float64(value[i]) * float64(T(math.Tanh(float64(u)/2))*s.factor*grad[i])
	}
	return bad
}

// minusProduct returns x − y·z, rounded once.
func minusProduct[T Float](x, y, z T) T {
	if isFloat32[T]() {
		return T(float64(x) - float64(y)*float64(z)) // the product is exact
	}
	return T(math.FMA(-float64(y), float64(z), float64(x)))
}
