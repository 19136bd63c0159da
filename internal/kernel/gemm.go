package kernel

import "sync"

// A Product is C = f(α·A·B + β·C + bias) with C of Rows × Columns and sums of Depth
// products. It is computed as Goto and van de Geijn do ("Anatomy of high-performance
// matrix multiplication", ACM TOMS 34, 2008): blocks of A and B are packed into
// memory that stays in the caches, and multiplied tile by tile in registers.
//
// An element is the sum over blocks of the depth, which depend on Depth alone, of sums
// in the order of the depth. So its bits depend on its row of A, its column of B, and
// nothing else.
//
// Products with a zero element of A are left out if the other factor is infinite or
// NaN, except in A·Bᵀ, as in gonum's BLAS. C is not read if β is 0.
type Product[T Float] struct {
	Rows, Columns, Depth int
	Alpha, Beta          T
	A, B, C              Matrix[T] // C is not transposed
	Bias                 []T       // added to each row of C unless it is nil
	ReLU                 bool      // f is max(·, 0), otherwise the identity
}

// A Matrix lies in memory row by row, with the first elements of neighbouring rows
// Stride apart. If it is Transposed, these are its columns.
type Matrix[T Float] struct {
	Data       []T
	Stride     int
	Transposed bool
}

// from returns the elements from (i, j) on.
func (m *Matrix[T]) from(i, j int) []T {
	if m.Transposed {
		i, j = j, i
	}
	return m.Data[i*m.Stride+j:]
}

// Sizes of blocks, in elements. Those of AVX2 were chosen by measurement. Those of
// AVX-512 follow from the sizes of the caches.
const (
	blockDepth     = 384     // of AVX2 in float32: a tile's columns then stay in the first level of cache
	blockDepthWide = 256     // of AVX-512, with tiles of more columns
	blockA         = 1 << 16 // rows × depth: they stay in the second level
)

// partsOfProduct is how many parts a goroutine computes. Each packs a whole factor.
const partsOfProduct = 1

// microSize returns the size of a tile at the level in use.
func microSize[T Float]() (rows, columns int) {
	switch {
	case level == levelGo:
		return 4, 2
	case !isFloat32[T]():
		return 4, 12
	case level == levelAVX512:
		return 14, 32
	}
	return 6, 16
}

// productsPerNanosecond is the speed of Product, roughly.
func productsPerNanosecond[T Float]() int {
	switch {
	case level == levelGo:
		return 3
	case !isFloat32[T]():
		return 20
	case level == levelAVX512:
		return 80
	}
	return 40
}

// Compute computes C. Rows, Columns and Depth are at least 1.
func (p *Product[T]) Compute() {
	rows, columns := microSize[T]()
	time := p.Depth * p.Rows / productsPerNanosecond[T]() * p.Columns
	if p.Columns >= p.Rows {
		n := CeilDiv(p.Columns, columns)
		splitInto(partsOfProduct, n, time/n, 1, func(lo, hi int) { p.part(0, p.Rows, lo*columns, min(hi*columns, p.Columns)) })
		return
	}
	n := CeilDiv(p.Rows, rows)
	splitInto(partsOfProduct, n, time/n, 1, func(lo, hi int) { p.part(lo*rows, min(hi*rows, p.Rows), 0, p.Columns) })
}

// packed is memory for packed blocks.
type packed[T Float] struct{ a, b []T }

var (
	packed32 = sync.Pool{New: func() any { return new(packed[float32]) }}
	packed64 = sync.Pool{New: func() any { return new(packed[float64]) }}
)

// part computes a part of C.
func (p *Product[T]) part(row, endRow, column, endColumn int) {
	pool := &packed64
	if isFloat32[T]() {
		pool = &packed32
	}
	w := pool.Get().(*packed[T])
	defer pool.Put(w)
	maxDepth := blockDepth * 4 / sizeOf[T]()
	if level == levelAVX512 && isFloat32[T]() {
		maxDepth = blockDepthWide
	}
	size := CeilDiv(p.Depth, CeilDiv(p.Depth, maxDepth))
	for k := 0; k < p.Depth; k += size {
		b := block[T]{Product: p, packed: w, first: k, depth: min(size, p.Depth-k)}
		count := CeilDiv(endRow-row, max(blockA/size, 1))
		for i := range count {
			b.compute(row+i*(endRow-row)/count, row+(i+1)*(endRow-row)/count, column, endColumn)
		}
	}
}

// A block adds a range of the depth.
type block[T Float] struct {
	*Product[T]
	*packed[T]
	first, depth int
	offsets      [maxColumns]int
}

func (b *block[T]) compute(row, endRow, column, endColumn int) {
	s := microTile[T]{depth: b.depth, stride: b.C.Stride, alpha: b.Alpha, beta: 1}
	if b.first == 0 {
		if s.beta = b.Beta; b.Beta == 0 {
			s.fresh = 1
		}
	}
	last := b.first+b.depth == b.Depth
	if last && b.ReLU {
		s.relu = 1
	}
	microRows, microColumns := microSize[T]()
	panels := CeilDiv(endRow-row, microRows)
	start := func(panel int) int { return row + panel*(endRow-row)/panels }
	// The vector code packs up to a square of lanes more than there is.
	over := lanes[T]() * max(lanes[T](), maxColumns)
	a := sized(&b.a, (endRow-row)*b.depth+over)
	for i := range panels {
		b.pack(a[(start(i)-row)*b.depth:], &b.A, start(i), start(i+1)-start(i), start(i+1)-start(i), true)
	}
	for j := column; j < endColumn; j += microColumns {
		columns := min(microColumns, endColumn-j)
		width := CeilDiv(columns, lanes[T]()) * lanes[T]()
		packedB := sized(&b.b, width*b.depth+over)
		multiply := multiply[T]
		if !b.pack(packedB, &b.B, j, columns, width, false) {
			multiply = multiplySkipping[T]
		}
		if last && b.Bias != nil {
			s.bias = b.Bias[j:]
		}
		for i := range panels {
			multiply(a[(start(i)-row)*b.depth:], packedB, b.C.from(start(i), j), &s, start(i+1)-start(i), columns)
		}
	}
}

// pack packs n rows of A or columns of B from first on, with a stride. It reports
// whether zeros need no care.
func (b *block[T]) pack(dst []T, m *Matrix[T], first, n, stride int, rows bool) (plain bool) {
	if rows != m.Transposed { // the depth is along the rows in memory
		for j := range b.offsets {
			b.offsets[j] = min(j, n-1) * m.Stride
		}
		src := m.Data[first*m.Stride+b.first:]
		packColumns(dst, src, b.depth, n, stride, &b.offsets)
		return rows || !b.A.Transposed || allFinite(dst[:b.depth*stride])
	}
	return !packRows(dst, m.Data[b.first*m.Stride+first:], b.depth, n, m.Stride, stride) || rows
}

func allFinite[T Float](x []T) bool {
	for _, v := range x {
		if !isFinite(v) {
			return false
		}
	}
	return true
}

func sizeOf[T Float]() int {
	if isFloat32[T]() {
		return 4
	}
	return 8
}
