package kernel

import (
	"math"
	"math/bits"
	"sync"
)

// A distributionKernel works on one distribution at a time, whose number it is given:
// on the logits q and, in an op of two arrays, p. out is the distribution's row of the
// array that the op computes, if it computes one element per class.
type distributionKernel[T Float] struct {
	// vector does it in vector code. It returns false where it cannot.
	vector func(w *rowWork[T], q, p []T, distribution int, out []T) bool
	// columns does it for transposed short rows, of q in w.a and of p in w.b, and sets w.c
	// in place of out. It returns the bits of the lanes where it cannot. out reports whether
	// there is one. It may be nil.
	columns func(w *columns, first, rows int, out bool) (failed uint32)
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
		rows := tileRow[T]{tile: t, q: t.read(0, q)}
		if p != nil {
			rows.p = t.read(1, p)
		}
		if dst != nil {
			rows.out = t.target(2, dst)
		}
		if err := kernel.run(rows); err != nil {
			return err
		}
		if dst != nil {
			t.flush(2, dst)
		}
		return nil
	})
}

// A tileRow is a distribution in a tile, or all of them.
type tileRow[T Float] struct {
	tile      *tile[T]
	number    int
	q, p, out []T
}

// row returns a distribution of all.
func (r tileRow[T]) row(number int) tileRow[T] {
	lo, hi := number*r.tile.Classes, (number+1)*r.tile.Classes
	r.number, r.q = number, r.q[lo:hi]
	if r.p != nil {
		r.p = r.p[lo:hi]
	}
	if r.out != nil {
		r.out = r.out[lo:hi]
	}
	return r
}

// problem returns an error about a class of p.
func (r tileRow[T]) problem(class int, problem Problem) error {
	return &InputError{r.tile.index(r.number, class), problem, float64(r.p[class])}
}

// run runs the kernel for the distributions of a tile.
func (k distributionKernel[T]) run(rows tileRow[T]) error {
	pool := rowWorkPool[T]()
	w := pool.Get().(*rowWork[T])
	defer pool.Put(w)
	if classes := rows.tile.Classes; k.columns != nil && level != levelGo && isFloat32[T]() && classes > 1 && classes <= shortRow {
		k.runColumns(w, rows)
		for _, number := range w.failed {
			if err := k.runPlain(w, rows.row(number)); err != nil {
				return err
			}
		}
		return nil
	}
	for number := range rows.tile.rows {
		r := rows.row(number)
		if k.vector(w, r.q, r.p, rows.tile.distribution(number), r.out) {
			continue
		}
		if err := k.runPlain(w, r); err != nil {
			return err
		}
	}
	return nil
}

// runColumns runs the kernel for short rows. It sets w.failed to those where it cannot.
func (k distributionKernel[T]) runColumns(w *rowWork[T], rows tileRow[T]) {
	c := columnsPool.Get().(*columns)
	defer columnsPool.Put(c)
	w.failed = w.failed[:0]
	c.each(rows.tile.Classes, any(rows.q).([]float32), any(rows.p).([]float32), any(rows.out).([]float32), func(first, n int) bool {
		lanes := k.columns(c, rows.tile.distribution(first), n, rows.out != nil) & (1<<n - 1)
		for ; lanes != 0; lanes &= lanes - 1 {
			w.failed = append(w.failed, first+bits.TrailingZeros32(lanes))
		}
		return true
	})
}

// runPlain runs the kernel for a distribution in plain Go.
func (k distributionKernel[T]) runPlain(w *rowWork[T], r tileRow[T]) error {
	logQ, p := sized(&w.logQ, len(r.q)), sized(&w.logP, len(r.q))
	if err := logSoftmax(r.tile, logQ, r.q, r.number, BadFirst); err != nil {
		return err
	}
	if r.p == nil {
		fillUniform(p)
	} else if err := k.second(r, logQ, p); err != nil {
		return err
	}
	k.plain(logQ, p, r.tile.distribution(r.number), r.out)
	return nil
}

// rowWork has memory for one distribution after another.
type rowWork[T Float] struct {
	logQ, logP []float64
	expQ, expP []T
	zeros      []T // never written to
	failed     []int
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
	e := sized(buffer, len(logits))
	var tops [16]T
	if greatest(logits, &tops) {
		return x, false
	}
	x.top = greatestLane(&tops)
	if !isFinite(x.top) {
		return x, false
	}
	return exponentials[T]{e, x.top, exponentialSum(e, logits, x.top)}, true
}

// greatestLane returns the greatest of the lanes, none of which is NaN. slices.Max takes 50
// ns longer.
func greatestLane[T Float](lane *[16]T) T {
	top := lane[0]
	for _, v := range lane[1:lanes[T]()] {
		if v > top {
			top = v
		}
	}
	return top
}

// greatestGo sets the first of tops to the greatest element. The vector code sets one for
// each lane. It reports whether an element is NaN.
func greatestGo[T Float](x []T, tops *[16]T) (bad bool) {
	tops[0] = T(math.Inf(-1))
	for _, v := range x {
		bad = bad || v != v
		tops[0] = max(tops[0], v)
	}
	return bad
}

// exponentialSumGo sets e to the exponentials of the differences of logits from top, and
// returns their sum.
func exponentialSumGo[T Float](e, logits []T, top T) (sum float64) {
	for i, l := range logits {
		e[i] = T(math.Exp(float64(l - top)))
		sum += float64(e[i])
	}
	return sum
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
