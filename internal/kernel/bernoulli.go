package kernel

import "math"

// A Bernoulli draws from Bernoulli(sigmoid(Logits)) by adding logistic noise, and from
// its relaxation at temperature Tau. A Stream draws the noise, which Save does not
// receive. An infinite sum of logit and noise is a certain outcome, whose gradient is
// exactly 0.
type Bernoulli[T Float] struct {
	Logits []T
	Noise  Noise[T]
	Tau    float64
}

// Logit sets dst to (logits + noise)/tau.
func (b Bernoulli[T]) Logit(dst []T) error { return b.sample(dst, nil) }

// Soft sets dst to sigmoid((logits + noise)/tau), and logit to the argument.
func (b Bernoulli[T]) Soft(dst, logit []T) error {
	return b.sample(logit, func(t *tile[T], y []T) { sigmoid(t.direct(dst), y) })
}

// Hard sets dst to 1 where logits + noise is positive and to 0 elsewhere, and logit to
// the sum divided by tau.
func (b Bernoulli[T]) Hard(dst, logit []T) error {
	return b.sample(logit, func(t *tile[T], y []T) { step(t.direct(dst), y) })
}

// stepGo sets dst to 1 where y is positive, and to 0 elsewhere.
func stepGo[T Float](dst, y []T) {
	for i, v := range y {
		dst[i] = 0
		if v > 0 {
			dst[i] = 1
		}
	}
}

// sample computes the logits of the samples, in a buffer if logit is empty, and hands
// them to f.
func (b Bernoulli[T]) sample(logit []T, f func(t *tile[T], y []T)) error {
	return eachTile(Dims{len(b.Logits), 1, 1}, costOf[T](costNoise), func(t *tile[T], _ int) error {
		y := t.buffer(2)
		if len(logit) > 0 {
			y = t.direct(logit)
		}
		if err := b.logits(t, y); err != nil {
			return err
		}
		if f != nil {
			f(t, y)
		}
		return nil
	})
}

// logits sets y to (logits + noise)/tau.
func (b Bernoulli[T]) logits(t *tile[T], y []T) error {
	logits, noise := t.direct(b.Logits), t.logistic(1, b.Noise)
	s := temperedScalars[T]{T(1 / b.Tau), -least[T]()}
	vector := hasVector[T](b.Tau)
	if vector && !tempered(y, logits, noise, &s) {
		return nil
	}
	for i, logit := range logits {
		sum := logit + noise[i]
		switch infinite := math.IsInf(float64(logit), 0) || math.IsInf(float64(noise[i]), 0); {
		case logit != logit:
			return &InputError{t.index(i, 0), BadFirst, float64(logit)}
		case noise[i] != noise[i] || sum != sum:
			return &InputError{t.index(i, 0), BadSecond, float64(noise[i])}
		case infinite:
			y[i] = sum
		case !isFinite(sum):
			return &InputError{t.index(i, 0), Overflow, float64(sum)}
		case vector: // tempered has set y[i], and no other element may change its bits
		default:
			most := float64(s.most)
			y[i] = T(min(max(float64(sum)/b.Tau, -most), most))
		}
	}
	return nil
}

// logistic returns the tile's noise, in buffer n unless it is given.
func (t *tile[T]) logistic(n int, noise Noise[T]) []T {
	if noise.Given != nil {
		return t.direct(noise.Given)
	}
	rows := t.buffer(n)
	if noise.Stream == nil {
		clear(rows)
	} else {
		fill(rows, *noise.Stream, uint64(t.index(0, 0)), prefetch[T]{}, logisticLaw)
	}
	return rows
}

// temperedScalars are 1/tau and the greatest finite number.
type temperedScalars[T Float] struct{ inverse, most T }

// temperedGo sets dst to (logits + noise)/tau, at most the greatest number. It reports
// whether a sum is not finite; its element is then undefined.
func temperedGo[T Float](dst, logits, noise []T, s *temperedScalars[T]) (bad bool) {
	for i, logit := range logits {
		sum := logit + noise[i]
		bad = bad || !isFinite(sum)
		dst[i] = min(max(sum*s.inverse, -s.most), s.most)
	}
	return bad
}

// sigmoidGo sets dst to 1/(1 + e^−y).
func sigmoidGo[T Float](dst, y []T) {
	for i, v := range y {
		e := T(math.Exp(-math.Abs(float64(v))))
		dst[i] = e / (1 + e)
		if v > 0 {
			dst[i] = 1 / (1 + e)
		}
	}
}

// slopeScalars is what the slope is multiplied by.
type slopeScalars[T Float] struct{ factor T }

// gradSigmoidGo sets dst to σ(y)σ(−y)·grad·factor, 0 where y is infinite.
func gradSigmoidGo[T Float](dst, y, grad []T, s *slopeScalars[T]) {
	for i, v := range y {
		dst[i] = 0
		if isFinite(v) {
			e := T(math.Exp(-math.Abs(float64(v))))
			dst[i] = e / ((1 + e) * (1 + e)) * grad[i] * s.factor
		}
	}
}

// slope returns σ(y)σ(−y).
func slope(y float64) float64 {
	e := math.Exp(-math.Abs(y))
	return e / ((1 + e) * (1 + e))
}

// Grad sets dst to the gradient to the logits and the noise, given the logits y of the
// samples and the gradient that reaches the samples: x(1−x)/τ times that.
func (b Bernoulli[T]) Grad(dst, y, grad []T) {
	_ = eachTile(Dims{len(dst), 1, 1}, costOf[T](costNoise), func(t *tile[T], _ int) error {
		out, y, g := t.direct(dst), t.direct(y), t.direct(grad)
		if hasVector[T](b.Tau) {
			gradSigmoid(out, y, g, &slopeScalars[T]{T(1 / b.Tau)})
			return nil
		}
		for i, v := range y {
			out[i] = 0
			if isFinite(v) {
				out[i] = T(slope(float64(v)) * float64(g[i]) / b.Tau)
			}
		}
		return nil
	})
}

// GradLogit is Grad for Logit: the gradient divided by tau.
func (b Bernoulli[T]) GradLogit(dst, y, grad []T) {
	for i, v := range y {
		dst[i] = 0
		if isFinite(v) {
			dst[i] = T(float64(grad[i]) / b.Tau)
		}
	}
}

// GradTau returns the gradient to tau: −(1/τ) Σ y·x(1−x)·g.
func (b Bernoulli[T]) GradTau(y, grad []T) float64 {
	vector := hasVector[T](b.Tau)
	total, _ := sumTiles(Dims{len(y), 1, 1}, costOf[T](costNoise), func(t *tile[T], sum *float64) error {
		slopes, y, g := t.buffer(1), t.direct(y), t.direct(grad)
		if vector {
			gradSigmoid(slopes, y, g, &slopeScalars[T]{1})
		} else {
			for i, v := range y {
				slopes[i] = T(slope(float64(v)) * float64(g[i]))
			}
		}
		*sum -= dotFinite(y, slopes)
		return nil
	})
	return total / b.Tau
}

// GradLogitTau is GradTau for Logit: −(1/τ) Σ y·g.
func (b Bernoulli[T]) GradLogitTau(y, grad []T) float64 {
	total, _ := sumTiles(Dims{len(y), 1, 1}, costOf[T](costLight), func(t *tile[T], sum *float64) error {
		*sum -= dotFinite(t.direct(y), t.direct(grad))
		return nil
	})
	return total / b.Tau
}

// dotFinite returns Σ y·g over the elements whose y is finite.
func dotFinite[T Float](y, g []T) (sum float64) {
	for i, v := range y {
		if isFinite(v) {
			sum += float64(v) * float64(g[i])
		}
	}
	return sum
}

// The estimators of a hard sample are those of a Choice between the logit and 0. With
// a the logit and D the sample, 0 or 1, they are the gradient times a factor.

// GradReinMax sets dst to (2q(1−q) − ½p(1−p))g, with q = ½(σ(a/τ) + D) and p = σ(a).
func (b Bernoulli[T]) GradReinMax(dst, hard, grad []T) {
	b.estimate(dst, hard, grad, func(out, side, g []T) {
		reinMaxSlope(out, side, g, &sideScalars[T]{inverse: T(1 / b.Tau)})
	}, func(side float64) float64 {
		// 1 − σ without cancellation is the other side's σ.
		return 0.5*sigmoidOf(-side/b.Tau)*(1+sigmoidOf(side/b.Tau)) - 0.5*slope(side)
	})
}

// sideScalars are 1/tau, and the least logit of the sampled outcome.
type sideScalars[T Float] struct{ inverse, gap T }

// reinMaxSlopeGo sets dst to (½σ(−y)(1 + σ(y)) − ½σ(side)σ(−side))·grad, y = side/tau, for
// the logits of the sampled outcomes, and to 0 where these are infinite.
func reinMaxSlopeGo[T Float](dst, side, grad []T, s *sideScalars[T]) {
	for i, a := range side {
		dst[i] = 0
		if isFinite(a) {
			y := float64(a * s.inverse)
			dst[i] = T(0.5*sigmoidOf(-y)*(1+sigmoidOf(y))-0.5*slope(float64(a))) * grad[i]
		}
	}
}

func sigmoidOf(y float64) float64 {
	e := math.Exp(-math.Abs(y))
	if y > 0 {
		return 1 / (1 + e)
	}
	return e / (1 + e)
}

// GradGapped sets dst to the slope of the sigmoid at the logit, moved away from 0 to the
// sampled side until the gap is open.
func (b Bernoulli[T]) GradGapped(dst, hard, grad []T, gap float64) {
	vector := func(out, side, g []T) {
		gapSlope(out, side, g, &sideScalars[T]{T(1 / b.Tau), T(gap)})
	}
	if gap == AdaptiveGap {
		vector = nil
	}
	b.estimate(dst, hard, grad, vector, func(side float64) float64 {
		gap := gap
		if gap == AdaptiveGap {
			gap = adaptiveGap(sigmoidOf(side))
		}
		return slope(max(side, gap)/b.Tau) / b.Tau
	})
}

// gapSlopeGo sets dst to the slope at max(side, gap)/tau, divided by tau, times grad, for
// the logits of the sampled outcomes, and to 0 where these are infinite.
func gapSlopeGo[T Float](dst, side, grad []T, s *sideScalars[T]) {
	for i, a := range side {
		dst[i] = 0
		if isFinite(a) {
			dst[i] = T(slope(float64(max(a, s.gap)*s.inverse))) * grad[i] * s.inverse
		}
	}
}

// estimate sets dst to factor·grad, where factor is a function of the sampled outcome's
// logit, for finite logits, and to 0 elsewhere. vector does it in vector code, and may be
// nil.
func (b Bernoulli[T]) estimate(dst, hard, grad []T, vector func(out, side, g []T), factor func(side float64) float64) {
	_ = eachTile(Dims{len(dst), 1, 1}, costOf[T](costNoise), func(t *tile[T], _ int) error {
		out, g, side := t.direct(dst), t.direct(grad), t.buffer(1)
		b.sides(t, side, hard)
		if vector != nil && hasVector[T](b.Tau) {
			vector(out, side, g)
			return nil
		}
		for i, a := range side {
			out[i] = 0
			if isFinite(a) {
				out[i] = T(factor(float64(a)) * float64(g[i]))
			}
		}
		return nil
	})
}

// sides sets side to the logits of the sampled outcomes.
func (b Bernoulli[T]) sides(t *tile[T], side, hard []T) {
	logits := t.direct(b.Logits)
	for i, d := range t.direct(hard) {
		side[i] = logits[i] * (2*d - 1)
	}
}

// GradRao sets dst to the mean slope over noise that is drawn again on the condition
// that it leads to the sample. With L logistic noise and s the sampled side, 1 or -1, the
// sum of logit and noise is then s·softplus(L + softplus(s·a)).
func (b Bernoulli[T]) GradRao(dst, hard, grad []T, noise Stream, samples int) {
	_ = eachTile(Dims{len(dst), 1, 1}, costOf[T](costNoise)*samples, func(t *tile[T], _ int) error {
		out, g := t.direct(dst), t.direct(grad)
		drawn, shift, sum := t.buffer(1), t.buffer(2), t.buffer(3)
		b.sides(t, shift, hard)
		clear(sum)
		bce(shift, shift, sum) // against 0, the cross-entropy is the softplus
		for k := range samples {
			fill(drawn, noise.Sub(uint64(k)), uint64(t.index(0, 0)), prefetch[T]{}, logisticLaw)
			b.addSlopes(sum, drawn, shift)
		}
		for i, a := range t.direct(b.Logits) {
			out[i] = 0
			if isFinite(a) {
				out[i] = T(float64(sum[i]) / (float64(samples) * b.Tau) * float64(g[i]))
			}
		}
		return nil
	})
}

// addSlopes adds the slope of a sample to sum.
func (b Bernoulli[T]) addSlopes(sum, noise, shift []T) {
	if hasVector[T](b.Tau) {
		addSlope(sum, noise, shift, &sideScalars[T]{inverse: T(1 / b.Tau)})
		return
	}
	for i, l := range noise {
		sum[i] += T(slope(softplusOf(float64(l)+float64(shift[i])) / b.Tau))
	}
}

// addSlopeGo adds the slope of the sigmoid at softplus(noise + shift)/tau to sum.
func addSlopeGo[T Float](sum, noise, shift []T, s *sideScalars[T]) {
	for i, l := range noise {
		sum[i] += T(slope(softplusOf(float64(l+shift[i])) * float64(s.inverse)))
	}
}

// softplusOf returns log(1 + e^x).
func softplusOf(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }
