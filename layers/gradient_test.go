package layers_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/gradcheck"
	"github.com/gumbel-go/gumbel/layers"
	"github.com/gumbel-go/gumbel/ops"
	"github.com/gumbel-go/gumbel/vm"
)

// checkGradients checks the gradients of a cost on both machines. build returns
// the cost and the inputs to check.
func checkGradients(t *testing.T, build func(g *G.ExprGraph) (cost *G.Node, wrt G.Nodes)) {
	t.Helper()
	if err := gradcheck.Check(func(g *G.ExprGraph, _ *ops.Source) (*G.Node, G.Nodes, error) {
		cost, wrt := build(g)
		return cost, wrt, nil
	}, gradcheck.WithTolerance(1e-7), gradcheck.WithStep(1e-5)); err != nil {
		t.Error(err)
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
				checkGradients(t, func(g *G.ExprGraph) (*G.Node, G.Nodes) {
					x := input(g, "x", s.batch, s.in)
					l := linear(t, g, "l", s.in, s.out, layers.WithActivation(act))
					return weigh(forward(t, l, x)), append(l.Model(), x)
				})
			})
		}
	}
}

// A layer applied to inputs of two batch sizes and to its own output must gather
// all gradients, and those of a penalty on the bias.
func TestSharedWeightsGradients(t *testing.T) {
	checkGradients(t, func(g *G.ExprGraph) (*G.Node, G.Nodes) {
		x, single := input(g, "x", 2, 3), input(g, "single", 1, 3)
		l := linear(t, g, "l", 3, 3, layers.WithActivation(layers.Tanh))
		y := weigh(forward(t, l, forward(t, l, x)))
		z := weigh(forward(t, l, single))
		penalty := G.Must(G.Sum(G.Must(G.Square(l.Bias()))))
		cost := G.Must(G.Add(G.Must(G.Add(y, z)), penalty))
		return cost, append(l.Model(), x, single)
	})
}

func TestSequentialGradients(t *testing.T) {
	checkGradients(t, func(g *G.ExprGraph) (*G.Node, G.Nodes) {
		x := input(g, "x", 3, 4)
		inner := linear(t, g, "inner", 5, 5, layers.WithActivation(layers.Sigmoid))
		s := sequential(t, "s",
			linear(t, g, "first", 4, 5, layers.WithActivation(layers.ReLU)),
			inner,
			sequential(t, "nested", inner, linear(t, g, "mid", 5, 3, layers.WithActivation(layers.Tanh))),
			linear(t, g, "last", 3, 2),
		)
		return weigh(forward(t, s, x)), append(s.Model(), x)
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
