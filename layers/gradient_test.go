package layers_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/layers"
	"github.com/gumbel-go/gumbel/vm"
)

// net is a small graph: cost is a scalar, wrt holds the inputs to check.
type net struct {
	cost *G.Node
	wrt  G.Nodes
}

// checkGradients compares the gradients of both machines with central
// differences. build must give the same graph and values at each call.
func checkGradients(t *testing.T, build func(*testing.T) net) {
	t.Helper()
	want := numeric(t, build(t))
	gradients := map[string][][]float64{"tape": tapeGradients(t, build(t))}
	if !G.CUDA {
		gradients["lisp"] = lispGradients(t, build(t))
	}
	for machine, got := range gradients {
		for i := range want {
			if len(got[i]) != len(want[i]) {
				t.Fatalf("%s: gradient %d has %d elements, want %d", machine, i, len(got[i]), len(want[i]))
			}
			for j, w := range want[i] {
				if d := math.Abs(got[i][j] - w); !(d <= 1e-7*(1+math.Abs(w))) {
					t.Errorf("%s: gradient %d[%d] = %v, finite differences give %v", machine, i, j, got[i][j], w)
				}
			}
		}
	}
}

// newMachine opens a tape machine, on the GPU where the tests are built for one.
func newMachine(t *testing.T, g *G.ExprGraph) *vm.Machine {
	t.Helper()
	m, err := vm.New(g)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func numeric(t *testing.T, n net) [][]float64 {
	t.Helper()
	const h = 1e-5
	var cost G.Value
	G.Read(n.cost, &cost)
	m := newMachine(t, n.cost.Graph())
	defer m.Close()
	eval := func() float64 {
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		defer m.Reset()
		return cost.Data().(float64)
	}
	all := make([][]float64, len(n.wrt))
	for i, x := range n.wrt {
		p := x.Value().Data().([]float64)
		for j, v := range p {
			p[j] = v + h
			hi := eval()
			p[j] = v - h
			lo := eval()
			p[j] = v
			all[i] = append(all[i], (hi-lo)/(2*h))
		}
	}
	return all
}

func tapeGradients(t *testing.T, n net) [][]float64 {
	t.Helper()
	grads, err := G.Grad(n.cost, n.wrt...)
	if err != nil {
		t.Fatal(err)
	}
	read := make([]G.Value, len(grads))
	for i, g := range grads {
		G.Read(g, &read[i])
	}
	m := newMachine(t, n.cost.Graph())
	defer m.Close()
	inputs := values(n.wrt)
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	checkUntouched(t, "tape", n.wrt, inputs)
	var all [][]float64
	for _, v := range read {
		all = append(all, v.Data().([]float64))
	}
	return all
}

func lispGradients(t *testing.T, n net) [][]float64 {
	t.Helper()
	m := G.NewLispMachine(n.cost.Graph())
	defer m.Close()
	inputs := values(n.wrt)
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	checkUntouched(t, "lisp", n.wrt, inputs)
	var all [][]float64
	for _, x := range n.wrt {
		g, err := x.Grad()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g.Data().([]float64))
	}
	return all
}

func values(nodes G.Nodes) [][]float64 {
	var all [][]float64
	for _, n := range nodes {
		all = append(all, append([]float64(nil), n.Value().Data().([]float64)...))
	}
	return all
}

// checkUntouched guards against builtins that write into their inputs.
func checkUntouched(t *testing.T, machine string, nodes G.Nodes, want [][]float64) {
	t.Helper()
	for i, got := range values(nodes) {
		if fmt.Sprint(got) != fmt.Sprint(want[i]) {
			t.Errorf("%s: a run changed %s from %v to %v", machine, nodes[i].Name(), want[i], got)
		}
	}
}

// input returns a matrix of fixed normal values.
func input(g *G.ExprGraph, name string, rows, cols int) *G.Node {
	r := rand.New(rand.NewPCG(uint64(len(name)), uint64(rows*1000+cols)))
	v := make([]float64, rows*cols)
	for i := range v {
		v[i] = r.NormFloat64()
	}
	return G.NewMatrix(g, G.Float64, G.WithShape(rows, cols), G.WithName(name),
		G.WithValue(tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(v))))
}

func linear(t *testing.T, g *G.ExprGraph, name string, in, out int, opts ...layers.LinearOption) *layers.Linear {
	t.Helper()
	opts = append([]layers.LinearOption{
		layers.WithInit(layers.GlorotUniform(uint64(in))),
		layers.WithBiasInit(layers.GlorotUniform(uint64(out))),
	}, opts...)
	l, err := layers.NewLinear(g, name, tensor.Float64, in, out, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func forward(t *testing.T, l layers.Layer, x G.Input) *G.Node {
	t.Helper()
	y := l.Fwd(x)
	if err := y.Err(); err != nil {
		t.Fatal(err)
	}
	return y.Node()
}

// weigh returns Σ y∘c for fixed c, so that every output counts differently.
func weigh(y *G.Node) *G.Node {
	c := input(y.Graph(), "weighing", y.Shape()[0], y.Shape()[1])
	return G.Must(G.Sum(G.Must(G.HadamardProd(y, c))))
}

func TestLinearGradients(t *testing.T) {
	sizes := []struct{ batch, in, out int }{{3, 4, 5}, {1, 4, 5}, {3, 1, 2}, {3, 4, 1}, {2, 1, 1}, {1, 4, 1}, {1, 1, 1}}
	for _, act := range []layers.Activation{layers.Identity, layers.ReLU, layers.Tanh, layers.Sigmoid} {
		for _, s := range sizes {
			t.Run(fmt.Sprintf("%v/%dx%dx%d", act, s.batch, s.in, s.out), func(t *testing.T) {
				checkGradients(t, func(t *testing.T) net {
					g := G.NewGraph()
					x := input(g, "x", s.batch, s.in)
					l := linear(t, g, "l", s.in, s.out, layers.WithActivation(act))
					return net{weigh(forward(t, l, x)), append(l.Model(), x)}
				})
			})
		}
	}
}

// A layer applied to inputs of two batch sizes and to its own output must gather
// all gradients, and those of a penalty on the bias.
func TestSharedWeightsGradients(t *testing.T) {
	checkGradients(t, func(t *testing.T) net {
		g := G.NewGraph()
		x, single := input(g, "x", 2, 3), input(g, "single", 1, 3)
		l := linear(t, g, "l", 3, 3, layers.WithActivation(layers.Tanh))
		y := weigh(forward(t, l, forward(t, l, x)))
		z := weigh(forward(t, l, single))
		penalty := G.Must(G.Sum(G.Must(G.Square(l.Bias()))))
		cost := G.Must(G.Add(G.Must(G.Add(y, z)), penalty))
		return net{cost, append(l.Model(), x, single)}
	})
}

func TestSequentialGradients(t *testing.T) {
	checkGradients(t, func(t *testing.T) net {
		g := G.NewGraph()
		x := input(g, "x", 3, 4)
		inner := linear(t, g, "inner", 5, 5, layers.WithActivation(layers.Sigmoid))
		s := sequential(t, "s",
			linear(t, g, "first", 4, 5, layers.WithActivation(layers.ReLU)),
			inner,
			sequential(t, "nested", inner, linear(t, g, "mid", 5, 3, layers.WithActivation(layers.Tanh))),
			linear(t, g, "last", 3, 2),
		)
		return net{weigh(forward(t, s, x)), append(s.Model(), x)}
	})
}

func sequential(t *testing.T, name string, ls ...layers.Layer) *layers.Sequential {
	t.Helper()
	s, err := layers.NewSequential(name, ls...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
