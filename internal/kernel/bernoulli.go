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
	return b.sample(logit, func(t *tile[T], y []T) {
		x := t.direct(dst)
		for i, v := range y {
			x[i] = 0
			if v > 0 {
				x[i] = 1
			}
		}
	})
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
	if hasVector[T](b.Tau) && !tempered(y, logits, noise, &s) {
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
func (b Bernoulli[T]) GradTau(y, grad []T) float64 { return b.gradTau(y, grad, slope) }

// GradLogitTau is GradTau for Logit: −(1/τ) Σ y·g.
func (b Bernoulli[T]) GradLogitTau(y, grad []T) float64 {
	return b.gradTau(y, grad, func(float64) float64 { return 1 })
}

func (b Bernoulli[T]) gradTau(y, grad []T, slope func(float64) float64) float64 {
	d := Dims{len(y), 1, 1}
	if d.Size() == 0 {
		return 0
	}
	total, _ := sumTiles(d, costNoise, func(t *tile[T], sum *float64) error {
		g := t.direct(grad)
		for i, v := range t.direct(y) {
			if isFinite(v) {
				*sum -= float64(v) * slope(float64(v)) * float64(g[i])
			}
		}
		return nil
	})
	return total / b.Tau
}

// The estimators of a hard sample are those of a Choice between the logit and 0. With
// a the logit and D the sample, 0 or 1, they are the gradient times a factor.

// GradReinMax sets dst to (2q(1−q) − ½p(1−p))g, with q = ½(σ(a/τ) + D) and p = σ(a).
func (b Bernoulli[T]) GradReinMax(dst, hard, grad []T) {
	b.estimate(dst, grad, func(i int, a float64) float64 {
		// 1 − π without cancellation is the other class's π.
		pi, other := sigmoidOf(a/b.Tau), sigmoidOf(-a/b.Tau)
		if hard[i] > 0 {
			pi, other = other, pi
		}
		return 0.5*pi*(1+other) - 0.5*slope(a)
	})
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
	b.estimate(dst, grad, func(i int, a float64) float64 {
		if hard[i] == 0 {
			a = -a
		}
		gap := gap
		if gap == AdaptiveGap {
			gap = adaptiveGap(sigmoidOf(a))
		}
		return slope(max(a, gap)/b.Tau) / b.Tau
	})
}

// GradRao sets dst to the mean slope over noise that is drawn again on the condition
// that it leads to the sample. With L logistic noise and s the sampled side, 1 or -1, the
// sum of logit and noise is then s·softplus(L + softplus(s·a)).
func (b Bernoulli[T]) GradRao(dst, hard, grad []T, noise Stream, samples int) {
	_ = eachTile(Dims{len(dst), 1, 1}, costNoise*samples, func(t *tile[T], _ int) error {
		out, a, h, g := t.direct(dst), t.direct(b.Logits), t.direct(hard), t.direct(grad)
		pool := bufferPool[float64]()
		buffers := pool.Get().(*[maxArrays][]float64)
		defer pool.Put(buffers)
		sums, drawn := sized(&buffers[0], len(out)), t.buffer(1)
		clear(sums)
		for k := range samples {
			fill(drawn, noise.Sub(uint64(k)), uint64(t.index(0, 0)), prefetch[T]{}, logisticLaw)
			for i, l := range drawn {
				side := float64(a[i])
				if h[i] == 0 {
					side = -side
				}
				sums[i] += slope(softplusOf(float64(l)+softplusOf(side)) / b.Tau)
			}
		}
		for i, sum := range sums {
			out[i] = 0
			if isFinite(a[i]) {
				out[i] = T(sum / (float64(samples) * b.Tau) * float64(g[i]))
			}
		}
		return nil
	})
}

// softplusOf returns log(1 + e^x).
func softplusOf(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// estimate sets dst to factor·grad for finite logits, and to 0 elsewhere.
func (b Bernoulli[T]) estimate(dst, grad []T, factor func(i int, a float64) float64) {
	_ = eachTile(Dims{len(dst), 1, 1}, costNoise, func(t *tile[T], _ int) error {
		first := t.index(0, 0)
		out, g := t.direct(dst), t.direct(grad)
		for i, a := range t.direct(b.Logits) {
			out[i] = 0
			if isFinite(a) {
				out[i] = T(factor(first+i, float64(a)) * float64(g[i]))
			}
		}
		return nil
	})
}
