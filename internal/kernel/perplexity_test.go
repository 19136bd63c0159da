package kernel

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
)

// perplexityDims are shapes of distributions, and the blocks that they are in.
var perplexityDims = []struct {
	Dims
	blocks int
}{
	{Dims{1, 1, 1}, 1}, {Dims{1, 5, 1}, 1}, {Dims{6, 4, 1}, 6}, {Dims{7, 3, 1}, 1}, {Dims{300, 10, 1}, 3},
	{Dims{4200, 20, 1}, 7}, {Dims{300, 64, 1}, 2}, {Dims{640, 65, 1}, 1}, {Dims{66, 320, 1}, 2}, {Dims{3, 5000, 1}, 3},
	{Dims{40, 5000, 1}, 1}, {Dims{2000, 2, 1}, 1000}, {Dims{1, 4, 5}, 1}, {Dims{3, 2, 7}, 1}, {Dims{2, 10, 33}, 1},
	{Dims{1, 3, 5000}, 1}, {Dims{2, 70, 400}, 1}, {Dims{1, 1, 9}, 1},
}

// The perplexity and its gradient match their definitions, wherever the classes are.
func TestPerplexity(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", func(t *testing.T) { testPerplexity[float32](t, 2e-6) })
		t.Run("float64", func(t *testing.T) { testPerplexity[float64](t, 1e-13) })
	})
}

func testPerplexity[T Float](t *testing.T, tolerance float64) {
	for _, d := range perplexityDims {
		logits, grad := normals[T](d.Size(), 3, 1), finite[T](d.blocks, 2)
		for r := range d.Rows() { // no distribution is masked whole
			logits[d.index(r, 0)] = 1
		}
		got, slopes, toLogits := make([]T, d.blocks), make([]T, d.blocks*d.Classes), make([]T, d.Size())
		if err := Perplexity(got, slopes, logits, d.Dims, d.blocks); err != nil {
			t.Fatal(err)
		}
		GradPerplexity(toLogits, logits, slopes, grad, d.Dims, d.blocks)
		soft, _ := plainSoftmax(logits, make([]T, d.Size()), d.Dims, 1)
		batch := float64(d.Rows() / d.blocks)
		for b := range d.blocks {
			mean := make([]float64, d.Classes)
			for r := b; r < d.Rows(); r += d.blocks {
				for c := range mean {
					mean[c] += soft[d.index(r, c)] / batch
				}
			}
			h := 0.0
			for _, p := range mean {
				h -= xlogx(p, p)
			}
			want := math.Exp(h)
			if !(math.Abs(float64(got[b])-want) <= tolerance*want) {
				t.Fatalf("%v: perplexity %d is %v, want %v", d, b, got[b], want)
			}
			scale := math.Abs(float64(grad[b])) * want / batch
			for r := b; r < d.Rows(); r += d.blocks {
				inner := 0.0
				for c, p := range mean {
					inner += xlogx(soft[d.index(r, c)], p)
				}
				for c, p := range mean {
					y := soft[d.index(r, c)]
					w := -float64(grad[b]) * want / batch * (xlogx(y, p) - y*inner)
					if x := toLogits[d.index(r, c)]; !(math.Abs(float64(x)-w) <= 4*tolerance*scale*y*(1+math.Abs(inner)+math.Abs(h))+1e-40) || y == 0 && x != 0 {
						t.Fatalf("%v: the gradient to class %d of distribution %d is %v, want %v", d, c, r, x, w)
					}
				}
			}
		}
	}
}

// index returns the index of class c of distribution r.
func (d Dims) index(r, c int) int { return (r/d.Inner*d.Classes+c)*d.Inner + r%d.Inner }

// xlogx returns x·log y, 0 if x is 0.
func xlogx(x, y float64) float64 {
	if x == 0 {
		return 0
	}
	return x * math.Log(y)
}

// The mean of a million distributions has no more error than one: float32 sums would
// stop growing.
func TestPerplexityOfMany(t *testing.T) {
	const rows, classes = 1_000_000, 5
	logits := make([]float32, rows*classes)
	var mean [classes]float64
	for r := range rows {
		x := logits[r*classes : (r+1)*classes]
		var p [classes]float64
		total := 0.0
		for c := range x {
			x[c] = float32((r*7+c*c*3)%11) / 2 * float32(c)
			p[c] = math.Exp(float64(x[c]))
			total += p[c]
		}
		for c := range p {
			mean[c] += p[c] / total / rows
		}
	}
	h := 0.0
	for _, p := range mean {
		h -= xlogx(p, p)
	}
	eachLevel(t, func(t *testing.T) {
		var got [1]float32
		if err := Perplexity(got[:], nil, logits, Dims{rows, classes, 1}, 1); err != nil {
			t.Fatal(err)
		}
		if want := math.Exp(h); math.Abs(float64(got[0])-want) > 2e-7*want {
			t.Errorf("%v, want %v", got[0], want)
		}
	})
}

// No bit depends on the number of goroutines.
func TestPerplexityThreads(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testPerplexityThreads[float32])
		t.Run("float64", testPerplexityThreads[float64])
	})
}

func testPerplexityThreads[T Float](t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, d := range perplexityDims {
		logits, grad := finite[T](d.Size(), 1), finite[T](d.blocks, 2)
		run := func() []T {
			value, slopes, back := make([]T, d.blocks), make([]T, d.blocks*d.Classes), make([]T, d.Size())
			if err := Perplexity(value, slopes, logits, d.Dims, d.blocks); err != nil {
				t.Fatal(err)
			}
			GradPerplexity(back, logits, slopes, grad, d.Dims, d.blocks)
			return slices.Concat(value, slopes, back)
		}
		runtime.GOMAXPROCS(1)
		want := run()
		for _, procs := range []int{2, 3, 7, 100} {
			runtime.GOMAXPROCS(procs)
			if !slices.Equal(run(), want) {
				t.Errorf("%v: the results differ with GOMAXPROCS=%d", d, procs)
			}
		}
	}
}

// The perplexity is from 1 to the number of classes, with the ends for one class and
// for all of them.
func TestPerplexityBounds(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testPerplexityBounds[float32])
		t.Run("float64", testPerplexityBounds[float64])
	})
}

func testPerplexityBounds[T Float](t *testing.T) {
	space := make([]T, 33*30011)
	for _, classes := range []int{1, 2, 3, 7, 10, 63, 100, 1000, 30011} {
		for _, size := range []float64{0, 1e-7, 1e-4, 1e4, 1e30} {
			for _, rows := range []int{1, 2, 33} {
				logits := space[:rows*classes]
				for i := range logits {
					logits[i] = T(size * math.Cos(float64(i)))
				}
				var got [1]T
				if err := Perplexity(got[:], nil, logits, Dims{rows, classes, 1}, 1); err != nil {
					t.Fatal(err)
				}
				if !(got[0] >= 1 && got[0] <= T(classes)) {
					t.Errorf("%d rows of %d classes, logits of %v: %v", rows, classes, size, got[0])
				}
				if slack := 1e-5 * T(classes); size < 1e-5 && got[0] < T(classes)-slack {
					t.Errorf("%d rows of %d nearly uniform classes: %v", rows, classes, got[0])
				}
			}
		}
		if classes > 100 {
			continue
		}
		logits := space[:classes*classes] // each row is certain of another class
		for i := range logits {
			logits[i] = 0
			if i%(classes+1) != 0 {
				logits[i] = T(math.Inf(-1))
			}
		}
		var got [1]T
		if err := Perplexity(got[:], nil, logits, Dims{classes, classes, 1}, 1); err != nil {
			t.Fatal(err)
		}
		if math.Abs(float64(got[0])-float64(classes)) > 1e-6*float64(classes) {
			t.Errorf("%d classes, each certain once: %v", classes, got[0])
		}
	}
}

// A class that is masked in some or all distributions has the gradient 0, even if the
// gradient to the perplexity is infinite. An infinite gradient affects its own block only.
func TestPerplexityMasks(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testPerplexityMasks[float32])
		t.Run("float64", testPerplexityMasks[float64])
	})
}

func testPerplexityMasks[T Float](t *testing.T) {
	for _, classes := range []int{3, 100} {
		for _, upstream := range []T{1, T(math.Inf(1)), T(math.NaN())} {
			const blocks, rows = 2, 10
			d := Dims{rows * blocks, classes, 1}
			logits := finite[T](d.Size(), 1)
			for r := range d.Rows() {
				logits[d.index(r, 1)] = T(math.Inf(-1)) // in all rows
				if r%4 < 2 {
					logits[d.index(r, 2)] = T(math.Inf(-1))
				}
			}
			value, slopes, back := make([]T, blocks), make([]T, blocks*classes), make([]T, d.Size())
			grad := []T{upstream, 1}
			if err := Perplexity(value, slopes, logits, d, blocks); err != nil {
				t.Fatal(err)
			}
			GradPerplexity(back, logits, slopes, grad, d, blocks)
			for i, x := range back {
				row := i / classes
				switch finite := isFinite(x); {
				case math.IsInf(float64(logits[i]), -1) && x != 0:
					t.Fatalf("upstream %v: masked element %d has the gradient %v", upstream, i, x)
				case math.IsInf(float64(logits[i]), -1):
				case finite != (row%blocks == 1 || isFinite(upstream)):
					t.Fatalf("upstream %v: element %d has the gradient %v", upstream, i, x)
				}
			}
		}
	}
}

func TestPerplexityBadInput(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testPerplexityBadInput[float32])
		t.Run("float64", testPerplexityBadInput[float64])
	})
}

func testPerplexityBadInput[T Float](t *testing.T) {
	nan, inf := T(math.NaN()), T(math.Inf(1))
	for _, d := range []Dims{{20_000, 3, 1}, {4, 3, 500}} {
		for _, test := range []struct {
			row, class int
			value      T
			problem    Problem
		}{{1999, 2, nan, BadFirst}, {700, 1, inf, BadFirst}, {1002, 0, -inf, AllMasked}} {
			logits := make([]T, d.Size())
			for r := test.row; r < d.Rows(); r += 7 { // the first is reported
				for c := range d.Classes {
					if c == test.class || test.problem == AllMasked {
						logits[d.index(r, c)] = test.value
					}
				}
			}
			var bad *InputError
			if err := Perplexity(make([]T, 1), nil, logits, d, 1); !errors.As(err, &bad) || bad.Index != d.index(test.row, test.class) || bad.Problem != test.problem {
				t.Errorf("%v, %v in distribution %d: %v", d, test.value, test.row, err)
			}
		}
	}
}

func BenchmarkPerplexity(b *testing.B) {
	for _, d := range perplexityBenchmarks {
		logits, back := normals[float32](d.Size(), 1, 1), make([]float32, d.Size())
		value, slopes, grad := make([]float32, d.blocks), make([]float32, d.blocks*d.Classes), make([]float32, d.blocks)
		for i := range grad {
			grad[i] = 1
		}
		for name, f := range map[string]func(){
			"value": func() { _ = Perplexity(value, slopes, logits, d.Dims, d.blocks) },
			"grad":  func() { GradPerplexity(back, logits, slopes, grad, d.Dims, d.blocks) },
		} {
			b.Run(fmt.Sprintf("%s/%dx%dx%d", name, d.Outer/d.blocks, d.blocks*d.Classes, d.Inner), func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*d.Size()), "ns/element")
			})
		}
	}
}

var perplexityBenchmarks = []struct {
	Dims
	blocks int
}{
	{Dims{4096, 10, 1}, 1}, {Dims{2000, 320, 1}, 2}, {Dims{1024, 1000, 1}, 1}, {Dims{64, 32000, 1}, 1}, {Dims{1, 100, 10000}, 1},
}
