package kernel

import (
	"sync"

	"github.com/gumbel-go/gumbel/internal/philox"
)

const (
	// tileSize is about how many elements a tile has if Inner is 1. A kernel's
	// arrays then stay in the first level of cache.
	tileSize = 4096

	// If Inner is greater than 1, a tile is minWidth to maxWidth neighbouring
	// distributions wide, and in between has packedSize elements. Noise comes in
	// groups of consecutive elements, and a narrow tile wastes most of a group.
	packedSize = 1 << 16
	minWidth   = 16
	maxWidth   = 512
)

// A tile is a set of neighbouring distributions. It shows an array as contiguous rows,
// one per distribution: directly if Inner is 1, otherwise packed into a buffer. Tiles
// depend on the Dims only, never on the number of goroutines.
type tile[T Float] struct {
	Dims
	outer, inner int // of the first distribution
	rows         int
	buffers      *[maxArrays][]T
}

// maxArrays is how many arrays a kernel may work on in a tile.
const maxArrays = 9

// tiles returns how Dims is cut: into count tiles of a width, perRow of them side by
// side in Inner.
func (d Dims) tiles() (width, perRow, count int) {
	if d.Inner == 1 {
		width = max(1, tileSize/d.Classes)
		// Whole groups of noise, and whole registers of short rows, waste less.
		if step := max(philox.Group/GCD(philox.Group, d.Classes), 16); width >= step {
			width -= width % step
		} else if width > 1 && step == 16 {
			width = step
		}
		return width, 1, CeilDiv(d.Outer, width)
	}
	width = min(max(packedSize/d.Classes, minWidth), maxWidth, d.Inner)
	perRow = CeilDiv(d.Inner, width)
	return width, perRow, d.Outer * perRow
}

// GCD returns the greatest common divisor.
func GCD(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// CeilDiv returns a/b, rounded up.
func CeilDiv(a, b int) int { return (a + b - 1) / b }

// eachTile calls f with every tile and its number. An element costs as many nanoseconds
// as cost says. It returns the error of the first tile that has one.
func eachTile[T Float](d Dims, cost int, f func(t *tile[T], number int) error) error {
	return eachRun(d, 1, cost, f)
}

// eachRun is eachTile for runs of so many neighbouring tiles. One goroutine goes through the
// tiles of a run, in order.
func eachRun[T Float](d Dims, size, cost int, f func(t *tile[T], number int) error) error {
	if d.Size() == 0 {
		return nil
	}
	width, perRow, count := d.tiles()
	var first firstError
	split(CeilDiv(count, size), size*width*d.Classes, cost, func(lo, hi int) {
		pool := bufferPool[T]()
		t := tile[T]{Dims: d, buffers: pool.Get().(*[maxArrays][]T)}
		defer pool.Put(t.buffers)
		for n := lo * size; n < min(hi*size, count); n++ {
			if d.Inner == 1 {
				t.outer, t.inner = n*width, 0
				t.rows = min(width, d.Outer-t.outer)
			} else {
				t.outer, t.inner = n/perRow, n%perRow*width
				t.rows = min(width, d.Inner-t.inner)
			}
			if err := f(&t, n); err != nil {
				first.add(n, err)
				return
			}
		}
	})
	return first.err
}

// firstError is the error of the first tile that has one.
type firstError struct {
	mutex  sync.Mutex
	number int
	err    error
}

func (f *firstError) add(number int, err error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.err == nil || number < f.number {
		f.number, f.err = number, err
	}
}

// Buffers outlive a call, because clearing new ones would take much of the time of a
// small graph.
var (
	buffers32 = sync.Pool{New: func() any { return new([maxArrays][]float32) }}
	buffers64 = sync.Pool{New: func() any { return new([maxArrays][]float64) }}
)

func bufferPool[T Float]() *sync.Pool {
	if isFloat32[T]() {
		return &buffers32
	}
	return &buffers64
}

// sumTiles returns the sum of what f adds to the sum of each tile. The sum is rounded
// the same way on any number of goroutines.
func sumTiles[T Float](d Dims, cost int, f func(t *tile[T], sum *float64) error) (float64, error) {
	pool := bufferPool[float64]()
	buffers := pool.Get().(*[maxArrays][]float64)
	defer pool.Put(buffers)
	_, _, count := d.tiles()
	sums := sized(&buffers[0], count)
	clear(sums)
	err := eachTile(d, cost, func(t *tile[T], number int) error { return f(t, &sums[number]) })
	var total float64
	for _, sum := range sums {
		total += sum
	}
	return total, err
}

// index returns the index in the array of class c of the tile's row r.
func (t *tile[T]) index(r, c int) int {
	if t.Inner == 1 {
		return (t.outer+r)*t.Classes + c
	}
	return (t.outer*t.Classes+c)*t.Inner + t.inner + r
}

// distribution returns the number of row r among all distributions.
func (t *tile[T]) distribution(r int) int {
	if t.Inner == 1 {
		return t.outer + r
	}
	return t.outer*t.Inner + t.inner + r
}

// perRow returns the tile's part of an array that has one element per distribution,
// unless that is empty.
func (t *tile[T]) perRow(array []T) []T {
	if len(array) == 0 {
		return nil
	}
	first := t.distribution(0)
	return array[first : first+t.rows]
}

// direct returns the tile's part of an array if Inner is 1.
func (t *tile[T]) direct(array []T) []T {
	return array[t.outer*t.Classes : (t.outer+t.rows)*t.Classes]
}

// directOrZero is direct, and zeros in buffer n for a nil array.
func (t *tile[T]) directOrZero(n int, array []T) []T {
	if array != nil {
		return t.direct(array)
	}
	zeros := t.buffer(n)
	clear(zeros)
	return zeros
}

// buffer returns buffer number n, in the tile's size.
func (t *tile[T]) buffer(n int) []T {
	return sized(&t.buffers[n], t.rows*t.Classes)
}

// sized returns a buffer of n elements, with any contents.
func sized[T Float](buffer *[]T, n int) []T {
	if cap(*buffer) < n {
		*buffer = make([]T, n)
	}
	return (*buffer)[:n]
}

// read returns the tile's rows of an array, in buffer n if they must be packed.
func (t *tile[T]) read(n int, array []T) []T {
	if t.Inner == 1 {
		return t.direct(array)
	}
	rows := t.buffer(n)
	for c := range t.Classes {
		from := t.index(0, c)
		for r, v := range array[from : from+t.rows] {
			rows[r*t.Classes+c] = v
		}
	}
	return rows
}

// target returns the rows to write for an array. flush then copies them to the array.
func (t *tile[T]) target(n int, array []T) []T {
	if t.Inner == 1 {
		return t.direct(array)
	}
	return t.buffer(n)
}

func (t *tile[T]) flush(n int, array []T) {
	if t.Inner == 1 {
		return
	}
	rows := t.buffer(n)
	for c := range t.Classes {
		from := t.index(0, c)
		for r := range array[from : from+t.rows] {
			array[from+r] = rows[r*t.Classes+c]
		}
	}
}

// noise returns the tile's rows of a sampler's noise, in buffer n unless they are given.
// It may prefetch the tile's rows of two arrays.
func (t *tile[T]) noise(n int, noise Noise[T], ahead prefetch[T]) []T {
	switch {
	case noise.Given != nil:
		return t.read(n, noise.Given)
	case noise.Stream == nil:
		rows := t.buffer(n)
		clear(rows)
		return rows
	case t.Inner == 1:
		rows := t.noiseRows(n, noise)
		fillNoise(rows, *noise.Stream, uint64(t.index(0, 0)), ahead)
		return rows
	}
	rows := t.buffer(n)
	t.drawPacked(rows, noise.Save, *noise.Stream, gumbelLaw)
	return rows
}

// exponential sets rows to the tile's standard exponential noise of a stream.
func (t *tile[T]) exponential(rows []T, s Stream) {
	if t.Inner == 1 {
		fill(rows, s, uint64(t.index(0, 0)), prefetch[T]{}, exponentialLaw)
		return
	}
	t.drawPacked(rows, nil, s, exponentialLaw)
}

// drawPacked packs the tile's noise into rows, and copies it to an array that saves it
// unless that is empty.
func (t *tile[T]) drawPacked(rows, save []T, s Stream, law law) {
	var array [maxWidth]T
	span := array[:t.rows]
	for c := range t.Classes {
		fill(span, s, uint64(t.index(0, c)), prefetch[T]{}, law)
		for r, g := range span {
			rows[r*t.Classes+c] = g
		}
		if len(save) > 0 {
			copy(save[t.index(0, c):], span)
		}
	}
}

// noiseRows returns where the tile's noise goes: to the array that saves it, or
// to buffer n.
func (t *tile[T]) noiseRows(n int, noise Noise[T]) []T {
	if len(noise.Save) > 0 {
		return t.direct(noise.Save)
	}
	return t.buffer(n)
}
