package optest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

var dtypes = []tensor.Dtype{tensor.Float32, tensor.Float64}

// drawing returns a function that runs a graph of nodes and returns their values.
func drawing(t testing.TB, b *Builder, nodes ...*G.Node) func() [][]float64 {
	t.Helper()
	values := make([]G.Value, len(nodes))
	for i, n := range nodes {
		G.Read(n, &values[i])
	}
	newInput(b.Graph, b.Dtype, "anchor", tensor.Shape{2}, []float64{1, 2})
	m := newMachine(t, b.Graph)
	return func() [][]float64 {
		t.Helper()
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		defer m.Reset()
		all := make([][]float64, len(values))
		for i, v := range values {
			all[i] = elements(v)
		}
		return all
	}
}

// lawBuilder returns a builder of arrays of a shape, with a source of a seed.
func lawBuilder(dt tensor.Dtype, seed uint64, shape ...int) *Builder {
	return newBuilder(G.NewGraph(), dt, alongLast(shape...), ops.NewSource(seed))
}

func (b *Builder) logits(data []float64) *G.Node { return b.Input("logits", b.Shape, data) }

func (b *Builder) tau(v float64) *G.Node {
	return b.Input("tau", tensor.ScalarShape(), []float64{v})
}

// repeat returns rows copies of a row.
func repeat(row []float64, rows int) []float64 { return slices.Repeat(row, rows) }

// Noise is a constructor of Gumbel noise of the builder's shape.
type Noise func(b *Builder, options ...ops.NoiseOption) *G.Node

// Law tests the distribution of noise.
func (noise Noise) Law(t *testing.T) {
	for _, dt := range dtypes {
		for _, test := range []struct{ loc, scale float64 }{{0, 1}, {-2, 0.3}} {
			b := lawBuilder(dt, 1, 1000, 300)
			draw := drawing(t, b, noise(b, ops.WithLoc(test.loc), ops.WithScale(test.scale)))
			for range 2 {
				KS(t, fmt.Sprintf("%v noise, loc %v, scale %v", dt, test.loc, test.scale), draw()[0], func(x float64) float64 {
					return gumbelCDF((x - test.loc) / test.scale)
				})
			}
		}
	}
}

func gumbelCDF(x float64) float64 { return math.Exp(-math.Exp(-x)) }

// Tails tests the tails of noise, where other libraries clamp: counts beyond points
// that about one in a million reaches. All values must be finite.
func (noise Noise) Tails(t *testing.T) {
	runs := 8
	if *long {
		runs = 500
	}
	for _, dt := range dtypes {
		const n = 1 << 21
		b := lawBuilder(dt, 2, n)
		draw := drawing(t, b, noise(b))
		high, low := map[float64]int{4: 0, 8: 0, 12: 0, 14: 0, 16.5: 0}, map[float64]int{-1.5: 0, -2: 0, -2.5: 0, -2.7: 0}
		for range runs {
			for _, x := range draw()[0] {
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
			Count(t, fmt.Sprintf("%v noise over %v", dt, at), got, runs*n, -math.Expm1(-math.Exp(-at)))
		}
		for at, got := range low {
			Count(t, fmt.Sprintf("%v noise under %v", dt, at), got, runs*n, gumbelCDF(at))
		}
	}
}

// classCounts adds the classes of one-hot rows to counts.
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

// A Sampler is a constructor of samples of the builder's shape, from the builder's
// source. It may ignore the temperature.
type Sampler func(b *Builder, logits, tau *G.Node) *G.Node

// Frequencies tests that one-hot samples have the frequencies of softmax(logits), for 2
// to 1,000 classes, at any temperature.
func (sample Sampler) Frequencies(t *testing.T) {
	for _, k := range []int{2, 3, 5, 10, 100, 1000} {
		r := rand.New(rand.NewPCG(uint64(k), 0))
		row := make([]float64, k)
		for c := range row {
			if row[c] = float64(float32(r.NormFloat64() * 1.5)); c%7 == 3 {
				row[c] = math.Inf(-1)
			}
		}
		_, probabilities := logSoftmax(row, 1, distributions(tensor.Shape{k}, 0))
		rows := min(20_000, 2_000_000/k)
		for _, tau := range []float64{0.1, 1} {
			b := lawBuilder(dtypes[k%2], uint64(k), rows, k)
			draw := drawing(t, b, sample(b, b.logits(repeat(row, rows)), b.tau(tau)))
			counts := make([]int, k)
			for range 3 {
				classCounts(t, counts, draw()[0])
			}
			ChiSquare(t, fmt.Sprintf("%d classes at tau %v", k, tau), counts, probabilities)
		}
	}
}

// Independence tests that two nodes on the same logits, and successive draws of one
// node, are independent: pairs of their classes have the product of the probabilities.
func (sample Sampler) Independence(t *testing.T) {
	const k, rows = 4, 20_000
	row := []float64{0.5, -1, 0.25, 1}
	_, probabilities := logSoftmax(row, 1, distributions(tensor.Shape{k}, 0))
	var pairs []float64
	for _, p := range probabilities {
		for _, q := range probabilities {
			pairs = append(pairs, p*q)
		}
	}
	b := lawBuilder(tensor.Float32, 9, rows, k)
	logits, tau := b.logits(repeat(row, rows)), b.tau(1)
	draw := drawing(t, b, sample(b, logits, tau), sample(b, logits, tau))
	count := func(x, y []float64) []int {
		counts := make([]int, k*k)
		for lo := 0; lo < len(x); lo += k {
			counts[slices.Index(x[lo:lo+k], 1)*k+slices.Index(y[lo:lo+k], 1)]++
		}
		return counts
	}
	before := draw()
	for range 3 {
		after := draw()
		ChiSquare(t, "two nodes", count(after[0], after[1]), pairs)
		ChiSquare(t, "successive draws", count(before[0], after[0]), pairs)
		ChiSquare(t, "one node and the other's next draw", count(before[0], after[1]), pairs)
		ChiSquare(t, "neighbouring rows", count(after[0][:k*(rows-1)], after[0][k:]), pairs)
		before = after
	}
}

// testIdentity tests that a draw depends on seed, stream, draw and index only, and not
// on the number of threads. The first rows of a large batch are those of a small one.
func (r Row) testIdentity(t *testing.T) {
	if !r.random() {
		return
	}
	t.Run("identity", func(t *testing.T) {
		draws := func(seed uint64, dt tensor.Dtype, rows int) (all outcome) {
			b := lawBuilder(dt, seed, rows, 40)
			var nodes G.Nodes
			for _, n := range r.Nodes {
				b.given = map[string][]float64{}
				b.prefix = n.Name + "."
				b.byName = map[string]*G.Node{}
				for _, name := range []string{"x", "logits", "logAlpha", "noise", "masked"} {
					b.given[name] = alongLast(300, 40).data(name)[:rows*40]
				}
				nodes = append(nodes, n.Build(b))
			}
			draw := drawing(t, b, nodes...)
			return append(draw(), draw()...)
		}
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
		for _, dt := range dtypes {
			want := draws(7, dt, 300)
			for _, procs := range []int{1, 2, 5} {
				if G.CUDA && procs != 2 {
					continue // opening a machine takes a GPU half a second
				}
				runtime.GOMAXPROCS(procs)
				if got := draws(7, dt, 300); !slices.EqualFunc(got, want, slices.Equal[[]float64]) {
					t.Errorf("%v: other samples on %d processors", dt, procs)
				}
			}
			few := draws(7, dt, 30)
			for i := range few {
				if n := len(few[i]); !slices.Equal(few[i], want[i][:n]) {
					t.Errorf("%v: the first 30 rows of node %d differ in a batch of 300", dt, i%len(r.Nodes))
				}
			}
			other := draws(8, dt, 300)
			for i, n := range r.Nodes {
				if !r.draws(n.Name, t, dt, alongLast(2, 4)) {
					continue
				}
				if slices.Equal(other[i], want[i]) || slices.Equal(want[i], want[i+len(r.Nodes)]) {
					t.Errorf("%v: another seed, or another draw, has the same samples", dt)
				}
			}
		}
	})
}

// SameInBothDtypes tests that the noise of float32 is the noise of float64 in fewer
// bits.
func (noise Noise) SameInBothDtypes(t *testing.T) {
	draw := func(dt tensor.Dtype) []float64 {
		b := lawBuilder(dt, 7, 300, 40)
		return drawing(t, b, noise(b))()[0]
	}
	single, double := draw(tensor.Float32), draw(tensor.Float64)
	for i := range single {
		if math.Abs(single[i]-double[i]) > 4*0x1p-23*max(1, math.Abs(double[i])) {
			t.Fatalf("element %d is %v in float32, %v in float64", i, single[i], double[i])
		}
	}
}

// checkDistributions fails unless each row of k is a distribution.
func checkDistributions(t *testing.T, name string, y []float64, k int, hard bool) {
	t.Helper()
	for lo := 0; lo < len(y); lo += k {
		var sum, ones float64
		for _, v := range y[lo : lo+k] {
			if !(v >= 0 && v <= 1) || (hard && v != 0 && v != 1) {
				t.Fatalf("%s: row %d holds %v", name, lo/k, v)
			}
			sum += v
			if v == 1 {
				ones++
			}
		}
		if math.Abs(sum-1) > 1e-5 || (hard && ones != 1) {
			t.Fatalf("%s: the sum of row %d is %v", name, lo/k, sum)
		}
	}
}

// LogitsOf255 tests what became NaN in pytorch/pytorch#103459: logits of ±255 on large
// tensors.
func LogitsOf255(t *testing.T) {
	const rows, k = 20, 8192
	logits := make([]float64, rows*k)
	for i := range logits {
		logits[i] = 255 * float64(1-i*7%5%2*2)
	}
	for _, dt := range dtypes {
		for _, tau := range []float64{0.05, 1} {
			for _, opts := range [][]ops.GumbelSoftmaxOption{nil, {ops.WithHard()}} {
				b := lawBuilder(dt, 1, rows, k)
				x, temperature := b.logits(logits), b.tau(tau)
				y := b.Soft(x, temperature, opts...)
				grads, err := G.Grad(G.Must(G.Sum(G.Must(G.Square(y)))), x, temperature)
				if err != nil {
					t.Fatal(err)
				}
				all := drawing(t, b, y, grads[0], grads[1])()
				name := fmt.Sprintf("%v tau %v hard %v", dt, tau, opts != nil)
				checkDistributions(t, name, all[0], k, opts != nil)
				for i, grad := range all[1:] {
					if slices.ContainsFunc(grad, func(v float64) bool { return v-v != 0 }) {
						t.Errorf("%s: gradient %d is not finite", name, i)
					}
				}
			}
		}
	}
}

// NoRareNaN tests what pytorch/pytorch#22442 reports: a rare NaN at a low temperature,
// 38 in 10⁶ samples. With -long it draws 10⁸ samples.
func NoRareNaN(t *testing.T) {
	const rows, k = 100_000, 5
	runs := 10
	if *long {
		runs = 1000
	}
	b := lawBuilder(tensor.Float32, 3, rows, k)
	draw := drawing(t, b, b.Soft(b.logits(repeat([]float64{2, -1, 0.5, 0, -3}, rows)), b.tau(0.15)))
	for range runs {
		checkDistributions(t, "tau 0.15", draw()[0], k, false)
	}
}

// FiniteGradients tests that every element of the gradient to the logits is finite at
// extreme logits and temperatures, and exactly 0 where a class is masked. With -long it
// computes the gradients of 10⁸ samples of five classes.
func (sample Sampler) FiniteGradients(t *testing.T) {
	for _, dt := range dtypes {
		for _, classes := range []int{1, 2, 5, 17, 1000, 1 << 16} {
			for _, tau := range []float64{0.01, 0.1, 1, 100} {
				rows, runs := max(4000/classes, 2), 1
				if *long && classes == 5 {
					rows, runs = 100_000, 125
				}
				sample.finiteGradients(t, dt, rows, classes, runs, tau)
			}
		}
	}
}

func (sample Sampler) finiteGradients(t *testing.T, dt tensor.Dtype, rows, classes, runs int, tau float64) {
	t.Helper()
	b := lawBuilder(dt, 4, rows, classes)
	r := rand.New(rand.NewPCG(5, 5))
	data, up := make([]float64, rows*classes), make([]float64, rows*classes)
	for i := range data {
		data[i], up[i] = r.NormFloat64(), r.NormFloat64()
		switch first := i%classes == 0; r.IntN(10) {
		case 0:
			data[i] = 1e4
		case 1:
			data[i] = -1e4
		case 2:
			if !first { // one class of each distribution has to stay
				data[i] = math.Inf(-1)
			}
		}
	}
	logits := b.logits(data)
	y := sample(b, logits, b.tau(tau))
	grads, err := G.Backpropagate(G.Nodes{y}, G.Nodes{b.Input("upstream", b.Shape, up)}, G.Nodes{logits})
	if err != nil {
		t.Fatal(err)
	}
	draw := drawing(t, b, grads[0])
	for run := range runs {
		for i, g := range draw()[0] {
			if !(math.Abs(g) < math.Inf(1)) || g != 0 && math.IsInf(data[i], -1) {
				t.Fatalf("%v, %d classes, tau %v, run %d: the gradient to logit %v is %v", dt, classes, tau, run, data[i], g)
			}
		}
	}
}

// ManyClassesAtLowTemperature tests what pyro-ppl/pyro#3304 reports: underflow with many
// classes at a temperature below 0.3.
func ManyClassesAtLowTemperature(t *testing.T) {
	const rows, k = 8, 20_000
	for _, tau := range []float64{0.3, 0.01, 1e-6} {
		b := lawBuilder(tensor.Float32, 4, rows, k)
		y := b.Soft(b.logits(make([]float64, rows*k)), b.tau(tau))
		checkDistributions(t, fmt.Sprintf("tau %v", tau), drawing(t, b, y)()[0], k, false)
	}
}

// BernoulliFrequencies tests that a relaxed sample exceeds ½, and a hard one is 1, with
// the probability sigmoid(logit) at any temperature.
func BernoulliFrequencies(t *testing.T) {
	const rows = 200_000
	row := []float64{-3, -0.5, 0, 1, 4}
	for _, dt := range dtypes {
		for _, tau := range []float64{0.05, 1, 20} {
			b := lawBuilder(dt, 6, rows, len(row))
			logits, temperature := b.logits(repeat(row, rows)), b.tau(tau)
			draw := drawing(t, b, b.Relaxed(logits, temperature), b.Relaxed(logits, temperature, ops.WithHard()))
			for node, values := range draw() {
				counts := make([]int, len(row))
				for i, v := range values {
					if v > 0.5 {
						counts[i%len(row)]++
					}
				}
				for i, l := range row {
					Count(t, fmt.Sprintf("node %d, %v, tau %v, logit %v", node, dt, tau, l), counts[i], rows, sigmoid(l))
				}
			}
		}
	}
}

// HardConcreteEnds tests that gates are exactly 0 and exactly 1 with the probabilities of
// the closed form, and otherwise between, and that HardConcreteOpen is the mean of the
// gates that are not 0.
func HardConcreteEnds(t *testing.T) {
	const rows = 200_000
	row := []float64{-3, -0.5, 0, 1, 4}
	for _, dt := range dtypes {
		for _, tau := range []float64{0.1, 2.0 / 3, 3} {
			for _, end := range [][2]float64{{-0.1, 1.1}, {-1, 1.5}} {
				b := lawBuilder(dt, 8, rows, len(row))
				stretch := ops.WithStretch(end[0], end[1])
				logAlpha, temperature := b.logits(repeat(row, rows)), b.tau(tau)
				gates := G.Must(ops.HardConcrete(logAlpha, temperature, stretch, ops.WithSource(b.Source)))
				all := drawing(t, b, gates, G.Must(ops.HardConcreteOpen(logAlpha, temperature, stretch)))()
				zeros, ones := make([]int, len(row)), make([]int, len(row))
				for i, z := range all[0] {
					switch {
					case z == 0:
						zeros[i%len(row)]++
					case z == 1:
						ones[i%len(row)]++
					case !(z > 0 && z < 1):
						t.Fatalf("element %d is %v", i, z)
					}
				}
				for i, a := range row {
					name := fmt.Sprintf("%v, tau %v, stretched to %v, log alpha %v: gates of ", dt, tau, end, a)
					CountWithin(t, name+"0", 7, zeros[i], rows, sigmoid(tau*math.Log(-end[0]/end[1])-a))
					CountWithin(t, name+"other numbers", 7, rows-zeros[i], rows, all[1][i])
					CountWithin(t, name+"1", 7, ones[i], rows, sigmoid(a-tau*math.Log((1-end[0])/(end[1]-1))))
				}
			}
		}
	}
}
