package kernel

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
)

// The vector code of a tile computes what its plain Go does, for every size.
func testMatrixCode[T Float](t *testing.T, tolerance float64, checked map[string]bool) {
	for _, name := range []string{"multiply", "packRows", "packColumns"} {
		checked[name] = true
	}
	rows, columns := microSize[T]()
	for m := 1; m <= rows; m++ {
		for n := 1; n <= columns; n++ {
			for _, depth := range []int{1, 2, 7, 16, 19} {
				checkMultiply[T](t, m, n, depth, tolerance)
			}
		}
	}
	for n := 1; n <= columns; n++ {
		for _, depth := range []int{1, 3, 4, 5, 8, 16, 39} {
			checkPack[T](t, n, depth)
		}
	}
}

func checkMultiply[T Float](t *testing.T, rows, columns, depth int, tolerance float64) {
	t.Helper()
	stride := columns + 3
	a, b := finite[T](rows*depth, 1), finite[T](CeilDiv(columns, lanes[T]())*lanes[T]()*depth, 2)
	c, bias := finite[T](rows*stride, 3), finite[T](columns, 4)
	c[0] = T(math.NaN()) // it spreads unless the tile is fresh
	for flags := range 8 {
		s := microTile[T]{depth: depth, stride: stride, alpha: 2, beta: 0.5, fresh: flags & 1, relu: flags >> 1 & 1}
		if flags&4 != 0 {
			s.bias = bias
		}
		got, want := slices.Clone(c), slices.Clone(c)
		multiply(a, b, got, &s, rows, columns)
		multiplyGo(a, b, want, &s, rows, columns)
		for i := range got {
			x, y := float64(got[i]), float64(want[i])
			if !(math.Abs(x-y) <= 20*tolerance*float64(depth)) && !(math.IsNaN(x) && math.IsNaN(y)) {
				t.Fatalf("%d×%d, depth %d, flags %b: element %d is %v, want %v", rows, columns, depth, flags, i, x, y)
			}
		}
	}
}

func checkPack[T Float](t *testing.T, n, depth int) {
	t.Helper()
	stride := CeilDiv(n, lanes[T]()) * lanes[T]()
	size := depth*stride + lanes[T]()*maxColumns
	equal := func(name string, got, want []T) {
		t.Helper()
		for k := range depth {
			for j := range n {
				if got[k*stride+j] != want[k*stride+j] {
					t.Fatalf("%s %d×%d: element %d, %d is %v, want %v", name, depth, n, k, j, got[k*stride+j], want[k*stride+j])
				}
			}
		}
	}
	got, want := make([]T, size), make([]T, size)
	ld := n + 2
	src := finite[T](depth*ld, 1)
	if packRows(got, src, depth, n, ld, stride) || packRowsGo(want, src, depth, n, ld, stride) {
		t.Fatalf("packRows %d×%d: finite numbers are bad", depth, n)
	}
	equal("packRows", got, want)
	if n < ld {
		src[n] = T(math.NaN()) // beside the columns
	}
	if packRows(got, src, depth, n, ld, stride) {
		t.Fatalf("packRows %d×%d: a number beside the columns is bad", depth, n)
	}
	src[(depth-1)*ld+n-1] = T(math.Inf(-1))
	if !packRows(got, src, depth, n, ld, stride) || !packRowsGo(want, src, depth, n, ld, stride) {
		t.Fatalf("packRows %d×%d: -Inf is not bad", depth, n)
	}

	ld = depth + 1
	src = finite[T](n*ld, 2)
	var offsets [maxColumns]int
	for j := range offsets {
		offsets[j] = min(j, n-1) * ld
	}
	packColumns(got, src, depth, n, stride, &offsets)
	packColumnsGo(want, src, depth, n, stride, &offsets)
	equal("packColumns", got, want)
}

// newProduct returns a product of normal numbers. The bits of form transpose A and B;
// leading dimensions are gap greater than they have to be, with NaN in the gaps.
func newProduct[T Float](m, n, k, form, gap int) *Product[T] {
	return &Product[T]{
		Rows: m, Columns: n, Depth: k, Alpha: 1,
		A: newMatrix[T](m, k, form&1 != 0, gap), B: newMatrix[T](k, n, form&2 != 0, gap), C: newMatrix[T](m, n, false, gap),
	}
}

func newMatrix[T Float](rows, columns int, transposed bool, gap int) Matrix[T] {
	if transposed {
		rows, columns = columns, rows
	}
	m := Matrix[T]{Stride: columns + gap, Transposed: transposed}
	m.Data = finite[T](rows*m.Stride-gap, uint64(rows))
	for i := columns; gap > 0 && i < len(m.Data); i++ {
		if i%m.Stride >= columns {
			m.Data[i] = T(math.NaN())
		}
	}
	return m
}

// checkProduct compares a product with the sums in float64, within the bound of an inner
// product: the depth, times the unit roundoff, times the sum of the absolute products.
func checkProduct[T Float](t *testing.T, p *Product[T]) {
	t.Helper()
	before := slices.Clone(p.C.Data)
	if p.Beta == 0 {
		for i := range p.C.Data {
			p.C.Data[i] = T(math.NaN()) // is not read
		}
	}
	p.Compute()
	sums, sizes := make([]float64, p.Columns), make([]float64, p.Columns)
	for i := range p.Rows {
		clear(sums)
		clear(sizes)
		for k := range p.Depth {
			a := float64(p.A.from(i, k)[0])
			for j := range p.Columns {
				var x float64
				if p.B.Transposed {
					x = a * float64(p.B.Data[j*p.B.Stride+k])
				} else {
					x = a * float64(p.B.Data[k*p.B.Stride+j])
				}
				sums[j] += x
				sizes[j] += math.Abs(x)
			}
		}
		for j := range p.Columns {
			at := i*p.C.Stride + j
			want, bound := sums[j], float64(p.Depth)*unit[T]()*sizes[j]
			if !isFloat32[T]() {
				bound *= 2 // because the sum that it is compared with has an error, too
			}
			if p.Alpha != 1 || p.Beta != 0 {
				old := float64(p.Beta) * float64(before[at])
				want = float64(p.Alpha)*want + old
				bound = math.Abs(float64(p.Alpha))*bound + 4*unit[T]()*(math.Abs(float64(p.Alpha))*sizes[j]+math.Abs(old))
			}
			if got := float64(p.C.Data[at]); !(math.Abs(got-want) <= bound) {
				t.Fatalf("%d×%d×%d, A transposed %v, B %v, α %v, β %v: element %d, %d is %v, want %v ± %v",
					p.Rows, p.Columns, p.Depth, p.A.Transposed, p.B.Transposed, p.Alpha, p.Beta, i, j, got, want, bound)
			}
		}
		for at := i*p.C.Stride + p.Columns; at < min((i+1)*p.C.Stride, len(before)); at++ {
			if p.Beta != 0 && p.C.Data[at] == p.C.Data[at] {
				t.Fatalf("%d×%d×%d: wrote beside C", p.Rows, p.Columns, p.Depth)
			}
		}
	}
}

// unit returns the unit roundoff.
func unit[T Float]() float64 {
	if isFloat32[T]() {
		return 0x1p-24
	}
	return 0x1p-53
}

func TestProduct(t *testing.T) {
	if raceDetector {
		t.Skip("slow under the race detector; TestProductSplit starts the goroutines")
	}
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testProduct[float32])
		t.Run("float64", testProduct[float64])
	})
}

func testProduct[T Float](t *testing.T) {
	for i, alpha := range []T{1, -0.75, 0x1p-20} {
		for j, beta := range []T{0, 1, -0.75} {
			for _, size := range [][3]int{{1, 1, 1}, {7, 5, 3}, {17, 35, 19}, {40, 9, 33}, {13, 70, 900}} {
				for form := range 4 {
					p := newProduct[T](size[0], size[1], size[2], form, i+j)
					p.Alpha, p.Beta = alpha, beta
					checkProduct(t, p)
				}
			}
		}
	}
}

// Large products in float32 agree with those in float64, within the bound of an inner
// product.
func TestProductLarge(t *testing.T) {
	if raceDetector {
		t.Skip("slow under the race detector; TestProductSplit starts the goroutines")
	}
	eachLevel(t, func(t *testing.T) {
		for form, size := range [][3]int{{100, 784, 512}, {784, 512, 100}, {100, 512, 784}, {1000, 513, 257}} {
			p := newProduct[float32](size[0], size[1], size[2], form, 0)
			p.Compute()
			want := &Product[float64]{
				Rows: p.Rows, Columns: p.Columns, Depth: p.Depth, Alpha: 1,
				A: doubled(p.A, identity), B: doubled(p.B, identity), C: doubled(p.C, identity),
			}
			sizes := *want
			sizes.A, sizes.B, sizes.C = doubled(p.A, math.Abs), doubled(p.B, math.Abs), doubled(p.C, identity)
			want.Compute()
			sizes.Compute()
			for i, v := range p.C.Data {
				if bound := float64(p.Depth) * 0x1p-24 * sizes.C.Data[i]; !(math.Abs(float64(v)-want.C.Data[i]) <= bound) {
					t.Fatalf("%v, form %d: element %d is %v, want %v ± %v", size, form, i, v, want.C.Data[i], bound)
				}
			}
		}
	})
}

func identity(x float64) float64 { return x }

// doubled returns f of a matrix in float64.
func doubled(m Matrix[float32], f func(float64) float64) Matrix[float64] {
	d := Matrix[float64]{make([]float64, len(m.Data)), m.Stride, m.Transposed}
	for i, v := range m.Data {
		d.Data[i] = f(float64(v))
	}
	return d
}

// Products of every size from 1 to 70 per side, and of every combination of sizes with
// -exhaustive.
func TestProductSizes(t *testing.T) {
	if raceDetector {
		t.Skip("slow under the race detector; TestProductSplit starts the goroutines")
	}
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testProductSizes[float32])
		t.Run("float64", testProductSizes[float64])
	})
}

func testProductSizes[T Float](t *testing.T) {
	const most = 70
	step := 29 // of the sizes in one dimension, given any in the two others
	switch {
	case *exhaustive:
		step = 1
	case level == levelGo || testing.Short():
		step = 101
	}
	c := make([]T, most*(most+2))
	for form := range 4 {
		whole := newProduct[T](most, most, most, form, 3)
		sums, sizes := make([]float64, most*most), make([]float64, most*most)
		for k := 1; k <= most; k++ {
			for i := range most {
				a := float64(whole.A.from(i, k-1)[0])
				for j := range most {
					x := a * float64(whole.B.from(k-1, j)[0])
					sums[i*most+j] += x
					sizes[i*most+j] += math.Abs(x)
				}
			}
			bound := float64(k) * unit[T]()
			if !isFloat32[T]() {
				bound *= 2 // because the sums that it is compared with have an error, too
			}
			for m := 1; m <= most; m++ {
				for n := 1 + (2*m+3*k+form)%step; n <= most; n += step {
					p := *whole
					p.Rows, p.Columns, p.Depth, p.C = m, n, k, Matrix[T]{c, n + k%3, false}
					p.Compute()
					for i := range m {
						for j, v := range c[i*p.C.Stride:][:n] {
							if at := i*most + j; !(math.Abs(float64(v)-sums[at]) <= bound*sizes[at]) {
								t.Fatalf("%d×%d×%d, form %d: element %d, %d is %v, want %v", m, n, k, form, i, j, v, sums[at])
							}
						}
					}
				}
			}
		}
	}
}

// An element has the same bits on any number of threads, and in a product of fewer rows
// or columns.
func TestProductSplit(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testProductSplit[float32])
		t.Run("float64", testProductSplit[float64])
	})
}

func testProductSplit[T Float](t *testing.T) {
	for form := range 4 {
		for _, size := range [][3]int{{100, 300, 500}, {301, 99, 390}} {
			p := newProduct[T](size[0], size[1], size[2], form, 0)
			runtime.GOMAXPROCS(1)
			p.Compute()
			want := slices.Clone(p.C.Data)
			for _, threads := range []int{2, 3, 7} {
				runtime.GOMAXPROCS(threads)
				clear(p.C.Data)
				if p.Compute(); !slices.Equal(p.C.Data, want) {
					t.Fatalf("%v, form %d: %d threads change the bits", size, form, threads)
				}
			}
			for _, row := range []int{0, 1, 50, 98} {
				part := *p
				part.Rows, part.Columns = 1, 77
				part.A.Data, part.C = p.A.from(row, 0), newMatrix[T](1, 77, false, 0)
				if part.Compute(); !slices.Equal(part.C.Data, want[row*p.Columns:row*p.Columns+77]) {
					t.Fatalf("%v, form %d: row %d alone has other bits", size, form, row)
				}
			}
		}
	}
}

// A column that is not finite does not change the bits of another.
func TestProductNotFinite(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		p := newProduct[float32](20, 40, 50, 0, 0)
		p.A.Data[3*p.A.Stride+7] = 0
		p.Compute()
		want := slices.Clone(p.C.Data)
		p.B.Data[7*p.B.Stride+5] = float32(math.Inf(1))
		p.Compute()
		for i, v := range p.C.Data {
			switch i % p.Columns {
			case 5:
				if isFinite(v) != (i/p.Columns == 3) { // 0·∞ is left out
					t.Errorf("element %d, 5 is %v", i/p.Columns, v)
				}
			default:
				if v != want[i] {
					t.Fatalf("element %d, %d is %v, want %v", i/p.Columns, i%p.Columns, v, want[i])
				}
			}
		}
	})
}

// The bias and ReLU have the bits that Activate gives them.
func TestProductBias(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, size := range [][3]int{{3, 5, 7}, {50, 67, 800}} {
			p := newProduct[float32](size[0], size[1], size[2], 0, 0)
			p.Compute()
			bias := finite[float32](p.Columns, 9)
			bias[1] = float32(math.NaN())
			for _, a := range []Activation{Identity, ReLU} {
				want := slices.Clone(p.C.Data)
				Activate(a, want, bias, nil)
				fused := *p
				fused.C, fused.Bias, fused.ReLU = newMatrix[float32](p.Rows, p.Columns, false, 0), bias, a == ReLU
				fused.Compute()
				for i, v := range fused.C.Data {
					if math.Float32bits(v) != math.Float32bits(want[i]) && !(v != v && want[i] != want[i]) {
						t.Fatalf("%v of %v: element %d is %v, want %v", a, size, i, v, want[i])
					}
				}
			}
		}
	})
}

func TestProductAllocations(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p := newProduct[float32](100, 100, 100, 0, 0)
	p.Compute()
	if n := testing.AllocsPerRun(100, p.Compute); n > 3 {
		t.Errorf("a product allocates %v times", n)
	}
}

// The products of a training step of the example: forward, by the weights, by the input.
func BenchmarkProduct(b *testing.B) {
	const batch = 100
	for _, layer := range [][2]int{{784, 512}, {512, 256}, {256, 300}, {300, 256}, {256, 512}, {512, 784}} {
		in, out := layer[0], layer[1]
		for name, p := range map[string]*Product[float32]{
			"forward": newProduct[float32](batch, out, in, 0, 0),
			"weights": newProduct[float32](in, out, batch, 1, 0),
			"input":   newProduct[float32](batch, in, out, 2, 0),
		} {
			b.Run(fmt.Sprintf("%dx%d/%s", in, out, name), func(b *testing.B) {
				for b.Loop() {
					p.Compute()
				}
				b.ReportMetric(2*float64(p.Rows)*float64(p.Columns)*float64(p.Depth)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		}
	}
}
