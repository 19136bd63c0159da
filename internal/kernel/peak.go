package kernel

import "math"

// A peak is the greatest of the sums logit + noise of a row: its class and the sum,
// as the rounded sum and what the rounding lost, so that sums are compared exactly.
type peak[T Float] struct {
	class    int
	sum, low T
}

// findPeak returns the peak of a row. Its class is -1 if all are masked. bad is the first
// class whose sum is NaN or +Inf, or -1.
func findPeak[T Float](logits, noise []T) (top peak[T], bad int) {
	top = peak[T]{class: -1, sum: T(math.Inf(-1))}
	for c, logit := range logits {
		sum := logit + noise[c]
		if sum < top.sum {
			continue
		}
		if !isFinite(sum) {
			if sum < 0 {
				continue
			}
			return top, c
		}
		low := lost(logit, noise[c], sum)
		if sum > top.sum || low > top.low {
			top = peak[T]{c, sum, low}
		}
	}
	return top, -1
}

// lost returns exactly (a + b) − sum, where sum is the rounded a + b (Knuth, The Art of
// Computer Programming 2, 4.2.2, theorem B).
func lost[T Float](a, b, sum T) T {
	bb := sum - a
	return (a - (sum - bb)) + (b - bb)
}

// exponent returns (logit + noise − top)/tau, which is at most 0, and -Inf if masked.
func (top peak[T]) exponent(logit, noise T, tau float64) float64 {
	sum := logit + noise
	difference := float64(sum) - float64(top.sum)
	if math.IsInf(difference, -1) { // masked, or the difference overflows, but perhaps not the quotient
		return (float64(sum)/2 - float64(top.sum)/2) / tau * 2
	}
	return (difference + (float64(lost(logit, noise, sum)) - float64(top.low))) / tau
}

// rowError returns the error about a tile's row that findPeak rejects.
func rowError[T Float](t *tile[T], logits, noise []T, row int) error {
	lo := row * t.Classes
	_, bad := findPeak(logits[lo:lo+t.Classes], noise[lo:lo+t.Classes])
	if bad < 0 {
		return &InputError{Index: t.index(row, 0), Problem: AllMasked}
	}
	return elementError(t.index(row, bad), logits[lo+bad], noise[lo+bad])
}

// vectorPeak is findPeak in vector code, except that it only reports whether an
// element is bad or all are masked. The row is not empty.
func vectorPeak[T Float](logits, noise []T) (top peak[T], bad bool) {
	if isFloat32[T]() {
		return mergePeaks[T, uint32](logits, noise)
	}
	return mergePeaks[T, uint64](logits, noise)
}

// lanePeaks has the peaks of lanes: the rounded sums, and what the rounding lost.
type lanePeaks[T Float] struct{ sum, low [16]T }

// laneClasses has the classes of the lanes' peaks, and as a bit for each lane,
// whether another class has the same rounded sum, and whether a sum is NaN.
type laneClasses[W word] struct {
	class    [16]W
	tie, bad W
}

func mergePeaks[T Float, W word](logits, noise []T) (top peak[T], bad bool) {
	var peaks lanePeaks[T]
	var found laneClasses[W]
	findPeaks(logits, noise, &peaks, &found)
	best, equals := 0, 1
	for lane, sum := range peaks.sum[:lanes[T]()] {
		switch {
		case sum > peaks.sum[best]:
			best, equals = lane, 1
		case sum == peaks.sum[best] && lane > 0:
			equals++
		}
	}
	sum := peaks.sum[best]
	if found.bad != 0 || !isFinite(sum) {
		return top, true
	}
	equals += int(found.tie >> best & 1)
	if equals > 1 { // rounded sums tie: compare what was lost
		top, _ = findPeak(logits, noise)
		return top, false
	}
	c := int(found.class[best])
	return peak[T]{c, sum, lost(logits[c], noise[c], sum)}, false
}

// findPeaksGo finds each lane's greatest rounded sum along a row, and the first class
// that has it. found is zero before.
func findPeaksGo[T Float, W word](logits, noise []T, peaks *lanePeaks[T], found *laneClasses[W]) {
	lanes := lanes[T]()
	for lane := range lanes {
		peaks.sum[lane], found.class[lane] = T(math.Inf(-1)), ^W(0)
	}
	for c, logit := range logits {
		lane, sum := c%lanes, logit+noise[c]
		switch {
		case sum != sum:
			found.bad |= 1 << lane
		case sum > peaks.sum[lane]:
			peaks.sum[lane], found.class[lane] = sum, W(c)
			found.tie &^= 1 << lane
		case sum == peaks.sum[lane]:
			found.tie |= 1 << lane
		}
	}
}
