package kernel

import "math"

// A Stretch is the interval that a relaxed sample is stretched to before it is clamped
// to [0, 1], which makes it a hard concrete gate. Gamma is negative, and Zeta is greater
// than 1.
type Stretch struct{ Gamma, Zeta float64 }

// gateScalars are the ends of a Stretch, its width, and 1/tau.
type gateScalars[T Float] struct{ gamma, zeta, width, inverse T }

func newGateScalars[T Float](s Stretch, tau float64) *gateScalars[T] {
	return &gateScalars[T]{T(s.Gamma), T(s.Zeta), T(s.Zeta - s.Gamma), T(1 / tau)}
}

// stretch returns σ(y) stretched, before it is clamped, and σ(y)σ(−y).
func (s *gateScalars[T]) stretch(y T) (z, slope T) {
	e := T(math.Exp(-math.Abs(float64(y))))
	q := e / (1 + e) // σ(−|y|), because σ near 1 loses digits
	z = s.gamma + T(s.width*q)
	if y > 0 {
		z = s.zeta - T(s.width*q)
	}
	return z, q * (1 - q)
}

// Gate sets dst to the gate of the relaxed sample x, x(ζ − γ) + γ clamped to [0, 1], and
// logit to the logit of x.
func (b Bernoulli[T]) Gate(dst, logit []T, s Stretch) error {
	scalars := newGateScalars[T](s, 1)
	return b.sample(logit, func(t *tile[T], y []T) { gate(t.direct(dst), y, scalars) })
}

// gateGo sets dst to the stretched sigmoid of y, clamped to [0, 1].
func gateGo[T Float](dst, y []T, s *gateScalars[T]) {
	for i, v := range y {
		z, _ := s.stretch(v)
		dst[i] = min(max(z, 0), 1)
	}
}

// GradGate is Grad for Gate: (ζ − γ)x(1 − x)/τ times the gradient where the gate is
// neither 0 nor 1, and 0 elsewhere.
func (b Bernoulli[T]) GradGate(dst, y, grad []T, s Stretch) {
	scalars := newGateScalars[T](s, b.Tau)
	_ = eachTile(Dims{len(dst), 1, 1}, costOf[T](costNoise), func(t *tile[T], _ int) error {
		out, y, g := t.direct(dst), t.direct(y), t.direct(grad)
		if hasVector[T](b.Tau) {
			gradGate(out, y, g, scalars)
			return nil
		}
		for i, v := range y {
			out[i] = 0
			if z, slope := scalars.stretch(v); z > 0 && z < 1 {
				out[i] = T(float64(slope) * (s.Zeta - s.Gamma) * float64(g[i]) / b.Tau)
			}
		}
		return nil
	})
}

// gradGateGo sets dst to width·σ(y)σ(−y)·grad/tau where the gate is neither 0 nor 1, and
// to 0 elsewhere.
func gradGateGo[T Float](dst, y, grad []T, s *gateScalars[T]) {
	for i, v := range y {
		dst[i] = 0
		if z, slope := s.stretch(v); z > 0 && z < 1 {
			dst[i] = slope * s.width * grad[i] * s.inverse
		}
	}
}

// GradGateTau is GradTau for Gate: −(1/τ) Σ y(ζ − γ)x(1 − x)·g over the gates that are
// neither 0 nor 1.
func (b Bernoulli[T]) GradGateTau(y, grad []T, s Stretch) float64 {
	scalars := newGateScalars[T](s, 1)
	total, _ := sumTiles(Dims{len(y), 1, 1}, costOf[T](costNoise), func(t *tile[T], sum *float64) error {
		slopes, y := t.buffer(1), t.direct(y)
		gradGate(slopes, y, t.direct(grad), scalars)
		*sum -= dotFinite(y, slopes)
		return nil
	})
	return total / b.Tau
}

// Bound returns log(−γ/ζ), the logit of the relaxed sample above which a gate is not 0.
// The quotient may underflow, but not the difference of logarithms.
func (s Stretch) Bound() float64 { return math.Log(-s.Gamma) - math.Log(s.Zeta) }

// An Opening is the event that a hard concrete gate is not 0.
type Opening[T Float] struct {
	LogAlpha []T
	Tau      float64
	Stretch
}

// shiftScalars are a shift in two parts, and the greatest finite number.
type shiftScalars[T Float] struct{ high, low, most T }

// Probability sets dst to the probability that a gate is not 0, σ(logAlpha − τ·log(−γ/ζ)).
func (o Opening[T]) Probability(dst []T) error {
	return o.each(func(t *tile[T], y []T) { sigmoid(t.direct(dst), y) })
}

// Grad sets dst to the gradient to logAlpha, p(1 − p) times that to the probability p.
func (o Opening[T]) Grad(dst, grad []T) error {
	return o.each(func(t *tile[T], y []T) { gradSigmoid(t.direct(dst), y, t.direct(grad), &slopeScalars[T]{1}) })
}

// GradTau returns the gradient to tau: −log(−γ/ζ) Σ p(1 − p)·g.
func (o Opening[T]) GradTau(grad []T) (float64, error) {
	total, err := sumTiles(Dims{len(grad), 1, 1}, costOf[T](costNoise), func(t *tile[T], sum *float64) error {
		y, slopes := t.buffer(1), t.buffer(2)
		if err := o.logits(t, y); err != nil {
			return err
		}
		gradSigmoid(slopes, y, t.direct(grad), &slopeScalars[T]{1})
		for _, v := range slopes {
			*sum += float64(v)
		}
		return nil
	})
	return -o.Bound() * total, err
}

// each computes the logits of the probabilities, and hands them to f.
func (o Opening[T]) each(f func(t *tile[T], y []T)) error {
	return eachTile(Dims{len(o.LogAlpha), 1, 1}, costOf[T](costNoise), func(t *tile[T], _ int) error {
		y := t.buffer(1)
		if err := o.logits(t, y); err != nil {
			return err
		}
		f(t, y)
		return nil
	})
}

// logits sets y to logAlpha − tau·log(−γ/ζ), which is infinite only if logAlpha is.
func (o Opening[T]) logits(t *tile[T], y []T) error {
	most := float64(-least[T]())
	shift := min(max(o.Tau*o.Bound(), -most), most)
	s := shiftScalars[T]{high: T(shift), most: T(most)}
	s.low = T(shift - float64(s.high))
	logAlpha := t.direct(o.LogAlpha)
	if !shifted(y, logAlpha, &s) {
		return nil
	}
	for i, a := range logAlpha {
		switch {
		case a != a:
			return &InputError{t.index(i, 0), BadFirst, float64(a)}
		case !isFinite(a):
			y[i] = a
		}
	}
	return nil
}

// shiftedGo sets dst to x less the shift, at most the greatest number. It reports whether
// an x is not finite; its element is then undefined.
func shiftedGo[T Float](dst, x []T, s *shiftScalars[T]) (bad bool) {
	for i, v := range x {
		bad = bad || !isFinite(v)
		dst[i] = min(max((v-s.high)-s.low, -s.most), s.most)
	}
	return bad
}
