package gumbel_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// What users of other libraries, and of Gorgonia's own nodes, complain of.

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
			t.Fatalf("%s: row %d sums to %v", name, lo/k, sum)
		}
	}
}

// pytorch/pytorch#103459: NaN with logits of ±255 on large tensors.
func TestLogitsOf255(t *testing.T) {
	const rows, k = 20, 8192
	logits := make([]float64, rows*k)
	for i := range logits {
		logits[i] = 255 * float64(1-i*7%5%2*2)
	}
	for _, dt := range dtypes {
		for _, tau := range []float64{0.05, 1} {
			for _, opts := range [][]ops.GumbelSoftmaxOption{nil, {ops.WithHard()}} {
				g := G.NewGraph()
				x := input(g, dt, "logits", tensor.Shape{rows, k}, logits)
				temperature := input(g, dt, "tau", tensor.ScalarShape(), floats{tau})
				y, err := ops.GumbelSoftmax(x, temperature, append(opts, ops.WithSource(ops.NewSource(1)))...)
				if err != nil {
					t.Fatal(err)
				}
				var read G.Value
				G.Read(y, &read)
				cost := G.Must(G.Sum(G.Must(G.Square(y))))
				grads, err := backpropagate(t, g, cost, G.Nodes{x, temperature}, false)
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("%v tau %v hard %v", dt, tau, opts != nil)
				checkDistributions(t, name, elements(read), k, opts != nil)
				for i, grad := range grads {
					if slices.ContainsFunc(elements(grad), func(v float64) bool { return v-v != 0 }) {
						t.Errorf("%s: gradient %d is not finite", name, i)
					}
				}
			}
		}
	}
}

// pytorch/pytorch#22442: a rare NaN, 38 in 10⁶ samples, at low temperature.
// With -long, 10⁸ samples.
func TestNoRareNaN(t *testing.T) {
	const rows, k = 100_000, 5
	runs := 10
	if *long {
		runs = 1000
	}
	row := []float64{2, -1, 0.5, 0, -3}
	logits := make([]float64, 0, rows*k)
	for range rows {
		logits = append(logits, row...)
	}
	src := ops.NewSource(3)
	d := newDrawing(t, tensor.Float32, tensor.Shape{rows, k}, logits, 0.15, func(logits, tau *G.Node) (G.Nodes, error) {
		return one(ops.GumbelSoftmax(logits, tau, ops.WithSource(src)))
	})
	for range runs {
		checkDistributions(t, "tau 0.15", d.run(t)[0], k, false)
	}
}

// pyro-ppl/pyro#3304: underflow under tau 0.3 with many classes.
func TestManyClassesAtLowTemperature(t *testing.T) {
	const rows, k = 8, 20_000
	for _, tau := range []float64{0.3, 0.01, 1e-6} {
		d := newDrawing(t, tensor.Float32, tensor.Shape{rows, k}, make([]float64, rows*k), tau, func(logits, tau *G.Node) (G.Nodes, error) {
			return one(ops.GumbelSoftmax(logits, tau, ops.WithSource(ops.NewSource(4))))
		})
		checkDistributions(t, fmt.Sprintf("tau %v", tau), d.run(t)[0], k, false)
	}
}

// hill-a/stable-baselines#453: masks of -Inf make NaN in derived terms. Here
// the divergence of a masked distribution and its gradient are finite.
func TestMaskedDivergence(t *testing.T) {
	inf := math.Inf(-1)
	for _, dt := range dtypes {
		g := G.NewGraph()
		q := input(g, dt, "q", tensor.Shape{1, 3}, floats{1, inf, 2})
		cost := G.Must(G.Sum(G.Must(ops.CategoricalKL(q, nil))))
		var divergence G.Value
		G.Read(cost, &divergence)
		grads, err := backpropagate(t, g, cost, G.Nodes{q}, false)
		if err != nil {
			t.Fatal(err)
		}
		values := append(elements(grads[0]), elements(divergence)...)
		if slices.ContainsFunc(values, func(v float64) bool { return v-v != 0 }) || values[1] != 0 {
			t.Errorf("%v: gradient and divergence %v", dt, values)
		}
	}
}

// Gorgonia merges equal nodes, and its own random nodes with them: ours on one
// input, with equal options, stay apart.
func TestRandomNodesDoNotMerge(t *testing.T) {
	for name, build := range map[string]func(logits, tau *G.Node) (*G.Node, error){
		"Gumbel": func(x, _ *G.Node) (*G.Node, error) {
			return ops.Gumbel(x.Graph(), tensor.Float64, tensor.Shape{2, 5})
		},
		"GumbelLike":    func(x, _ *G.Node) (*G.Node, error) { return ops.GumbelLike(x) },
		"GumbelSoftmax": func(x, tau *G.Node) (*G.Node, error) { return ops.GumbelSoftmax(x, tau) },
		"Categorical": func(x, _ *G.Node) (*G.Node, error) {
			wide, err := G.Concat(1, x, x, x, x, x, x) // equal samples are unlikely
			if err != nil {
				return nil, err
			}
			return ops.Categorical(wide)
		},
	} {
		d := newDrawing(t, tensor.Float64, tensor.Shape{2, 5}, make([]float64, 10), 1, func(x, tau *G.Node) (G.Nodes, error) {
			a, err := build(x, tau)
			if err != nil {
				return nil, err
			}
			b, err := build(x, tau)
			return G.Nodes{a, b}, err
		})
		differ := false
		for range 20 {
			values := d.run(t)
			differ = differ || !slices.Equal(values[0], values[1])
		}
		if !differ {
			t.Errorf("two nodes of %s give one sample", name)
		}
	}
}

// A second RunAll without Reset does nothing in Gorgonia: no error, no draw.
func TestSecondRunWithoutReset(t *testing.T) {
	src := ops.NewSource(5)
	d := newDrawing(t, tensor.Float64, tensor.Shape{3, 4}, make([]float64, 12), 1, func(logits, tau *G.Node) (G.Nodes, error) {
		return one(ops.GumbelSoftmax(logits, tau, ops.WithSource(src)))
	})
	state := func() []byte {
		data, err := src.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if err := d.machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	first, after := slices.Clone(elements(d.values[0])), state()
	if err := d.machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(first, elements(d.values[0])) || !slices.Equal(after, state()) {
		t.Error("a second run without Reset drew again")
	}
	d.machine.Reset()
	if second := d.run(t)[0]; slices.Equal(first, second) {
		t.Error("a run after Reset gives the same sample")
	}
}

// Gorgonia overwrites its ops' inputs where it thinks it may. A batch bound by
// Let stays as it was, whatever follows our nodes, in training and evaluation.
func TestBoundBatchIsUntouched(t *testing.T) {
	options := []G.VMOpt{G.EvalMode()}
	if !G.CUDA { // where vm refuses it
		options = append(options, G.TraceExec())
	}
	for _, option := range options {
		for name, build := range map[string]func(x, tau *G.Node) (*G.Node, error){
			"GumbelSoftmax": func(x, tau *G.Node) (*G.Node, error) {
				return ops.GumbelSoftmax(x, tau, ops.WithDeterministicEval())
			},
			"StraightThrough": func(x, _ *G.Node) (*G.Node, error) { return ops.StraightThrough(x) },
			"Categorical":     func(x, _ *G.Node) (*G.Node, error) { return ops.Categorical(x) },
			"BCEWithLogits":   func(x, _ *G.Node) (*G.Node, error) { return ops.BCEWithLogits(x, x) },
		} {
			g := G.NewGraph()
			x := G.NewMatrix(g, tensor.Float64, G.WithShape(1, 3), G.WithName("x"))
			tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"))
			y, err := build(x, tau)
			if err != nil {
				t.Fatal(err)
			}
			z := G.Must(G.Add(y, G.Must(G.Tanh(y))))
			cost := G.Must(G.Sum(G.Must(G.Square(G.Must(G.Add(z, y))))))
			if name != "Categorical" {
				if _, err := G.Grad(cost, x); err != nil {
					t.Fatal(err)
				}
			}
			batch := []float64{1, 2, 3}
			m := newMachine(t, g, option)
			for range 3 {
				if err := G.Let(x, tensor.New(tensor.WithShape(1, 3), tensor.WithBacking(batch))); err != nil {
					t.Fatal(err)
				}
				if err := G.Let(tau, 0.5); err != nil {
					t.Fatal(err)
				}
				if err := m.RunAll(); err != nil {
					t.Fatal(err)
				}
				m.Reset()
			}
			m.Close()
			if !slices.Equal(batch, []float64{1, 2, 3}) {
				t.Errorf("%s: the batch became %v", name, batch)
			}
		}
	}
}

// Gorgonia's watches for NaN and Inf panic, in a goroutine of the machine, at a
// value of a kind that they do not know.
func TestWatches(t *testing.T) {
	if G.CUDA {
		t.Skip("vm refuses watches")
	}
	for _, watch := range []G.VMOpt{G.WithNaNWatch(), G.WithInfWatch()} {
		g := G.NewGraph()
		x := input(g, tensor.Float32, "x", tensor.Shape{2, 3}, make(floats, 6))
		tau := input(g, tensor.Float32, "tau", tensor.ScalarShape(), floats{0.7})
		for _, n := range []*G.Node{G.Must(ops.GumbelSoftmax(x, tau)), G.Must(ops.Categorical(x)), G.Must(ops.GumbelLike(x)), G.Must(ops.Gumbel(g, tensor.Float64, tensor.Shape{2}))} {
			G.Must(G.Sum(n))
		}
		m := newMachine(t, g, watch)
		for range 2 {
			if err := m.RunAll(); err != nil {
				t.Fatal(err)
			}
			m.Reset()
		}
		m.Close()
	}
}

// A temperature bound as a tensor without dimensions has its gradient on both
// machines.
func TestTauWithoutDimensions(t *testing.T) {
	var grads []float64
	for _, lisp := range lispToo() {
		g := G.NewGraph()
		x := input(g, tensor.Float64, "x", tensor.Shape{2, 3}, floats{1, 2, 3, 4, 5, 6})
		tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"))
		if err := G.Let(tau, tensor.New(tensor.FromScalar(0.7))); err != nil {
			t.Fatal(err)
		}
		y := G.Must(ops.GumbelSoftmax(x, tau, ops.WithSource(ops.NewSource(2))))
		both, err := backpropagate(t, g, G.Must(G.Sum(G.Must(G.Square(y)))), G.Nodes{x, tau}, lisp)
		if err != nil {
			t.Fatal(err)
		}
		grads = append(grads, elements(both[1])[0])
	}
	if last := grads[len(grads)-1]; last == 0 || math.Abs(grads[0]-last) > 1e-12 {
		t.Errorf("gradients to tau: %v", grads)
	}
}

// Two machines of one graph in turn: backward of each belongs to its own
// forward, though both share the ops.
func TestTwoMachinesInTurn(t *testing.T) {
	const k = 6
	g := G.NewGraph()
	x := input(g, tensor.Float64, "x", tensor.Shape{2, k}, make(floats, 2*k))
	tau := input(g, tensor.Float64, "tau", tensor.ScalarShape(), floats{0.7})
	y := G.Must(ops.GumbelSoftmax(x, tau, ops.WithSource(ops.NewSource(6))))
	var sample G.Value
	G.Read(y, &sample)
	grads, err := G.Grad(G.Must(G.Sum(G.Must(G.Square(y)))), x)
	if err != nil {
		t.Fatal(err)
	}
	machines := []G.VM{newMachine(t, g), newMachine(t, g)}
	for i := range 6 {
		m := machines[i%2]
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		soft, got := elements(sample), elements(grads[0].Value())
		for lo := 0; lo < len(soft); lo += k {
			mean := 0.0
			for _, v := range soft[lo : lo+k] {
				mean += 2 * v * v
			}
			for c := lo; c < lo+k; c++ {
				if want := soft[c] * (2*soft[c] - mean) / 0.7; math.Abs(got[c]-want) > 1e-12 {
					t.Fatalf("run %d: gradient %d is %v, want %v", i, c, got[c], want)
				}
			}
		}
		m.Reset()
	}
}
