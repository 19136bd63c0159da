package kernel

import (
	"math"
	"sync"
)

// A distributionKernel works on one distribution at a time, whose number it is given:
// on the logits q and, in an op of two arrays, p. out is the distribution's row of the
// array that the op computes, if it computes one element per class.
type distributionKernel[T Float] struct {
	// vector does it in vector code. It returns false where it cannot.
	vector func(w *rowWork[T], q, p []T, distribution int, out []T) bool
	// second sets what plain is given of p, and returns an error if p is not allowed
	// beside log softmax(q). Without p, plain is given the uniform distribution.
	second func(r tileRow[T], logQ, dst []float64) error
	// plain is given log softmax(q), and what second makes of p.
	plain func(logQ, p []float64, distribution int, out []T)
}

// eachDistribution runs a kernel for every distribution of q and, unless it is nil, p.
// dst is the array that the kernel computes row by row, or nil.
func eachDistribution[T Float](q, p []T, d Dims, dst []T, kernel distributionKernel[T]) error {
	return eachTile(d, costOf[T](costNoise), func(t *tile[T], _ int) error {
		rowsQ := t.read(0, q)
		var rowsP, out []T
		if p != nil {
			rowsP = t.read(1, p)
		}
		if dst != nil {
			out = t.target(2, dst)
		}
		pool := rowWorkPool[T]()
		w := pool.Get().(*rowWork[T])
		defer pool.Put(w)
		for n := range t.rows {
			lo, hi := n*d.Classes, (n+1)*d.Classes
			r := tileRow[T]{tile: t, number: n, q: rowsQ[lo:hi]}
			if p != nil {
				r.p = rowsP[lo:hi]
			}
			if dst != nil {
				r.out = out[lo:hi]
			}
			if err := kernel.run(w, r); err != nil {
				return err
			}
		}
		if dst != nil {
			t.flush(2, dst)
		}
		return nil
	})
}

// A tileRow is a distribution in a tile.
type tileRow[T Float] struct {
	tile      *tile[T]
	number    int
	q, p, out []T
}

// problem returns an error about a class of p.
func (r tileRow[T]) problem(class int, problem Problem) error {
	return &InputError{r.tile.index(r.number, class), problem, float64(r.p[class])}
}

func (k distributionKernel[T]) run(w *rowWork[T], r tileRow[T]) error {
	distribution := r.tile.distribution(r.number)
	if k.vector(w, r.q, r.p, distribution, r.out) {
		return nil
	}
	logQ, p := sized(&w.logQ, len(r.q)), sized(&w.logP, len(r.q))
	if err := logSoftmax(r.tile, logQ, r.q, r.number, BadFirst); err != nil {
		return err
	}
	if r.p == nil {
		fillUniform(p)
	} else if err := k.second(r, logQ, p); err != nil {
		return err
	}
	k.plain(logQ, p, distribution, r.out)
	return nil
}

// rowWork has memory for one distribution after another.
type rowWork[T Float] struct {
	logQ, logP []float64
	expQ, expP []T
	zeros      []T // never written to
}

// The memory outlives a call, as the buffers of tiles do.
var (
	rowWorks32 = sync.Pool{New: func() any { return new(rowWork[float32]) }}
	rowWorks64 = sync.Pool{New: func() any { return new(rowWork[float64]) }}
)

func rowWorkPool[T Float]() *sync.Pool {
	if isFloat32[T]() {
		return &rowWorks32
	}
	return &rowWorks64
}

// fillUniform sets dst to the logarithms of the uniform distribution.
func fillUniform(dst []float64) {
	log := -math.Log(float64(len(dst)))
	for i := range dst {
		dst[i] = log
	}
}

// exponentials are those of a row's logits less the greatest, which is top.
type exponentials[T Float] struct {
	e   []T
	top T
	sum float64
}

// exponentials computes those of a row in vector code, in a buffer of w. ok is false
// where there is no vector code or the row is not allowed.
func (w *rowWork[T]) exponentials(buffer *[]T, logits []T) (x exponentials[T], ok bool) {
	if level == levelGo {
		return x, false
	}
	zeros, e := sized(&w.zeros, len(logits)), sized(buffer, len(logits))
	top, bad := vectorPeak(logits, zeros)
	if bad {
		return x, false
	}
	s := softmaxScalars[T]{top: top.sum}
	s.setRate(1)
	return exponentials[T]{e, top.sum, exponentiate(e, logits, zeros, &s)}, true
}

// logSoftmax sets dst to the log softmax of row r, -Inf where masked. culprit is the
// problem of an element that is not allowed.
func logSoftmax[T Float](t *tile[T], dst []float64, row []T, r int, culprit Problem) error {
	top := math.Inf(-1)
	for c, v := range row {
		if !isFinite(v) && !(v < 0) {
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
