package kernel

import "math"

// A Choice is a one-hot sample and the logits and temperature that its gradient is
// estimated from. Each of its methods for a gradient is an estimator. The gradient is
// that to the logits, given grad, which reaches the sample. With l the logits, d the
// chosen class, D its one-hot, p = softmax(l), π = softmax(l/τ) and
// J(q)g = q∘(g − ⟨q, g⟩):
//
//	GradSoftmax  J(π)g/τ
//	GradReinMax  2J(½(π + D))g − ½J(p)g
//	GradGapped   J(softmax(l′/τ))g/τ with l′ = max l at d, min(l, max l − gap) elsewhere
//	GradRao      the mean of J(softmax(φ/τ))g/τ over noise φ that has its argmax at d
//
// A masked class has a gradient of exactly 0, whatever gradient reaches it. If a gradient
// that is not finite reaches another class, the whole distribution has NaN there.
type Choice[T Float] struct {
	Dims
	Logits []T
	Chosen []T // by distribution, as Sampler.Choose sets it; GradSoftmax does not need it
	Tau    float64
}

// An estimator computes gradients that reach it finite.
type estimator[T Float] struct {
	// row sets dst for one distribution.
	row func(t *tile[T], dst, logits, grad []T, chosen int)
	// columns sets c.c for transposed rows, given the logits c.a, the gradients c.b and
	// the chosen classes.
	columns func(c *columns, classes int, chosen *[16]uint32)
}

// The buffers of a tile that estimators use.
const (
	bufferLogits = iota
	bufferGrad
	bufferOut
	bufferFinite
	bufferZeros
	bufferSoft
	bufferProbs
	bufferLogProbs
	bufferNoise
)

// estimate sets dst to the gradient of an estimator.
func (c Choice[T]) estimate(dst, grad []T, e estimator[T]) {
	c.estimateRows(dst, func(t *tile[T]) []T { return t.read(bufferGrad, grad) }, e)
}

// estimateRows is estimate with a function that returns the gradient's rows of a tile.
func (c Choice[T]) estimateRows(dst []T, grad func(t *tile[T]) []T, e estimator[T]) {
	_ = eachTile(c.Dims, costOf[T](costNoise), func(t *tile[T], _ int) error {
		in := c.inputs(t, grad(t))
		out := t.target(bufferOut, dst)
		if isFloat32[T]() && c.Classes <= shortRow && hasVector[T](c.Tau) {
			estimateShortRows(any(out).([]float32), any(in).(estimatorInputs[float32]), c.Classes, e.columns)
		} else {
			clear(t.row(bufferZeros))
			for r := range t.rows {
				lo, hi := r*c.Classes, (r+1)*c.Classes
				e.row(t, out[lo:hi], in.logits[lo:hi], in.grad[lo:hi], in.class(r))
			}
		}
		in.spoil(out, c.Classes)
		t.flush(bufferOut, dst)
		return nil
	})
}

// estimateShortRows is estimate for short rows, in vector code.
func estimateShortRows(dst []float32, in estimatorInputs[float32], classes int, f func(c *columns, classes int, chosen *[16]uint32)) {
	c := columnsPool.Get().(*columns)
	defer columnsPool.Put(c)
	c.each(classes, in.logits, in.grad, dst, func(first, rows int) bool {
		f(c, classes, laneClassesOf(in.chosen, first, rows))
		return true
	})
}

// laneClassesOf returns the classes that rows have chosen.
func laneClassesOf(chosen []float32, first, rows int) *[16]uint32 {
	var classes [16]uint32
	if len(chosen) > 0 {
		for lane, class := range chosen[first : first+rows] {
			classes[lane] = uint32(toClass(class))
		}
	}
	return &classes
}

// estimatorInputs are the inputs of an estimator in a tile.
type estimatorInputs[T Float] struct {
	logits, grad, chosen []T
	notFinite            []int // the rows that receive a gradient that is not finite
}

// inputs reads a tile, given the gradient's rows. It replaces gradients that are not
// finite by 0.
func (c Choice[T]) inputs(t *tile[T], grad []T) estimatorInputs[T] {
	in := estimatorInputs[T]{logits: t.read(bufferLogits, c.Logits), grad: grad, chosen: t.perRow(c.Chosen)}
	if isFinite(dot(in.grad, in.grad, in.grad)) {
		return in
	}
	g := t.buffer(bufferFinite)
	copy(g, in.grad)
	in.grad = g
	for r := range t.rows {
		bad := false
		for i := r * c.Classes; i < (r+1)*c.Classes; i++ {
			if !isFinite(g[i]) {
				g[i] = 0
				bad = bad || !isMasked(in.logits[i])
			}
		}
		if bad {
			in.notFinite = append(in.notFinite, r)
		}
	}
	return in
}

// class returns the class that a row has chosen.
func (in estimatorInputs[T]) class(row int) int {
	if len(in.chosen) == 0 {
		return 0
	}
	return toClass(in.chosen[row])
}

// spoil sets the gradient of the rows that receive one that is not finite.
func (in estimatorInputs[T]) spoil(dst []T, classes int) {
	for _, r := range in.notFinite {
		for i := r * classes; i < (r+1)*classes; i++ {
			dst[i] = 0
			if !isMasked(in.logits[i]) {
				dst[i] = T(math.NaN())
			}
		}
	}
}

// row returns buffer number n, in the size of a row.
func (t *tile[T]) row(n int) []T { return sized(&t.buffers[n], t.Classes) }

// greatest returns the class of the greatest logit of a row that the sampler has accepted.
func (t *tile[T]) greatest(logits []T) (class int) {
	const short = 32 // the vector code takes longer to merge its lanes
	if level != levelGo && len(logits) > short {
		top, _ := vectorPeak(logits, t.row(bufferZeros))
		return top.class
	}
	for c, logit := range logits {
		if logit > logits[class] {
			class = c
		}
	}
	return class
}

// An unscaled distribution is one whose sum is not 1, and its product with the gradient.
type unscaled struct{ total, dot float64 }

// A temperature is a tau with what depends on it alone.
type temperature[T Float] struct {
	tau     float64
	vector  bool // hasVector
	scalars softmaxScalars[T]
}

func newTemperature[T Float](tau float64) (t temperature[T]) {
	t.tau, t.vector = tau, hasVector[T](tau)
	t.scalars.setRate(tau)
	return t
}

// softmax sets dst to e^((logits − top)/tau).
func (t *tile[T]) softmax(dst, logits, grad []T, top T, at temperature[T]) (u unscaled) {
	if !at.vector {
		softmax(dst, logits, t.row(bufferZeros), peak[T]{sum: top}, at.tau)
		return unscaled{1, dot(dst, grad, dst)}
	}
	at.scalars.top = top
	var sums expSums
	expDot(dst, logits, grad, &at.scalars, &sums)
	for lane, v := range sums.total[:lanes[T]()] {
		u.total += v
		u.dot += sums.dot[lane]
	}
	return u
}

// mean returns the mean of the gradient.
func (u unscaled) mean() float64 { return u.dot / u.total }

// expSums are the sums of lanes.
type expSums struct{ total, dot [16]float64 }

// expDotGo sets dst to e^((logits − peak)/tau). It adds up dst and dst·grad.
func expDotGo[T Float](dst, logits, grad []T, s *softmaxScalars[T], sums *expSums) {
	for i, logit := range logits {
		dst[i] = s.exp(logit, 0)
		sums.total[0] += float64(dst[i])
		sums.dot[0] += float64(dst[i]) * float64(grad[i])
	}
}

// softmax sets dst to the softmax of the transposed rows c.a at a temperature.
func (c *columns) softmax(dst *transposed, classes int, tau float64) {
	at := newTemperature[float32](tau)
	softmaxColumns(dst[:], c.a[:], classes, &at.scalars)
}

// softmaxColumnsGo sets dst to the softmax of transposed rows at the rate of s.
func softmaxColumnsGo(dst, logits []float32, classes int, s *softmaxScalars[float32]) {
	lanes := lanes[float32]()
	for lane := range lanes {
		row := *s
		row.top = float32(math.Inf(-1))
		for i := lane; i < classes*lanes; i += lanes {
			row.top = max(row.top, logits[i])
		}
		var total float64
		for i := lane; i < classes*lanes; i += lanes {
			dst[i] = row.exp(logits[i], 0)
			total += float64(dst[i])
		}
		for i := lane; i < classes*lanes; i += lanes {
			dst[i] *= float32(1 / total)
		}
	}
}

// gradSoft sets dst to J(soft)g/tau, for soft divided by its sum.
func gradSoft[T Float](dst, soft, grad []T, u unscaled, tau float64) {
	if !hasVector[T](tau) {
		gradRowPlain(dst, soft, grad, u.mean(), tau*u.total)
		return
	}
	s := gradScalars[T]{inverse: T(1 / (tau * u.total))}
	s.mean, s.meanLow = splitFloat[T](u.mean())
	gradRow(dst, soft, grad, &s)
}

// gradSoft sets c.c to J(c.soft)g/tau.
func (c *columns) gradSoft(classes int, tau float64) {
	var found laneClasses[uint32]
	gradColumns(c.c[:], c.soft[:], c.b[:], classes, &gradScalars[float32]{inverse: float32(1 / tau)}, &found)
}

// GradSoftmax is straight-through softmax, whose gradient is that of ⟨g, softmax(l/τ)⟩.
func (c Choice[T]) GradSoftmax(dst, grad []T) { c.estimate(dst, grad, c.gradSoftmax()) }

func (c Choice[T]) gradSoftmax() estimator[T] {
	at := newTemperature[T](c.Tau)
	return estimator[T]{
		row: func(t *tile[T], dst, logits, grad []T, _ int) {
			soft := t.row(bufferSoft)
			u := t.softmax(soft, logits, grad, logits[t.greatest(logits)], at)
			gradSoft(dst, soft, grad, u, c.Tau)
		},
		columns: func(w *columns, classes int, _ *[16]uint32) {
			w.softmax(&w.soft, classes, c.Tau)
			w.gradSoft(classes, c.Tau)
		},
	}
}

// GradSoftmaxTau returns the gradient of straight-through softmax to tau.
func (c Choice[T]) GradSoftmaxTau(grad []T) float64 {
	if c.Size() == 0 {
		return 0
	}
	at := newTemperature[T](c.Tau)
	total, _ := sumTiles(c.Dims, costOf[T](costNoise), func(t *tile[T], sum *float64) error {
		logits, g := t.read(bufferLogits, c.Logits), t.read(bufferGrad, grad)
		zeros, soft := t.row(bufferZeros), t.row(bufferSoft)
		clear(zeros)
		for r := range t.rows {
			lo, hi := r*c.Classes, (r+1)*c.Classes
			top := logits[lo+t.greatest(logits[lo:hi])]
			u := t.softmax(soft, logits[lo:hi], g[lo:hi], top, at)
			scale(soft, T(1/u.total))
			*sum -= gradTauRow(logits[lo:hi], zeros, soft, g[lo:hi], peak[T]{sum: top}, c.Tau)
		}
		return nil
	})
	return total / c.Tau
}
