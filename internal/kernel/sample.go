package kernel

import "math"

// Noise is what is added to the logits: the array Given, else the noise of a
// Stream, else nothing. Save receives a copy of a Stream's noise, unless it is
// empty.
type Noise[T Float] struct {
	Given  []T
	Stream *Stream
	Save   []T
}

// A Sampler draws from Categorical(softmax(Logits)) by the Gumbel-max trick, and from
// its relaxation at temperature Tau.
type Sampler[T Float] struct {
	Dims
	Logits []T
	Noise  Noise[T]
	Tau    float64
}

// Soft sets dst to softmax((logits + noise)/tau).
func (s Sampler[T]) Soft(dst []T) error { return s.sample(nil, nil, dst) }

// Hard sets dst to the one-hot of argmax(logits + noise) and, unless it is
// nil, soft to the soft sample.
func (s Sampler[T]) Hard(dst, soft []T) error { return s.sample(dst, nil, soft) }

// Choose is Hard without a soft sample. Unless it is empty, it sets chosen to the class
// of each distribution, as a Choice takes it.
func (s Sampler[T]) Choose(dst, chosen []T) error { return s.sample(dst, chosen, nil) }

func (s Sampler[T]) sample(hard, chosen, soft []T) error {
	return eachTile(s.Dims, costOf[T](costNoise), func(t *tile[T], _ int) error {
		var oneHot oneHots[T]
		var relaxed []T
		if hard != nil {
			oneHot = oneHots[T]{t.target(2, hard), t.perRow(chosen)}
		}
		if soft != nil {
			relaxed = t.target(3, soft)
		}
		logits := t.read(0, s.Logits)
		noise := t.noise(1, s.Noise, prefetch[T]{logits, relaxed})
		clear(oneHot.rows)
		if bad := sampleRows(oneHot, relaxed, logits, noise, s.Classes, s.Tau); bad >= 0 {
			return rowError(t, logits, noise, bad)
		}
		if hard != nil {
			t.flush(2, hard)
		}
		if soft != nil {
			t.flush(3, soft)
		}
		return nil
	})
}

// oneHots are the one-hot samples of rows, or nothing if rows is nil: an array that is
// clear before, and one for the class of each row, as a Choice takes it, unless that is
// empty.
type oneHots[T Float] struct{ rows, chosen []T }

func (h oneHots[T]) set(row, classes, class int) {
	if h.rows == nil {
		return
	}
	h.rows[row*classes+class] = 1
	if len(h.chosen) > 0 {
		h.chosen[row] = fromClass[T](class)
	}
}

// fromClass returns the number whose bits are those of a class. A float32 is not precise
// enough for the numbers of all classes.
func fromClass[T Float](class int) T {
	if isFloat32[T]() {
		return T(math.Float32frombits(uint32(class)))
	}
	return T(math.Float64frombits(uint64(class)))
}

// toClass is the inverse of fromClass.
func toClass[T Float](x T) int {
	if isFloat32[T]() {
		return int(math.Float32bits(float32(x)))
	}
	return int(math.Float64bits(float64(x)))
}

// sampleRows sets soft, unless it is nil, to the soft sample of each row, and hard to
// the one-hot of its peak. It stops at the first row with an input that is not allowed
// and returns its number, otherwise -1.
func sampleRows[T Float](hard oneHots[T], soft, logits, noise []T, classes int, tau float64) (bad int) {
	if level == levelGo || soft != nil && !hasVector[T](tau) {
		return sampleRowsPlain(hard, soft, logits, noise, classes, tau)
	}
	if x, ok := any(logits).([]float32); ok && classes <= shortRow {
		return sampleShortRows(any(hard).(oneHots[float32]), any(soft).([]float32), x, any(noise).([]float32), classes, tau)
	}
	var s softmaxScalars[T]
	s.setRate(tau)
	for lo := 0; lo < len(logits); lo += classes {
		hi := lo + classes
		top, isBad := vectorPeak(logits[lo:hi], noise[lo:hi])
		if isBad {
			return lo / classes
		}
		hard.set(lo/classes, classes, top.class)
		if soft != nil {
			vectorSoftmax(soft[lo:hi], logits[lo:hi], noise[lo:hi], top, &s)
		}
	}
	return -1
}

// sampleRowsPlain is sampleRows in plain Go.
func sampleRowsPlain[T Float](hard oneHots[T], soft, logits, noise []T, classes int, tau float64) (bad int) {
	for lo := 0; lo < len(logits); lo += classes {
		hi := lo + classes
		top, bad := findPeak(logits[lo:hi], noise[lo:hi])
		if bad >= 0 || top.class < 0 {
			return lo / classes
		}
		hard.set(lo/classes, classes, top.class)
		if soft != nil {
			softmax(soft[lo:hi], logits[lo:hi], noise[lo:hi], top, tau)
		}
	}
	return -1
}

// sampleShortRows is sampleRows for short rows, in vector code.
func sampleShortRows(hard oneHots[float32], soft, logits, noise []float32, classes int, tau float64) (bad int) {
	var s softmaxScalars[float32]
	s.setRate(tau)
	c := columnsPool.Get().(*columns)
	defer columnsPool.Put(c)
	var target []float32
	if soft != nil {
		target = c.c[:]
	}
	bad = -1
	c.each(classes, logits, noise, soft, func(first, rows int) bool {
		var peaks lanePeaks[float32]
		var found laneClasses[uint32]
		sampleColumns(target, c.a[:], c.b[:], classes, &s, &peaks, &found)
		for lane := range rows {
			if found.bad>>lane&1 != 0 || !isFinite(peaks.sum[lane]) {
				bad = first + lane
				return false
			}
			hard.set(first+lane, classes, int(found.class[lane]))
		}
		return true
	})
	return bad
}

// sampleColumnsGo finds the peak of each transposed row, its sums compared exactly,
// and whether a sum is NaN. Unless soft is nil, it sets soft to the soft sample.
func sampleColumnsGo(soft, logits, noise []float32, classes int, s *softmaxScalars[float32], peaks *lanePeaks[float32], found *laneClasses[uint32]) {
	lanes := lanes[float32]()
	for lane := range lanes {
		top := peak[float32]{class: -1, sum: float32(math.Inf(-1))}
		for i, c := lane, 0; c < classes; i, c = i+lanes, c+1 {
			sum := logits[i] + noise[i]
			low := lost(logits[i], noise[i], sum)
			if sum != sum {
				found.bad |= 1 << lane
			}
			if sum > top.sum || sum == top.sum && low > top.low {
				top = peak[float32]{c, sum, low}
			}
		}
		peaks.sum[lane], peaks.low[lane], found.class[lane] = top.sum, top.low, uint32(top.class)
		if soft == nil {
			continue
		}
		row := *s
		row.top, row.topLow = top.sum, top.low
		var total float64
		for i := lane; i < classes*lanes; i += lanes {
			soft[i] = row.exp(logits[i], noise[i])
			total += float64(soft[i])
		}
		for i := lane; i < classes*lanes; i += lanes {
			soft[i] *= float32(1 / total)
		}
	}
}

// GradTau returns the gradient to tau, given the soft sample and the gradient
// that reaches it:
//
//	dL/dτ = −(1/τ) Σᵢ xᵢ yᵢ (gᵢ − Σⱼ gⱼ yⱼ)
//
// with x = (logits + noise − max)/τ instead of log y. They differ by a constant, which
// cancels, but x is right where y underflows.
func (s Sampler[T]) GradTau(soft, grad []T) (float64, error) {
	if s.Size() == 0 {
		return 0, nil
	}
	total, err := sumTiles(s.Dims, costOf[T](costNoise), func(t *tile[T], sum *float64) error {
		logits, noise := t.read(0, s.Logits), t.noise(1, s.Noise, prefetch[T]{})
		y, g := t.read(2, soft), t.read(3, grad)
		bad := gradTauRows(logits, noise, y, g, s.Classes, s.Tau, sum)
		if bad >= 0 {
			return rowError(t, logits, noise, bad)
		}
		return nil
	})
	return total / s.Tau, err
}

// gradTauRows subtracts what gradTauRow returns for each row from sum. It stops at the
// first row with an input that is not allowed and returns its number, otherwise -1.
func gradTauRows[T Float](logits, noise, soft, grad []T, classes int, tau float64, sum *float64) (bad int) {
	if x, ok := any(logits).([]float32); ok && classes <= shortRow && hasVector[T](tau) {
		return gradTauShortRows(x, any(noise).([]float32), any(soft).([]float32), any(grad).([]float32), classes, tau, sum)
	}
	for lo := 0; lo < len(logits); lo += classes {
		hi := lo + classes
		if !addTauRow(logits[lo:hi], noise[lo:hi], soft[lo:hi], grad[lo:hi], tau, sum) {
			return lo / classes
		}
	}
	return -1
}

// addTauRow is gradTauRows for a row. It returns false if the row is not allowed.
func addTauRow[T Float](logits, noise, soft, grad []T, tau float64, sum *float64) bool {
	top, bad := peak[T]{}, true
	if level != levelGo {
		top, bad = vectorPeak(logits, noise)
	}
	if bad {
		var element int
		if top, element = findPeak(logits, noise); element >= 0 || top.class < 0 {
			return false
		}
	}
	*sum -= gradTauRow(logits, noise, soft, grad, top, tau)
	return true
}

// gradTauShortRows is gradTauRows for short rows, in vector code.
func gradTauShortRows(logits, noise, soft, grad []float32, classes int, tau float64, sum *float64) (bad int) {
	c := columnsPool.Get().(*columns)
	defer columnsPool.Put(c)
	bad = -1
	c.each(classes, soft, grad, nil, func(first, rows int) bool {
		lo, n := first*classes, rows*classes
		size := lanes[float32]() * classes
		transpose(c.soft[:], padded(&c.padding[2], logits[lo:lo+n], size), classes)
		transpose(c.probs[:], padded(&c.padding[3], noise[lo:lo+n], size), classes)
		var found tauLanes
		gradTauColumns(c.soft[:], c.probs[:], c.a[:], c.b[:], classes, &found)
		for lane := range rows {
			if found.bad>>lane&1 == 0 {
				*sum -= found.sum[lane] / tau
				continue
			}
			lo, hi := (first+lane)*classes, (first+lane+1)*classes
			if !addTauRow(logits[lo:hi], noise[lo:hi], soft[lo:hi], grad[lo:hi], tau, sum) {
				bad = first + lane
				return false
			}
		}
		return true
	})
	return bad
}

// tauLanes has for each lane the sum of gradTau, and as bits the lanes where it is not a
// number.
type tauLanes struct {
	sum [16]float64
	bad uint32
}

// gradTauColumnsGo is gradTau for transposed rows, and finds their peaks and means.
func gradTauColumnsGo(logits, noise, soft, grad []float32, classes int, found *tauLanes) {
	lanes := lanes[float32]()
	found.bad = 0
	for lane := range lanes {
		s, mean, finite := softmaxScalars[float32]{top: float32(math.Inf(-1))}, 0.0, true
		for i := lane; i < classes*lanes; i += lanes {
			z := logits[i] + noise[i]
			low := lost(logits[i], noise[i], z)
			if finite = finite && z == z; z > s.top || z == s.top && low > s.topLow {
				s.top, s.topLow = z, low
			}
			mean += float64(soft[i]) * float64(grad[i])
		}
		s.mean, s.meanLow = splitFloat[float32](mean)
		if !finite || !isFinite(s.top) || !isFinite(s.mean) {
			found.bad |= 1 << lane
		}
		found.sum[lane] = 0
		for i := lane; i < classes*lanes; i += lanes {
			found.sum[lane] += gradTauGo(logits[i:i+1], noise[i:i+1], soft[i:i+1], grad[i:i+1], &s)
		}
	}
}

// gradTauRow returns Σᵢ xᵢ yᵢ (gᵢ − Σⱼ gⱼ yⱼ) of a row: see GradTau.
func gradTauRow[T Float](logits, noise, soft, grad []T, top peak[T], tau float64) float64 {
	mean := dot(soft, grad, soft)
	if hasVector[T](tau) && isFinite(mean) {
		s := softmaxScalars[T]{top: top.sum, topLow: top.low}
		s.mean, s.meanLow = splitFloat[T](mean)
		return gradTau(logits, noise, soft, grad, &s) / tau
	}
	if !isFinite(mean) {
		mean = unmaskedDot(soft, grad, logits, noise)
	}
	var sum float64
	for i, y := range soft {
		if !isMasked(logits[i] + noise[i]) {
			sum += top.exponent(logits[i], noise[i], tau) * (float64(y) * (float64(grad[i]) - mean))
		}
	}
	return sum
}

// isMasked reports whether a logit, or its sum with the noise, masks its class.
func isMasked[T Float](logit T) bool { return math.IsInf(float64(logit), -1) }

// unmaskedDot returns Σ yᵢgᵢ over the classes that are not masked.
func unmaskedDot[T Float](y, g, logits, noise []T) (sum float64) {
	for i, v := range y {
		if !isMasked(logits[i] + noise[i]) {
			sum += float64(v) * float64(g[i])
		}
	}
	return sum
}

// gradTauGo returns Σ (logit + noise − peak)·soft·(grad − mean) over the classes
// whose soft is not 0.
func gradTauGo[T Float](logits, noise, soft, grad []T, s *softmaxScalars[T]) (sum float64) {
	for i, y := range soft {
		if y != 0 {
			z := logits[i] + noise[i]
			below := (z - s.top) + (lost(logits[i], noise[i], z) - s.topLow)
			sum += float64(below) * float64(centred(y, grad[i], s.mean, s.meanLow))
		}
	}
	return sum
}

// Grad sets dst to the gradient to the logits, which is also the gradient to the noise,
// given the soft sample and the gradient that reaches it:
//
//	dL/dlᵢ = yᵢ (gᵢ − Σⱼ gⱼ yⱼ)/τ
//
// It is exactly 0 for a masked class, whatever gradient reaches it. A gradient that is
// not finite and reaches another class makes the result of its distribution infinite or
// NaN, even where the sample underflows to 0.
func (s Sampler[T]) Grad(dst, soft, grad []T) {
	_ = eachTile(s.Dims, costOf[T](costLight), func(t *tile[T], _ int) error {
		y, g, out := t.read(0, soft), t.read(1, grad), t.target(2, dst)
		var logits, noise []T
		gradRows(out, y, g, s.Classes, s.Tau, func(row int) {
			lo, hi := row*s.Classes, (row+1)*s.Classes
			if logits == nil { // in the first such row of a tile, because packing takes long
				// Drawn noise is finite and masks nothing.
				logits, noise = t.read(3, s.Logits), t.noise(4, Noise[T]{Given: s.Noise.Given}, prefetch[T]{})
			}
			gradUnmaskedRow(out[lo:hi], y[lo:hi], g[lo:hi], logits[lo:hi], noise[lo:hi], s.Tau)
		})
		t.flush(2, dst)
		return nil
	})
}

// gradUnmaskedRow is gradRowGo for a row that receives a gradient that is not finite:
// only a masked class may ignore it.
func gradUnmaskedRow[T Float](dst, soft, grad, logits, noise []T, tau float64) {
	mean := unmaskedDot(soft, grad, logits, noise)
	for i, y := range soft {
		dst[i] = 0
		if !isMasked(logits[i] + noise[i]) {
			dst[i] = T(float64(y) * (float64(grad[i]) - mean) / tau)
		}
	}
}

// gradScalars are what the vector code of Grad needs besides arrays: 1/tau, and the
// mean gradient under the sample in two parts.
type gradScalars[T Float] struct{ inverse, mean, meanLow T }

// gradRows sets dst to the gradient to the logits of each row. It calls infinite with
// the number of each row whose mean gradient is not finite.
func gradRows[T Float](dst, soft, grad []T, classes int, tau float64, infinite func(row int)) {
	if y, ok := any(soft).([]float32); ok && classes <= shortRow && hasVector[T](tau) {
		gradShortRows(any(dst).([]float32), y, any(grad).([]float32), classes, tau, infinite)
		return
	}
	vector := hasVector[T](tau)
	s := gradScalars[T]{inverse: T(1 / tau)}
	for lo := 0; lo < len(soft); lo += classes {
		hi := lo + classes
		mean := dot(soft[lo:hi], grad[lo:hi], dst[lo:hi])
		switch {
		case !isFinite(mean):
			infinite(lo / classes)
		case vector:
			s.mean, s.meanLow = splitFloat[T](mean)
			gradRow(dst[lo:hi], soft[lo:hi], grad[lo:hi], &s)
		default:
			gradRowPlain(dst[lo:hi], soft[lo:hi], grad[lo:hi], mean, tau)
		}
	}
}

// gradRowPlain is gradRowGo for any temperature, in float64.
func gradRowPlain[T Float](dst, soft, grad []T, mean, tau float64) {
	for i, y := range soft {
		dst[i] = 0
		if y != 0 {
			dst[i] = T(float64(y) * (float64(grad[i]) - mean) / tau)
		}
	}
}

// gradRowGo sets dst to soft·(grad − mean)/tau.
func gradRowGo[T Float](dst, soft, grad []T, s *gradScalars[T]) {
	for i, y := range soft {
		dst[i] = s.inverse * centred(y, grad[i], s.mean, s.meanLow)
	}
}

// gradShortRows is gradRows for short rows, in vector code.
func gradShortRows(dst, soft, grad []float32, classes int, tau float64, infinite func(row int)) {
	s := gradScalars[float32]{inverse: float32(1 / tau)}
	c := columnsPool.Get().(*columns)
	defer columnsPool.Put(c)
	var bad []int
	c.each(classes, soft, grad, dst, func(first, rows int) bool {
		var found laneClasses[uint32]
		gradColumns(c.c[:], c.a[:], c.b[:], classes, &s, &found)
		for lane := range rows {
			if found.bad>>lane&1 != 0 {
				bad = append(bad, first+lane)
			}
		}
		return true
	})
	for _, row := range bad { // after each has written dst
		infinite(row)
	}
}

// gradColumnsGo sets dst to soft·(grad − mean)/tau for transposed rows. It reports the
// rows whose mean is not finite.
func gradColumnsGo(dst, soft, grad []float32, classes int, s *gradScalars[float32], found *laneClasses[uint32]) {
	lanes := lanes[float32]()
	for lane := range lanes {
		var mean float64
		for i := lane; i < classes*lanes; i += lanes {
			mean += float64(soft[i]) * float64(grad[i])
		}
		hi, lo := splitFloat[float32](mean)
		if !isFinite(hi) {
			found.bad |= 1 << lane
		}
		for i := lane; i < classes*lanes; i += lanes {
			dst[i] = s.inverse * centred(soft[i], grad[i], hi, lo)
		}
	}
}
