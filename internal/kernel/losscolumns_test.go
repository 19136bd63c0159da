package kernel

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// testLossColumns compares the vector code for transposed rows with plain Go.
func testLossColumns(t *testing.T, checked map[string]bool) {
	for _, name := range []string{"exponentialColumns", "ratioColumns", "meanColumns", "centredColumns", "shiftedColumns", "axpbyColumns", "excessColumns"} {
		checked[name] = true
	}
	if level == levelGo {
		return
	}
	near := func(what string, classes int, got, want []float32) {
		t.Helper()
		for i, x := range got {
			if y := want[i]; x != y && !(math.Abs(float64(x-y)) <= 1e-5*max(1, math.Abs(float64(y)))) && (x == x || y == y) {
				t.Fatalf("%s, %d classes: element %d is %v, want %v", what, classes, i, x, y)
			}
		}
	}
	wide := func(x [16]float64) []float32 {
		var y [16]float32
		for i, v := range x {
			y[i] = float32(v)
		}
		return y[:lanes[float32]()]
	}
	for _, classes := range []int{1, 2, 3, 10, 33, shortRow} {
		n := classes * lanes[float32]()
		logits, x, y := finite[float32](n, 1), finite[float32](n, 2), finite[float32](n, 3)
		for i := range logits {
			if i%5 == 0 && i >= lanes[float32]() {
				logits[i] = float32(math.Inf(-1))
			}
		}
		logits[1] = float32(math.NaN())
		logits[2] = float32(math.Inf(1))

		var e, wantE, below, wantBelow, got, want transposed
		var found, wantFound columnExponentials
		exponentialColumns(e[:], below[:], logits, classes, &found)
		exponentialColumnsGo(wantE[:], wantBelow[:], logits, classes, &wantFound)
		if found.bad != wantFound.bad || found.bad&6 != 6 {
			t.Fatalf("%d classes: the bad lanes are %b, want %b", classes, found.bad, wantFound.bad)
		}
		for lane := range lanes[float32]() {
			if found.bad>>lane&1 != 0 { // anything
				found.total[lane], wantFound.total[lane] = 0, 0
				for i := lane; i < n; i += lanes[float32]() {
					e[i], wantE[i], below[i], wantBelow[i] = 0, 0, 0, 0
				}
			}
		}
		near("exponentials", classes, e[:n], wantE[:n])
		near("differences", classes, below[:n], wantBelow[:n])
		near("peaks", classes, found.top[3:lanes[float32]()], wantFound.top[3:lanes[float32]()])
		near("sums", classes, wide(found.total), wide(wantFound.total))

		var means, wantMeans columnMeans
		x[0], x[n-1] = -1, 0
		for _, infinite := range []bool{false, true} { // infinite where e is 0
			first, second := x, y
			if infinite {
				first, second = e[:n], below[:n]
			}
			meanColumns(first, second, classes, &means)
			meanColumnsGo(first, second, classes, &wantMeans)
			near("means", classes, wide(means.dot), wide(wantMeans.dot))
			near("totals", classes, wide(means.total), wide(wantMeans.total))
			if means.negative != wantMeans.negative {
				t.Fatalf("%d classes: the negative lanes are %b, want %b", classes, means.negative, wantMeans.negative)
			}
		}

		s := columnFactors{[16]float32(finite[float32](16, 4)), [16]float32(finite[float32](16, 5)), [16]float32{3: 1e-6}}
		centredColumns(got[:], e[:], below[:], classes, &s)
		centredColumnsGo(want[:], e[:], below[:], classes, &s)
		near("centred", classes, got[:n], want[:n])
		shiftedColumns(got[:], below[:], classes, &s)
		shiftedColumnsGo(want[:], below[:], classes, &s)
		near("shifted", classes, got[:n], want[:n])
		w := columnWeights{s.factor, s.mean}
		axpbyColumns(got[:], x, y, classes, &w)
		axpbyColumnsGo(want[:], x, y, classes, &w)
		near("sums of products", classes, got[:n], want[:n])

		var excess, wantExcess columnExcess
		e[0] = 0
		for i := range got[:n] {
			got[i] = s.mean[i%lanes[float32]()] + x[i]/2
		}
		excessColumns(e[:], got[:], classes, &s, &excess)
		excessColumnsGo(e[:], got[:], classes, &s, &wantExcess)
		for lane := range lanes[float32]() {
			if excess.far>>lane&1 != 0 { // anything
				excess.sum[lane], wantExcess.sum[lane] = 0, 0
			}
		}
		near("excess", classes, wide(excess.sum), wide(wantExcess.sum))
		if excess.far != wantExcess.far || excess.far&1 == 0 {
			t.Fatalf("%d classes: the far lanes are %b, want %b", classes, excess.far, wantExcess.far)
		}

		ratios := columnTops{q: s.mean, p: s.factor}
		wantRatios := ratios
		y[n-1] = float32(math.Inf(-1))
		ratioColumns(got[:], x, y, classes, &ratios)
		ratioColumnsGo(want[:], x, y, classes, &wantRatios)
		near("ratios", classes, got[:n-1], want[:n-1])
		if ratios.infinite != wantRatios.infinite || ratios.infinite>>(lanes[float32]()-1) != 1 {
			t.Fatalf("%d classes: the infinite lanes are %b, want %b", classes, ratios.infinite, wantRatios.infinite)
		}
	}
}

// The functions of distributions agree in float32 with float64, for rows that are
// transposed and for longer ones. Small entropies and log-probabilities keep their digits.
func TestDistributionFunctions(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, classes := range []int{1, 2, 3, 10, 17, shortRow, shortRow + 1, 200} {
			for _, d := range []Dims{{37, classes, 1}, {3, classes, 19}} {
				for _, size := range []float32{0.01, 1, 10, 60} {
					testDistributionFunctions(t, d, size)
				}
			}
		}
	})
}

func testDistributionFunctions(t *testing.T, d Dims, size float32) {
	q, p, v, g := finite[float32](d.Size(), 1), finite[float32](d.Size(), 2), finite[float32](d.Size(), 3), finite[float32](d.Rows(), 4)
	for i := range q {
		q[i], p[i], v[i] = size*q[i], size*p[i], max(v[i], 0)
		if c := i / d.Inner % d.Classes; c > 0 && i%7 == 0 {
			q[i], v[i] = float32(math.Inf(-1)), 0
			if i%2 == 0 {
				p[i] = q[i]
			}
		}
	}
	q64, p64, v64, g64 := widened(q), widened(p), widened(v), widened(g)
	type function struct {
		name     string
		n        int
		f32      func(dst []float32) error
		f64      func(dst []float64) error
		relative bool // to the value itself, and otherwise to the greatest of the array, or 1
	}
	for _, f := range []function{
		{"entropy", d.Rows(), func(x []float32) error { return Entropy(x, q, d) }, func(x []float64) error { return Entropy(x, q64, d) }, true},
		{"entropy, gradient", d.Size(), func(x []float32) error { return GradEntropy(x, q, g, d) }, func(x []float64) error { return GradEntropy(x, q64, g64, d) }, false},
		{"KL", d.Rows(), func(x []float32) error { return KL(x, q, p, d) }, func(x []float64) error { return KL(x, q64, p64, d) }, false},
		{"KL from uniform", d.Rows(), func(x []float32) error { return KL(x, q, nil, d) }, func(x []float64) error { return KL(x, q64, nil, d) }, false},
		{"KL, gradient to q", d.Size(), func(x []float32) error { return GradKLQ(x, q, p, g, d) }, func(x []float64) error { return GradKLQ(x, q64, p64, g64, d) }, false},
		{"KL from uniform, gradient", d.Size(), func(x []float32) error { return GradKLQ(x, q, nil, g, d) }, func(x []float64) error { return GradKLQ(x, q64, nil, g64, d) }, false},
		{"KL, gradient to p", d.Size(), func(x []float32) error { return GradKLP(x, q, p, g, d) }, func(x []float64) error { return GradKLP(x, q64, p64, g64, d) }, false},
		{"log-prob", d.Rows(), func(x []float32) error { return LogProb(x, q, v, d) }, func(x []float64) error { return LogProb(x, q64, v64, d) }, true},
		{"log-prob, gradient to logits", d.Size(), func(x []float32) error { return GradLogProbLogits(x, q, v, g, d) }, func(x []float64) error { return GradLogProbLogits(x, q64, v64, g64, d) }, false},
		{"log-prob, gradient to value", d.Size(), func(x []float32) error { return GradLogProbValue(x, q, v, g, d) }, func(x []float64) error { return GradLogProbValue(x, q64, v64, g64, d) }, false},
	} {
		got, want := make([]float32, f.n), make([]float64, f.n)
		if err := errors.Join(f.f32(got), f.f64(want)); err != nil {
			t.Fatalf("%s of %v: %v", f.name, d, err)
		}
		greatest := 1.0
		for _, w := range want {
			greatest = max(greatest, math.Abs(w))
		}
		for i, w := range want {
			bound := 2e-6 * greatest
			if f.relative {
				bound = 4e-6*math.Abs(w) + 1e-38
			}
			if !(math.Abs(float64(got[i])-w) <= bound) {
				t.Fatalf("%s of %v, logits of %v: element %d is %v, want %v", f.name, d, size, i, got[i], w)
			}
		}
	}
}

// A divergence keeps its digits however small it is.
func TestNearDivergences(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, classes := range []int{2, 10, shortRow, 100} {
			for _, near := range []float32{1e-5, 1e-3, 0.1, 1} {
				d := Dims{37, classes, 1}
				p, noise := finite[float32](d.Size(), 1), finite[float32](d.Size(), 2)
				q := slices.Clone(p)
				for i := range q {
					q[i] += near * noise[i]
				}
				q64, p64, got, got64 := widened(q), widened(p), make([]float32, d.Rows()), make([]float64, d.Rows())
				if err := errors.Join(KL(got, q, p, d), KL(got64, q64, p64, d)); err != nil {
					t.Fatal(err)
				}
				for row := range got {
					want := bigDivergence(q64[row*classes:][:classes], p64[row*classes:][:classes])
					if !(math.Abs(float64(got[row])-want) <= 1e-5*want+2e-15) || !(math.Abs(got64[row]-want) <= 1e-9*want+1e-24) {
						t.Fatalf("%d classes, logits %v apart: divergence %d is %v and %v, want %v", classes, near, row, got[row], got64[row], want)
					}
				}
			}
		}
	})
}

// bigDivergence returns Σ pᵢ f(δᵢ), f(δ) = δ + e^−δ − 1, which has no cancellation between
// terms, with f from its series where δ is small.
func bigDivergence(q, p []float64) (kl float64) {
	logSum := func(x []float64) float64 {
		var sum float64
		for _, v := range x {
			sum += math.Exp(v)
		}
		return math.Log(sum)
	}
	// The ratio of sums, without their cancellation.
	var sumQ, difference float64
	for i, v := range q {
		sumQ += math.Exp(v)
		difference += math.Exp(v) * math.Expm1(p[i]-v)
	}
	shift := -math.Log1p(difference / sumQ)
	for i, v := range q {
		d := v - p[i] - shift
		f := d + math.Expm1(-d)
		if math.Abs(d) < 0.1 {
			term := d * d / 2
			f = 0
			for k := 3.0; math.Abs(term) > 1e-40; k++ {
				f += term
				term *= -d / k
			}
		}
		kl += math.Exp(v-logSum(q)) * f
	}
	return kl
}

func widened(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}
