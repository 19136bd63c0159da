package kernel

import "math"

// A divergenceKernel works on one distribution, whose number it is given. out
// is its row of the array that it makes, if it makes one.
type divergenceKernel[T Float] struct {
	simd  func(w *klWork[T], q, p []T, distribution int, out []T) bool // false: not done
	plain func(logQ, logP []float64, distribution int, out []T)        // given log softmax(q) and log softmax(p)
}

// eachDivergence runs a kernel for every distribution. dst is the array that it
// makes a row of at a time, if it does.
func eachDivergence[T Float](q, p []T, d Dims, dst []T, kernel divergenceKernel[T]) error {
	return eachTile(d, costOf[T](costNoise), func(t *tile[T], _ int) error {
		rowsQ := t.read(0, q)
		var rowsP, out []T
		if p != nil {
			rowsP = t.read(1, p)
		}
		if dst != nil {
			out = t.target(2, dst)
		}
		var w klWork[T]
		for r := range t.rows {
			lo, hi := r*d.Classes, (r+1)*d.Classes
			var rowP, rowOut []T
			if p != nil {
				rowP = rowsP[lo:hi]
			}
			if dst != nil {
				rowOut = out[lo:hi]
			}
			if kernel.simd(&w, rowsQ[lo:hi], rowP, t.distribution(r), rowOut) {
				continue
			}
			logQ, logP := w.logarithms(d.Classes), w.uniform(d.Classes)
			if err := logSoftmax(t, logQ, rowsQ[lo:hi], r, BadFirst); err != nil {
				return err
			}
			if p != nil {
				if err := logSoftmax(t, logP, rowP, r, BadSecond); err != nil {
					return err
				}
				if c := unbounded(logQ, logP); c >= 0 {
					return &InputError{t.index(r, c), Infinite, float64(rowP[c])}
				}
			}
			kernel.plain(logQ, logP, t.distribution(r), rowOut)
		}
		if dst != nil {
			t.flush(2, dst)
		}
		return nil
	})
}

// klWork is room for one distribution after the other.
type klWork[T Float] struct {
	logQ, logP []float64
	simd       klBuffers[T]
}

func (w *klWork[T]) logarithms(classes int) []float64 {
	if w.logQ == nil {
		w.logQ = make([]float64, classes)
	}
	return w.logQ
}

// uniform returns room for log softmax(p), with the uniform's in it until
// something else is written there.
func (w *klWork[T]) uniform(classes int) []float64 {
	if w.logP == nil {
		w.logP = make([]float64, classes)
		for i := range w.logP {
			w.logP[i] = -math.Log(float64(classes))
		}
	}
	return w.logP
}

// logSoftmax sets dst to the log softmax of row r, -Inf where masked.
func logSoftmax[T Float](t *tile[T], dst []float64, row []T, r int, culprit Problem) error {
	top := math.Inf(-1)
	for c, v := range row {
		if !(v-v == 0) && !(v < 0) {
			return &InputError{t.index(r, c), culprit, float64(v)}
		}
		top = max(top, float64(v))
	}
	if math.IsInf(top, -1) {
		problem := AllMasked
		if culprit == BadSecond {
			problem = AllMaskedSecond
		}
		return &InputError{Index: t.index(r, 0), Problem: problem}
	}
	var sum float64
	for c, v := range row {
		dst[c] = float64(v) - top
		sum += math.Exp(dst[c])
	}
	shift := math.Log(sum)
	for c := range dst {
		dst[c] -= shift
	}
	return nil
}
