package gumbel_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

var long = flag.Bool("long", false, "run the long versions of the statistical tests, which take minutes")

// The statistics harness. Seeds are fixed, so a law holds always or never; its
// bound is one that a right sampler misses with probability 1e-6 or less.

// checkKS holds a sample to a continuous law by Kolmogorov and Smirnov's test.
func checkKS(t *testing.T, name string, sample []float64, cdf func(float64) float64) {
	t.Helper()
	slices.Sort(sample)
	n, worst := float64(len(sample)), 0.0
	for i, x := range sample {
		p := cdf(x)
		worst = max(worst, p-float64(i)/n, float64(i+1)/n-p)
	}
	// P(sqrt(n)·D > 2.7) = 2·exp(−2·2.7²) = 9e-7, asymptotically.
	if d := worst * math.Sqrt(n); d > 2.7 {
		t.Errorf("%s: sqrt(n)·D = %.2f over %d samples, at most 2.7 expected", name, d, len(sample))
	}
}

// checkCount holds a number of events to its expectation.
func checkCount(t *testing.T, name string, got, trials int, p float64) {
	t.Helper()
	mean := float64(trials) * p
	if math.Abs(float64(got)-mean) > 5*math.Sqrt(mean*(1-p))+1 {
		t.Errorf("%s: %d of %d, expected %.1f", name, got, trials, mean)
	}
}

// checkChiSquare holds counts to probabilities by Pearson's test. Cells that
// expect under 10 are put together.
func checkChiSquare(t *testing.T, name string, counts []int, probabilities []float64) {
	t.Helper()
	total := 0
	for _, c := range counts {
		total += c
	}
	var sum, restWant float64
	var cells, restGot int
	add := func(got int, want float64) {
		sum += (float64(got) - want) * (float64(got) - want) / want
		cells++
	}
	for i, c := range counts {
		want := float64(total) * probabilities[i]
		switch {
		case want == 0 && c > 0:
			t.Errorf("%s: %d samples of impossible cell %d", name, c, i)
		case want < 10:
			restWant += want
			restGot += c
		default:
			add(c, want)
		}
	}
	if restWant >= 10 {
		add(restGot, restWant)
	}
	if p := 1 - (distuv.ChiSquared{K: float64(cells - 1)}).CDF(sum); p < 1e-6 {
		t.Errorf("%s: chi-square %.1f over %d cells, p = %.2g", name, sum, cells, p)
	}
}

// A drawing is a graph of one or more random nodes, run again and again.
type drawing struct {
	machine G.VM
	values  []G.Value // one for each node
}

// newDrawing builds nodes on logits and a temperature.
func newDrawing(t testing.TB, dt tensor.Dtype, shape tensor.Shape, logits []float64, tau float64, build func(logits, tau *G.Node) (G.Nodes, error)) *drawing {
	t.Helper()
	g := G.NewGraph()
	nodes, err := build(input(g, dt, "logits", shape, logits), input(g, dt, "tau", tensor.ScalarShape(), floats{tau}))
	if err != nil {
		t.Fatal(err)
	}
	d := &drawing{values: make([]G.Value, len(nodes))}
	for i, n := range nodes {
		G.Read(n, &d.values[i])
	}
	d.machine = newMachine(t, g)
	t.Cleanup(func() { d.machine.Close() })
	return d
}

// run makes a draw and returns each node's elements.
func (d *drawing) run(t testing.TB) [][]float64 {
	t.Helper()
	if err := d.machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	defer d.machine.Reset()
	out := make([][]float64, len(d.values))
	for i, v := range d.values {
		out[i] = slices.Clone(elements(v))
	}
	return out
}

// one wraps a constructor of a single node.
func one(n *G.Node, err error) (G.Nodes, error) { return G.Nodes{n}, err }

var dtypes = []tensor.Dtype{tensor.Float32, tensor.Float64}

func gumbelCDF(x float64) float64 { return math.Exp(-math.Exp(-x)) }

func TestNoiseLaw(t *testing.T) {
	for _, dt := range dtypes {
		for _, test := range []struct{ loc, scale float64 }{{0, 1}, {-2, 0.3}} {
			shape := tensor.Shape{1000, 300}
			d := newDrawing(t, dt, tensor.Shape{1}, []float64{0}, 1, func(x, _ *G.Node) (G.Nodes, error) {
				return one(ops.Gumbel(x.Graph(), dt, shape, ops.WithSource(ops.NewSource(1)), ops.WithLoc(test.loc), ops.WithScale(test.scale)))
			})
			for range 2 {
				checkKS(t, fmt.Sprintf("%v noise, loc %v, scale %v", dt, test.loc, test.scale), d.run(t)[0], func(x float64) float64 {
					return gumbelCDF((x - test.loc) / test.scale)
				})
			}
		}
	}
}

// The tails, where other libraries clamp: counts beyond points that one in a
// million or so reaches, and all values finite.
func TestNoiseTails(t *testing.T) {
	runs := 8
	if *long {
		runs = 500
	}
	for _, dt := range dtypes {
		const n = 1 << 21
		d := newDrawing(t, dt, tensor.Shape{1}, []float64{0}, 1, func(x, _ *G.Node) (G.Nodes, error) {
			return one(ops.Gumbel(x.Graph(), dt, tensor.Shape{n}, ops.WithSource(ops.NewSource(2))))
		})
		high, low := map[float64]int{4: 0, 8: 0, 12: 0, 14: 0, 16.5: 0}, map[float64]int{-1.5: 0, -2: 0, -2.5: 0, -2.7: 0}
		for range runs {
			for _, x := range d.run(t)[0] {
				if x > -1.5 && x < 4 {
					continue
				}
				if math.IsNaN(x) || math.IsInf(x, 0) {
					t.Fatalf("%v noise: %v", dt, x)
				}
				for at := range high {
					if x > at {
						high[at]++
					}
				}
				for at := range low {
					if x < at {
						low[at]++
					}
				}
			}
		}
		for at, got := range high {
			checkCount(t, fmt.Sprintf("%v noise over %v", dt, at), got, runs*n, -math.Expm1(-math.Exp(-at)))
		}
		for at, got := range low {
			checkCount(t, fmt.Sprintf("%v noise under %v", dt, at), got, runs*n, gumbelCDF(at))
		}
	}
}

// classCounts counts the classes that one-hot rows of k are of.
func classCounts(t *testing.T, counts []int, hard []float64) {
	t.Helper()
	k := len(counts)
	for lo := 0; lo < len(hard); lo += k {
		class := -1
		for c, v := range hard[lo : lo+k] {
			switch {
			case v == 1 && class < 0:
				class = c
			case v != 0:
				t.Fatalf("row %d is not one-hot: %v", lo/k, hard[lo:lo+k])
			}
		}
		if class < 0 {
			t.Fatalf("row %d is empty", lo/k)
		}
		counts[class]++
	}
}

// Hard samples have the frequencies of softmax(logits), for 2 to 1,000
// classes, whatever the temperature.
func TestClassFrequencies(t *testing.T) {
	for _, k := range []int{2, 3, 5, 10, 100, 1000} {
		dt := dtypes[k%2]
		r := rand.New(rand.NewPCG(uint64(k), 0))
		row, probabilities := make([]float64, k), make([]float64, k)
		var sum float64
		for c := range row {
			row[c] = float64(float32(r.NormFloat64() * 1.5))
			if c%7 == 3 {
				row[c] = math.Inf(-1)
			}
			probabilities[c] = math.Exp(row[c])
			sum += probabilities[c]
		}
		for c := range row {
			probabilities[c] /= sum
		}
		rows := min(20_000, 2_000_000/k)
		logits := make([]float64, 0, rows*k)
		for range rows {
			logits = append(logits, row...)
		}
		for _, tau := range []float64{0.1, 1} {
			src := ops.NewSource(uint64(k))
			d := newDrawing(t, dt, tensor.Shape{rows, k}, logits, tau, func(logits, tau *G.Node) (G.Nodes, error) {
				st, err := ops.GumbelSoftmax(logits, tau, ops.WithHard(), ops.WithSource(src))
				if err != nil {
					return nil, err
				}
				exact, err := ops.Categorical(logits, ops.WithSource(src))
				return G.Nodes{st, exact}, err
			})
			var counts [2][]int
			counts[0], counts[1] = make([]int, k), make([]int, k)
			for range 3 {
				for i, hard := range d.run(t) {
					classCounts(t, counts[i], hard)
				}
			}
			checkChiSquare(t, fmt.Sprintf("GumbelSoftmax of %d classes at tau %v", k, tau), counts[0], probabilities)
			checkChiSquare(t, fmt.Sprintf("Categorical of %d classes", k), counts[1], probabilities)
		}
	}
}

// Two nodes on the same logits, and one node's successive draws, are
// independent: their pairs of classes have product probabilities.
func TestIndependence(t *testing.T) {
	const k, rows = 4, 20_000
	row := []float64{0.5, -1, 0.25, 1}
	logits := make([]float64, 0, rows*k)
	for range rows {
		logits = append(logits, row...)
	}
	_, probabilities := logSoftmax(row, 1, distributions(tensor.Shape{k}, 0))
	var pairs []float64
	for _, p := range probabilities {
		for _, q := range probabilities {
			pairs = append(pairs, p*q)
		}
	}
	src := ops.NewSource(9)
	d := newDrawing(t, tensor.Float32, tensor.Shape{rows, k}, logits, 1, func(logits, tau *G.Node) (G.Nodes, error) {
		a, err := ops.GumbelSoftmax(logits, tau, ops.WithHard(), ops.WithSource(src))
		if err != nil {
			return nil, err
		}
		b, err := ops.GumbelSoftmax(logits, tau, ops.WithHard(), ops.WithSource(src))
		return G.Nodes{a, b}, err
	})
	count := func(x, y []float64) []int {
		counts := make([]int, k*k)
		for lo := 0; lo < len(x); lo += k {
			counts[slices.Index(x[lo:lo+k], 1)*k+slices.Index(y[lo:lo+k], 1)]++
		}
		return counts
	}
	before := d.run(t)
	for range 3 {
		after := d.run(t)
		checkChiSquare(t, "two nodes", count(after[0], after[1]), pairs)
		checkChiSquare(t, "successive draws", count(before[0], after[0]), pairs)
		checkChiSquare(t, "one node and the other's next draw", count(before[0], after[1]), pairs)
		checkChiSquare(t, "neighbouring rows", count(after[0][:k*(rows-1)], after[0][k:]), pairs)
		before = after
	}
}

// A sample depends on seed, stream, draw and index, and on nothing else.
func TestSampleIdentity(t *testing.T) {
	shape := tensor.Shape{300, 40}
	logits := make([]float64, shape.TotalSize())
	for i := range logits {
		logits[i] = float64(i%13) / 4
	}
	draws := func(seed uint64, dt tensor.Dtype, shape tensor.Shape) [][]float64 {
		src := ops.NewSource(seed)
		d := newDrawing(t, dt, shape, logits[:shape.TotalSize()], 0.5, func(logits, tau *G.Node) (nodes G.Nodes, err error) {
			for _, opts := range [][]ops.GumbelSoftmaxOption{nil, {ops.WithHard()}, {ops.WithAxis(0)}} {
				n, err := ops.GumbelSoftmax(logits, tau, append(opts, ops.WithSource(src))...)
				if err != nil {
					return nil, err
				}
				nodes = append(nodes, n)
			}
			n, err := ops.GumbelLike(logits, ops.WithSource(src))
			return append(nodes, n), err
		})
		return append(d.run(t), d.run(t)...)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, dt := range dtypes {
		want := draws(7, dt, shape)
		for _, procs := range []int{1, 2, 5} {
			runtime.GOMAXPROCS(procs)
			if got := draws(7, dt, shape); !slices.EqualFunc(got, want, slices.Equal[[]float64]) {
				t.Errorf("%v: other samples on %d processors", dt, procs)
			}
		}
		// The first rows of a batch are a smaller batch's.
		few := draws(7, dt, tensor.Shape{30, 40})
		for _, i := range []int{0, 1, 3} {
			if n := len(few[i]); !slices.Equal(few[i], want[i][:n]) {
				t.Errorf("%v: node %d's first 30 rows are others in a batch of 300", dt, i)
			}
		}
		if other := draws(8, dt, shape); slices.Equal(other[0], want[0]) || slices.Equal(want[0], want[4]) {
			t.Errorf("%v: another seed, or another draw, gives the same samples", dt)
		}
	}
	// The noise of float32 is that of float64 in fewer bits.
	f32, f64 := draws(7, tensor.Float32, shape)[3], draws(7, tensor.Float64, shape)[3]
	for i := range f32 {
		if math.Abs(f32[i]-f64[i]) > 4*0x1p-23*max(1, math.Abs(f64[i])) {
			t.Fatalf("noise %d is %v in float32, %v in float64", i, f32[i], f64[i])
		}
	}
}
