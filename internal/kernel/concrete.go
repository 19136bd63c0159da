package kernel

import (
	"math"
	"math/bits"
)

// A Concrete is the density of samples in log space, such as those of Sampler.Log. With
// r = logits − tau·value over the m classes that are not masked, and s = softmax(r),
//
//	log κ = log Γ(m) + (m−1) log τ + Σₖ log sₖ
//
// The sum is computed as Σₖ (rₖ − max r) − m·log Σₖ e^(rₖ − max r), whose two parts have one
// sign. Σₖ rₖ − m·LSE(r) would lose digits where r is large. The value has to be -Inf where
// the logits mask the class, and finite elsewhere.
type Concrete[T Float] struct {
	Dims
	Logits, Value []T
	Tau           float64
}

// LogProb sets dst, one element per distribution, to log κ. Unless they are empty, it sets
// slopes, one element per class, to 1 − m sₖ, 0 where masked, and toTau, one element per
// distribution, to
//
//	d log κ/dτ = (m−1)/τ − Σₖ valueₖ(1 − m sₖ)
//
// There is no toTau without slopes.
func (c Concrete[T]) LogProb(dst, slopes, toTau []T) error {
	if len(slopes) == 0 {
		slopes = nil
	}
	r := concreteRun[T]{Concrete: c, dst: dst, toTau: toTau}
	r.whole = r.constant(float64(c.Classes))
	return eachDistribution(c.Logits, c.Value, c.Dims, slopes, distributionKernel[T]{
		vector: r.vector, columns: r.columns, second: r.sampleBeside, plain: r.plain,
	})
}

// A concreteRun is a call of LogProb.
type concreteRun[T Float] struct {
	Concrete[T]
	whole      float64 // constant of all classes
	dst, toTau []T
}

func (c *concreteRun[T]) vector(w *rowWork[T], logits, value []T, distribution int, out []T) bool {
	e := out
	if out == nil {
		e = sized(&w.expQ, len(logits))
	}
	x, ok := c.weigh(e, logits, value)
	if !ok || !c.set(distribution, x.classes, x.logs()) {
		return false
	}
	if out != nil {
		slopesOf(out, logits, T(x.share()))
		if x.classes == 1 {
			clear(out) // exactly
		}
	}
	if len(c.toTau) > 0 {
		dot := dotEntropy(out, value, &entropyScalars[T]{})
		c.setToTau(distribution, x.classes, dot)
		return isFinite(dot)
	}
	return true
}

func (c *concreteRun[T]) columns(w *columns, first, rows int, out bool) (failed uint32) {
	lanes, failed := c.weighColumns(w, rows)
	copy(any(c.dst).([]float32)[first:], lanes.log[:rows])
	if out {
		slopeColumns(w.c[:], w.a[:], c.Classes, &lanes.share)
	}
	if len(c.toTau) > 0 {
		var means columnMeans
		meanColumns(w.c[:], w.b[:], c.Classes, &means)
		for lane, dot := range means.dot[:rows] {
			c.setToTau(first+lane, float64(c.Classes-lanes.masked[lane]), dot)
		}
	}
	return failed
}

func (c *concreteRun[T]) plain(logits, value []float64, distribution int, out []T) {
	x := c.weighPlain(logits, value)
	c.set(distribution, x.classes, x.logs())
	if out == nil {
		return
	}
	var mean float64 // of the value, less that under s; all terms are in the range of the value
	for k, below := range logits {
		out[k] = 0
		if !isMasked(below) {
			s := math.Exp(below) / x.total
			out[k] = T(1 - x.classes*s)
			mean += value[k] * (1/x.classes - s)
		}
	}
	if len(c.toTau) > 0 {
		c.setToTau(distribution, x.classes, x.classes*mean)
	}
}

// set sets log κ, given Σ log s. It reports whether log κ is finite in float64.
func (c *concreteRun[T]) set(distribution int, classes, logs float64) bool {
	constant := c.whole
	if classes != float64(c.Classes) {
		constant = c.constant(classes)
	}
	c.dst[distribution] = clamp[T](constant + logs)
	return isFinite(constant + logs)
}

// setToTau sets the gradient to tau, given Σ value·(1 − m s).
func (c *concreteRun[T]) setToTau(distribution int, classes, dot float64) {
	c.toTau[distribution] = clamp[T]((classes-1)/c.Tau - dot)
}

// clamp returns x, or the nearest finite number of T.
func clamp[T Float](x float64) T { return T(min(max(x, float64(least[T]())), -float64(least[T]()))) }

// GradLogits sets dst to the gradient to the logits, given the slopes and the gradient that
// reaches log κ: g (1 − m sₖ), 0 where masked.
func (c Concrete[T]) GradLogits(dst, slopes, grad []T) { c.grad(dst, slopes, grad, 1) }

// GradValue sets dst to the gradient to the value: −τg (1 − m sₖ), 0 where masked.
func (c Concrete[T]) GradValue(dst, slopes, grad []T) { c.grad(dst, slopes, grad, T(-c.Tau)) }

func (c Concrete[T]) grad(dst, slopes, grad []T, factor T) {
	if c.Inner == 1 {
		split(c.Outer, c.Classes, costOf[T](costLight), func(lo, hi int) {
			first, last := lo*c.Classes, hi*c.Classes
			scaleRows(dst[first:last], slopes[first:last], grad[lo:hi], factor, c.Classes, hi-lo)
			for r := lo; r < hi; r++ {
				if isFinite(factor * grad[r]) {
					continue
				}
				for at := r * c.Classes; at < (r+1)*c.Classes; at++ {
					dst[at] = c.gradElement(at, slopes[at], factor, grad[r])
				}
			}
		})
		return
	}
	split(c.Outer*c.Classes, c.Inner, costOf[T](costLight), func(lo, hi int) {
		for row := lo; row < hi; row++ { // of one class in neighbouring distributions
			for i, g := range grad[row/c.Classes*c.Inner:][:c.Inner] {
				at := row*c.Inner + i
				dst[at] = factor * g * slopes[at]
				if !isFinite(factor * g) {
					dst[at] = c.gradElement(at, slopes[at], factor, g)
				}
			}
		}
	})
}

// gradElement is grad for an element where factor·g is out of range: only a masked class
// may ignore that.
func (c Concrete[T]) gradElement(at int, slope, factor, g T) T {
	if isMasked(c.Logits[at]) {
		return 0
	}
	return T(float64(factor) * (float64(g) * float64(slope)))
}

// scaleRowsGo sets dst to the rows of x, each multiplied by factor and a number.
func scaleRowsGo[T Float](dst, x, by []T, factor T, classes, rows int) {
	for r, v := range by[:rows] {
		v *= factor
		for i := r * classes; i < (r+1)*classes; i++ {
			dst[i] = v * x[i]
		}
	}
}

// GradTau returns the gradient to tau, given that of each distribution, which LogProb
// computes, and the gradient that reaches log κ.
func (c Concrete[T]) GradTau(toTau, grad []T) (sum float64) {
	for i, d := range toTau {
		sum += float64(d) * float64(grad[i])
	}
	return sum
}

// constant returns the terms of log κ that depend on m alone.
func (c *concreteRun[T]) constant(classes float64) float64 {
	gamma, _ := math.Lgamma(classes)
	return gamma + (classes-1)*math.Log(c.Tau)
}

// sampleBeside copies the value to dst. It has to be -Inf where masked, and finite
// elsewhere.
func (c *concreteRun[T]) sampleBeside(r tileRow[T], logP, dst []float64) error {
	for k, v := range r.p {
		masked := isMasked(r.q[k])
		switch {
		case !isFinite(v) && !isMasked(v):
			return r.problem(k, BadSecond)
		case masked && !isMasked(v):
			return r.problem(k, MaskedSample)
		case isMasked(v) && !masked:
			return r.problem(k, UnmaskedSample)
		case !masked && !isFinite(2*(logP[k]-c.Tau*float64(v))): // differences have to be finite, too
			return r.problem(k, OutOfRange)
		}
		dst[k] = float64(v)
	}
	return nil
}

// weighPlain replaces log softmax(logits) by r − max r, -Inf where masked.
func (c *concreteRun[T]) weighPlain(logits, value []float64) (x concreteWeights) {
	top := math.Inf(-1)
	for k, l := range logits {
		if !isMasked(l) {
			logits[k] = l - c.Tau*value[k]
			top = max(top, logits[k])
		}
	}
	for k, r := range logits {
		if !isMasked(r) {
			logits[k] = r - top
			x.classes++
			x.total += math.Exp(r - top)
			x.below += r - top
		}
	}
	return x
}

// concreteWeights are sums over the classes that are not masked: their number, that of
// e^(r − top), and that of r − top.
type concreteWeights struct{ classes, total, below float64 }

// logs returns Σ log s, exactly 0 for one class.
func (x concreteWeights) logs() float64 {
	if x.classes == 1 {
		return 0
	}
	return x.below - x.classes*math.Log(x.total)
}

// share returns m/Σe, by which an e^(r − top) is multiplied to get m s.
func (x concreteWeights) share() float64 { return x.classes / x.total }

// weigh sets e to e^(r − top), 0 where masked, in vector code. ok is false where there is
// none, or where it cannot. top is the greatest r as rounded, so it is near the greatest r.
func (c *concreteRun[T]) weigh(e, logits, value []T) (x concreteWeights, ok bool) {
	if level == levelGo {
		return x, false
	}
	tau, classes, lanes := T(c.Tau), len(logits), lanes[T]()
	var tops [16]T
	if concretePeak(logits, value, tau, &tops) {
		var bad bool
		if classes, bad = unmaskedPairs(logits, value); bad {
			return x, false
		}
	}
	top := greatestLane(&tops)
	if !fitsPeak(top) {
		return x, false
	}
	var sums concreteSums
	concreteExp(e, logits, value, &concreteScalars[T]{tau, top}, &sums)
	x.classes = float64(classes)
	for lane, v := range sums.total[:lanes] {
		x.total += v
		x.below += sums.below[lane]
	}
	return x, true
}

// maxPeak32 is fitsPeak's bound in float32.
const maxPeak32 = 1 << 20

// fitsPeak reports whether top is so small that its rounding is at most 1/16.
func fitsPeak[T Float](top T) bool {
	if isFloat32[T]() {
		return math.Abs(float64(top)) < maxPeak32
	}
	return math.Abs(float64(top)) < 1<<49
}

// concretePeakGo finds the greatest rounded r. It reports whether an element is not finite.
func concretePeakGo[T Float](logits, value []T, tau T, tops *[16]T) (bad bool) {
	for lane := range tops {
		tops[lane] = T(math.Inf(-1))
	}
	for i, l := range logits {
		r := l - tau*value[i]
		if bad = bad || !isFinite(l+value[i]); r > tops[0] {
			tops[0] = r
		}
	}
	return bad
}

// unmaskedPairs returns how many classes are not masked. bad reports whether another pair
// of logit and value is not finite.
func unmaskedPairs[T Float](logits, value []T) (classes int, bad bool) {
	for i, l := range logits {
		if y := value[i]; isFinite(l) && isFinite(y) {
			classes++
		} else if !isMasked(l) || !isMasked(y) {
			return classes, true
		}
	}
	return classes, false
}

// concreteScalars are tau and the greatest rounded r.
type concreteScalars[T Float] struct{ tau, top T }

// concreteSums are the sums of lanes: see concreteWeights.
type concreteSums struct{ total, below [16]float64 }

// concreteExpGo sets dst to e^(r − top), 0 where masked.
func concreteExpGo[T Float](dst, logits, value []T, s *concreteScalars[T], sums *concreteSums) {
	for i, l := range logits {
		dst[i] = 0
		if !isMasked(l) {
			below := T(float64(l) - float64(s.tau)*float64(value[i]) - float64(s.top))
			dst[i] = T(math.Exp(float64(below)))
			sums.total[0] += float64(dst[i])
			sums.below[0] += float64(below)
		}
	}
}

// slopesOfGo replaces dst by 1 − share·dst, 0 where masked.
func slopesOfGo[T Float](dst, logits []T, share T) {
	for i, e := range dst {
		dst[i] = 0
		if !isMasked(logits[i]) {
			dst[i] = 1 - share*e
		}
	}
}

// concreteLanes has for each lane log κ, m/Σe, concreteWeights, and the number of masked
// classes, and as bits whether log κ and m/Σe are missing.
type concreteLanes struct {
	log, share, top [16]float32 // top is about the greatest r
	total, below    [16]float64
	masked          [16]int
	missing         uint32
}

// columnScalars are tau, the number of classes, and log κ without its sum.
type columnScalars struct{ tau, classes, constant float32 }

// weighColumns is weigh for the transposed rows w.a and w.b. It sets w.c. failed has the
// bits of the rows where it cannot.
func (c *concreteRun[T]) weighColumns(w *columns, rows int) (lanes concreteLanes, failed uint32) {
	s := columnScalars{float32(c.Tau), float32(c.Classes), float32(c.whole)}
	concreteColumns(w.c[:], w.a[:], w.b[:], c.Classes, &s, &lanes)
	for missing := lanes.missing & (1<<rows - 1); missing != 0; missing &= missing - 1 {
		if lane := bits.TrailingZeros32(missing); !c.weighLane(w, lane, &lanes) {
			failed |= 1 << lane
		}
	}
	return lanes, failed
}

// weighLane sets what is missing of a lane with masked classes, of which at least two are
// left. It returns false if it cannot.
func (c *concreteRun[T]) weighLane(w *columns, lane int, l *concreteLanes) bool {
	classes, step := c.Classes, lanes[float32]()
	for i := lane; i < c.Classes*step; i += step {
		switch logit, y := w.a[i], w.b[i]; {
		case isMasked(logit) && isMasked(y):
			classes--
		case !isFinite(logit) || !isFinite(y):
			return false
		}
	}
	x := concreteWeights{float64(classes), l.total[lane], l.below[lane]}
	log := c.constant(x.classes) + x.logs()
	if classes < 2 || !fitsPeak(l.top[lane]) || !isFinite(log) {
		return false
	}
	l.log[lane], l.share[lane], l.masked[lane] = clamp[float32](log), float32(x.share()), c.Classes-classes
	return true
}

// concreteColumnsGo is concretePeak and concreteExp for transposed rows. It sets log κ and
// m/Σe of those that have no masked classes.
func concreteColumnsGo(dst, logits, value []float32, classes int, s *columnScalars, found *concreteLanes) {
	lanes := lanes[float32]()
	for lane := range lanes {
		top, finite := float32(math.Inf(-1)), true
		for i := lane; i < classes*lanes; i += lanes {
			finite = finite && isFinite(logits[i]+value[i])
			if r := logits[i] - s.tau*value[i]; r > top {
				top = r
			}
		}
		for i := lane; i < classes*lanes; i += lanes {
			dst[i] = 0
			if !isMasked(logits[i]) {
				below := float32(float64(logits[i]) - float64(s.tau)*float64(value[i]) - float64(top))
				dst[i] = float32(math.Exp(float64(below)))
				found.total[lane] += float64(dst[i])
				found.below[lane] += float64(below)
			}
		}
		found.top[lane] = top
		found.share[lane] = s.classes / float32(found.total[lane])
		found.log[lane] = float32(found.below[lane]) - s.classes*float32(math.Log(found.total[lane])) + s.constant
		if !finite || !fitsPeak(top) || !isFinite(found.log[lane]) {
			found.missing |= 1 << lane
		}
	}
}

// slopeColumnsGo is slopesOf for transposed rows.
func slopeColumnsGo(dst, logits []float32, classes int, share *[16]float32) {
	lanes := lanes[float32]()
	for i := range classes * lanes {
		e := dst[i]
		dst[i] = 0
		if !isMasked(logits[i]) {
			dst[i] = 1 - share[i%lanes]*e
		}
	}
}
