package kernel

import "math"

// Entropies, divergences and log-probabilities of short rows, which are transposed. Each
// is a sum of products with the exponentials of the rows' logits less the greatest.

// columnExponentials has the greatest logit of each lane and the sum of its exponentials,
// and as bits the lanes with a logit that is NaN or +Inf, or with none above -Inf.
type columnExponentials struct {
	top   [16]float32
	total [16]float64
	bad   uint32
}

// columnMeans has for each lane Σ e and Σ e·x, and as bits the lanes with an e below 0.
type columnMeans struct {
	total, dot [16]float64
	negative   uint32
}

// columnExcess has for each lane the sum that excess returns, and as bits the lanes where
// the sum is not the divergence.
type columnExcess struct {
	sum [16]float64
	far uint32
}

// columnFactors has for each lane a factor and a mean in two parts.
type columnFactors struct{ factor, mean, meanLow [16]float32 }

// set sets the factor and the mean of a lane. It reports whether they are finite.
func (f *columnFactors) set(lane int, factor, mean float64) bool {
	f.factor[lane] = float32(factor)
	f.mean[lane], f.meanLow[lane] = splitFloat[float32](mean)
	return isFinite(f.factor[lane]) && isFinite(f.mean[lane])
}

// columnWeights has the factors of axpbyColumns for each lane: α and −β.
type columnWeights struct{ alpha, minusBeta [16]float32 }

// set sets the factors α and β of a lane. It reports whether they are finite.
func (w *columnWeights) set(lane int, alpha, beta float64) bool {
	w.alpha[lane], w.minusBeta[lane] = float32(alpha), float32(-beta)
	return isFinite(w.alpha[lane]) && isFinite(w.minusBeta[lane])
}

// failedLanes returns the bits of the lanes for which f returns false.
func failedLanes(rows int, f func(lane int) bool) (failed uint32) {
	for lane := range rows {
		if !f(lane) {
			failed |= 1 << lane
		}
	}
	return failed
}

// exponentialColumnsGo sets below to the differences of logits from the greatest of the
// row, and e to the exponentials of these.
func exponentialColumnsGo(e, below, logits []float32, classes int, found *columnExponentials) {
	lanes := lanes[float32]()
	found.bad = 0
	for lane := range lanes {
		top, sum := float32(math.Inf(-1)), 0.0
		for i := lane; i < classes*lanes; i += lanes {
			if x := logits[i]; x != x {
				found.bad |= 1 << lane
			} else {
				top = max(top, x)
			}
		}
		if found.top[lane] = top; !isFinite(top) {
			found.bad |= 1 << lane
		}
		for i := lane; i < classes*lanes; i += lanes {
			below[i] = logits[i] - top
			e[i] = float32(math.Exp(float64(below[i])))
			sum += float64(e[i])
		}
		found.total[lane] = sum
	}
}

// columnTops has for each lane the greatest logits, and as bits the lanes in which p masks a
// class that q does not.
type columnTops struct {
	q, p     [16]float32
	infinite uint32
}

// ratioColumnsGo sets dst to (q − topQ) − (p − topP).
func ratioColumnsGo(dst, q, p []float32, classes int, tops *columnTops) {
	lanes := lanes[float32]()
	tops.infinite = 0
	for i := range classes * lanes {
		lane := i % lanes
		dst[i] = preciseRatio(q[i], tops.q[lane], p[i], tops.p[lane])
		if isMasked(p[i]) && !isMasked(q[i]) {
			tops.infinite |= 1 << lane
		}
	}
}

// meanColumnsGo sets the sums of e and of e·x over the classes whose e is not 0.
func meanColumnsGo(e, x []float32, classes int, found *columnMeans) {
	lanes := lanes[float32]()
	*found = columnMeans{}
	for i, y := range e[:classes*lanes] {
		if y != 0 {
			found.total[i%lanes] += float64(y)
			found.dot[i%lanes] += float64(y) * float64(x[i])
		}
		if y < 0 {
			found.negative |= 1 << (i % lanes)
		}
	}
}

// excessColumnsGo is excess for transposed rows, of the ratios x.
func excessColumnsGo(e, x []float32, classes int, s *columnFactors, found *columnExcess) {
	lanes := lanes[float32]()
	*found = columnExcess{}
	for i, y := range e[:classes*lanes] {
		lane := i % lanes
		d := x[i] - s.mean[lane] - s.meanLow[lane]
		if y == 0 || !(d > -2 && d < 2) {
			found.far |= 1 << lane
		}
		found.sum[lane] += float64(y) * float64(d*d*expTail(-d))
	}
}

// centredColumnsGo sets dst to factor·e·(x − mean), 0 where e is 0.
func centredColumnsGo(dst, e, x []float32, classes int, s *columnFactors) {
	lanes := lanes[float32]()
	for i, y := range e[:classes*lanes] {
		lane := i % lanes
		dst[i] = s.factor[lane] * centred(y, x[i], s.mean[lane], s.meanLow[lane])
	}
}

// shiftedColumnsGo sets dst to factor·(x − mean), 0 where x is -Inf.
func shiftedColumnsGo(dst, x []float32, classes int, s *columnFactors) {
	lanes := lanes[float32]()
	for i, v := range x[:classes*lanes] {
		lane := i % lanes
		dst[i] = 0
		if !isMasked(v) {
			dst[i] = s.factor[lane] * (v - s.mean[lane] - s.meanLow[lane])
		}
	}
}

// axpbyColumnsGo sets dst to α·x + β·y.
func axpbyColumnsGo(dst, x, y []float32, classes int, s *columnWeights) {
	lanes := lanes[float32]()
	for i, v := range x[:classes*lanes] {
		dst[i] = s.alpha[i%lanes]*v - s.minusBeta[i%lanes]*y[i]
	}
}

// entropy sets what the entropies of the rows in w.a are computed from. w.c then has the
// logits less the greatest, and w.soft their exponentials.
func (w *columns) entropy(classes int) (means columnMeans, bad uint32) {
	var e columnExponentials
	exponentialColumns(w.soft[:], w.c[:], w.a[:], classes, &e)
	meanColumns(w.soft[:], w.c[:], classes, &means)
	return means, e.bad
}

// divergence sets what the divergences of w.a from w.b, or from the uniform distribution,
// are computed from.
// w.c then has the ratios of the logits less the greatest, and w.probs the exponentials of
// p, whose sums are totalP.
func (w *columns) divergence(classes int, uniform bool) (means columnMeans, totalP [16]float64, bad uint32) {
	var q, p columnExponentials
	exponentialColumns(w.soft[:], w.c[:], w.a[:], classes, &q)
	if bad = q.bad; uniform {
		for lane := range totalP {
			totalP[lane] = float64(classes)
		}
	} else {
		exponentialColumns(w.probs[:], w.c[:], w.b[:], classes, &p)
		tops := columnTops{q: q.top, p: p.top}
		ratioColumns(w.c[:], w.a[:], w.b[:], classes, &tops)
		totalP, bad = p.total, bad|p.bad|tops.infinite
	}
	meanColumns(w.soft[:], w.c[:], classes, &means)
	return means, totalP, bad
}

// logProb sets what the log-probabilities of the values w.b are computed from. totals has the sums of the
// exponentials.
func (w *columns) logProb(classes int) (means columnMeans, totals [16]float64, bad uint32) {
	var e columnExponentials
	exponentialColumns(w.soft[:], w.c[:], w.a[:], classes, &e)
	meanColumns(w.b[:], w.c[:], classes, &means)
	return means, e.total, e.bad
}
