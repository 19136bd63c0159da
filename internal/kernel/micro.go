package kernel

// A product works on tiles of C: see gemm.go. A tile needs as many rows of A and as many
// columns of B as it has, packed so that the elements of one step of the sum are next
// to each other.

// microTile says what to do with the product of a tile's rows and columns.
type microTile[T Float] struct {
	depth       int // the number of products per element
	stride      int // of C
	alpha, beta T
	fresh       int // 1 if beta is 0: C is not read, so that a NaN in it does not matter
	relu        int // 1 for the activation ReLU
	bias        []T // of the tile's columns, or nil
}

// multiplyGo sets a tile of c to alpha·a·b + beta·c, then adds the bias, then applies
// ReLU. a has the packed rows and b the packed columns, their number rounded up to the
// lanes.
func multiplyGo[T Float](a, b, c []T, s *microTile[T], rows, columns int) {
	if rows == 4 && columns == 2 && lanes[T]() == 1 {
		multiply4x2(a, b, c, s)
		return
	}
	width := CeilDiv(columns, lanes[T]()) * lanes[T]()
	for i := range rows {
		for j := range columns {
			var sum T
			for k := range s.depth {
				sum += a[k*rows+i] * b[k*width+j]
			}
			s.store(c, i, j, sum)
		}
	}
}

// store finishes an element of the tile.
func (s *microTile[T]) store(c []T, i, j int, sum T) {
	at := &c[i*s.stride+j]
	*at = s.finish(*at, j, sum)
}

// finish returns what becomes of an element c of column j, given its sum.
func (s *microTile[T]) finish(c T, j int, sum T) T {
	sum *= s.alpha
	if s.fresh == 0 {
		sum += s.beta * c
	}
	if s.bias != nil {
		sum += s.bias[j]
	}
	if s.relu != 0 {
		sum = max(sum, 0)
	}
	return sum
}

// multiply4x2 keeps the sums in registers, of which Go uses no more.
func multiply4x2[T Float](a, b, c []T, s *microTile[T]) {
	var c00, c01, c10, c11, c20, c21, c30, c31 T
	for a, b := a[:4*s.depth], b[:2*s.depth]; len(a) >= 4 && len(b) >= 2; a, b = a[4:], b[2:] {
		y0, y1 := b[0], b[1]
		x := a[0]
		c00 += x * y0
		c01 += x * y1
		x = a[1]
		c10 += x * y0
		c11 += x * y1
		x = a[2]
		c20 += x * y0
		c21 += x * y1
		x = a[3]
		c30 += x * y0
		c31 += x * y1
	}
	s.store(c, 0, 0, c00)
	s.store(c, 0, 1, c01)
	s.store(c, 1, 0, c10)
	s.store(c, 1, 1, c11)
	s.store(c, 2, 0, c20)
	s.store(c, 2, 1, c21)
	s.store(c, 3, 0, c30)
	s.store(c, 3, 1, c31)
}

// packRowsGo packs width columns of a matrix of depth rows: dst[k*stride+j] is
// src[k*ld+j]. What the vector code writes after these columns, the next row overwrites.
// It reports whether an element is not finite.
func packRowsGo[T Float](dst, src []T, depth, width, ld, stride int) (bad bool) {
	for k := range depth {
		for j, v := range src[k*ld : k*ld+width] {
			dst[k*stride+j] = v
			bad = bad || v-v != 0
		}
	}
	return bad
}

// The largest tile has this size.
const (
	maxRows    = 14
	maxColumns = 32
)

// packColumnsGo packs width rows of a matrix of depth columns: dst[k*stride+j] is
// src[offsets[j]+k]. The vector code goes on to a whole number of registers in both
// directions, which the rows that are packed next overwrite, and reads all the offsets
// of a register.
func packColumnsGo[T Float](dst, src []T, depth, width, stride int, offsets *[maxColumns]int) {
	for j := range width {
		for k, v := range src[offsets[j] : offsets[j]+depth] {
			dst[k*stride+j] = v
		}
	}
}

// multiplySkipping is multiply for columns of b that are not all finite: in those that
// are not, it leaves out the products whose first factor, times alpha, is 0.
func multiplySkipping[T Float](a, b, c []T, s *microTile[T], rows, columns int) {
	width := CeilDiv(columns, lanes[T]()) * lanes[T]()
	var skipped [maxRows][maxColumns]T
	for j := range columns {
		if columnIsFinite(b[j:], width, s.depth) {
			continue
		}
		for i := range rows {
			var sum T
			for k := range s.depth {
				if x := a[k*rows+i]; s.alpha*x != 0 {
					sum += x * b[k*width+j]
				}
			}
			skipped[i][j] = s.finish(c[i*s.stride+j], j, sum)
		}
	}
	multiply(a, b, c, s, rows, columns)
	for j := range columns {
		if columnIsFinite(b[j:], width, s.depth) {
			continue
		}
		for i := range rows {
			c[i*s.stride+j] = skipped[i][j]
		}
	}
}

func columnIsFinite[T Float](b []T, width, depth int) bool {
	for k := range depth {
		if !isFinite(b[k*width]) {
			return false
		}
	}
	return true
}
