package kernel

import "math"

// A peak is the greatest of the sums logit + noise of a row: its class and
// the sum, as the rounded sum and what the rounding lost, so that sums are
// compared exactly.
type peak[T Float] struct {
	class    int
	sum, low T
}

// findPeak returns the peak of a row, its class -1 where all are masked; or
// the first class whose sum is NaN or +Inf, else -1.
func findPeak[T Float](logits, noise []T) (top peak[T], bad int) {
	top = peak[T]{class: -1, sum: T(math.Inf(-1))}
	for c, logit := range logits {
		sum := logit + noise[c]
		if sum < top.sum {
			continue
		}
		if !(sum-sum == 0) { // NaN, or infinite
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

// lost returns (a + b) − sum, exactly, where sum is a + b as rounded (Knuth,
// The Art of Computer Programming 2, 4.2.2, theorem B).
func lost[T Float](a, b, sum T) T {
	bb := sum - a
	return (a - (sum - bb)) + (b - bb)
}

// below returns logit + noise − top, at most 0, -Inf where masked.
func (top peak[T]) below(logit, noise T) float64 {
	sum := logit + noise
	difference := float64(sum) - float64(top.sum)
	if math.IsInf(difference, -1) {
		return difference
	}
	return difference + (float64(lost(logit, noise, sum)) - float64(top.low))
}

// rowError tells what is wrong with a tile's row.
func rowError[T Float](t *tile[T], logits, noise []T, row int) error {
	lo := row * t.Classes
	_, bad := findPeak(logits[lo:lo+t.Classes], noise[lo:lo+t.Classes])
	if bad < 0 {
		return &InputError{Index: t.index(row, 0), Problem: AllMasked}
	}
	return elementError(t.index(row, bad), logits[lo+bad], noise[lo+bad])
}
