package kernel

import "sync"

// A row of few classes leaves most of a vector register empty. So in float32 as many of
// them as there are lanes are transposed, and a register holds one class of each.

// shortRow is the greatest number of classes of a row that is transposed.
const shortRow = 64

// transposed holds as many short rows as there are lanes, one class after another.
type transposed [shortRow * 16]float32

// columns is memory for transposed rows.
type columns struct {
	a, b, c     transposed                // two inputs and an output
	soft, probs transposed                // exponentials or probabilities, or two more inputs
	padding     [4][shortRow * 16]float32 // the last rows before transposition, if they are fewer than the lanes
}

var columnsPool = sync.Pool{New: func() any { return new(columns) }}

// each transposes the rows of two arrays into a and b, as many at a time as there are
// lanes, calls f, and transposes c back to out unless out is nil. The second array may be
// nil. It stops when f returns false.
func (s *columns) each(classes int, a, b, out []float32, f func(first, rows int) bool) {
	size := lanes[float32]() * classes
	for lo := 0; lo < len(a); lo += size {
		n := min(size, len(a)-lo)
		transpose(s.a[:], padded(&s.padding[0], a[lo:lo+n], size), classes)
		if b != nil {
			transpose(s.b[:], padded(&s.padding[1], b[lo:lo+n], size), classes)
		}
		if !f(lo/classes, n/classes) {
			return
		}
		switch {
		case out == nil:
		case n == size:
			untranspose(out[lo:lo+n], s.c[:], classes)
		default:
			untranspose(s.padding[2][:size], s.c[:], classes)
			copy(out[lo:], s.padding[2][:n])
		}
	}
}

// padded returns x, or a copy of it with a number of elements, of which the last may be
// anything.
func padded(padding *[shortRow * 16]float32, x []float32, n int) []float32 {
	if len(x) == n {
		return x
	}
	copy(padding[:], x)
	return padding[:n]
}

// transposeGo transposes as many rows as there are lanes.
func transposeGo(dst, src []float32, classes int) {
	lanes := lanes[float32]()
	for row := range lanes {
		for c, v := range src[row*classes : (row+1)*classes] {
			dst[c*lanes+row] = v
		}
	}
}

// untransposeGo is the inverse of transposeGo.
func untransposeGo(dst, src []float32, classes int) {
	lanes := lanes[float32]()
	for row := range lanes {
		for c := range classes {
			dst[row*classes+c] = src[c*lanes+row]
		}
	}
}
