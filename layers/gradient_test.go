package layers_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
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

// linearCosts are costs of a layer and its input. wrt leaves out an input.
var linearCosts = []struct {
	name string
	cost func(y func(x *G.Node) *G.Node, x *G.Node, model G.Nodes) *G.Node
	wrt  func(x *G.Node, model G.Nodes) G.Nodes
}{
	{name: "linear", cost: func(y func(x *G.Node) *G.Node, x *G.Node, _ G.Nodes) *G.Node { return weigh(y(x)) }},
	{name: "squared", cost: weighSquare},
	{name: "x not wanted", cost: weighSquare, wrt: func(_ *G.Node, model G.Nodes) G.Nodes { return model }},
	{name: "W not wanted", cost: weighSquare, wrt: func(x *G.Node, model G.Nodes) G.Nodes { return G.Nodes{model[1], x} }},
	{name: "of an expression, all used twice", cost: func(y func(x *G.Node) *G.Node, x *G.Node, model G.Nodes) *G.Node {
		cost := weigh(y(G.Must(G.Square(x))))
		for _, n := range append(model, x) {
			cost = G.Must(G.Add(cost, G.Must(G.Sum(G.Must(G.Square(n))))))
		}
		return cost
	}},
	{name: "twice in one cost", cost: func(y func(x *G.Node) *G.Node, x *G.Node, _ G.Nodes) *G.Node {
		return weigh(G.Must(G.HadamardProd(y(x), y(G.Must(G.Square(x))))))
	}},
	// Gorgonia adds in place if it can, to the output of the layer.
	{name: "output overwritten", cost: func(y func(x *G.Node) *G.Node, x *G.Node, _ G.Nodes) *G.Node {
		return weigh(G.Must(G.Square(G.Must(G.Add(y(x), G.NewConstant(1.5))))))
	}},
}

func weighSquare(y func(x *G.Node) *G.Node, x *G.Node, _ G.Nodes) *G.Node {
	return weigh(G.Must(G.Square(y(x))))
}

func TestLinearGradients(t *testing.T) {
	sizes := []struct{ batch, in, out int }{{3, 4, 5}, {1, 4, 5}, {3, 1, 2}, {3, 4, 1}, {2, 1, 1}, {1, 4, 1}, {1, 1, 1}}
	for _, c := range linearCosts {
		for _, act := range []layers.Activation{layers.Identity, layers.ReLU, layers.Tanh, layers.Sigmoid} {
			for _, s := range sizes {
				if G.CUDA && s != sizes[0] && c.name != "linear" {
					continue // each case opens a machine, which takes a GPU half a second
				}
				t.Run(fmt.Sprintf("%s/%v/%dx%dx%d", c.name, act, s.batch, s.in, s.out), func(t *testing.T) {
					checkGradients(t, func(g *G.ExprGraph) (*G.Node, G.Nodes) {
						x := input(g, "x", s.batch, s.in)
						l := linear(t, g, "l", s.in, s.out, layers.WithActivation(act))
						wrt := append(l.Model(), x)
						if c.wrt != nil {
							wrt = c.wrt(x, l.Model())
						}
						y := func(x *G.Node) *G.Node { return forward(t, l, x) }
						return c.cost(y, x, l.Model()), wrt
					})
				})
			}
		}
	}
}

// countingBLAS counts matrix products.
type countingBLAS struct {
	gonum.Implementation
	products *int
}

func (b countingBLAS) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, x []float64, ldx int, y []float64, ldy int, beta float64, z []float64, ldz int) {
	*b.products++
	b.Implementation.Dgemm(tA, tB, m, n, k, alpha, x, ldx, y, ldy, beta, z, ldz)
}

// Two layers take two products forward, two for the weights and one for the activations
// between them, but none for the data, whose gradient is not wanted. The BLAS in use
// computes them.
func TestLinearProducts(t *testing.T) {
	if G.CUDA {
		t.Skip("the device computes the products")
	}
	var products int
	before := G.WhichBLAS()
	G.Use(countingBLAS{products: &products})
	defer G.Use(before)
	g := G.NewGraph()
	first := linear(t, g, "first", 4, 5, layers.WithActivation(layers.ReLU))
	second := linear(t, g, "second", 5, 2)
	cost := G.Must(G.Sum(forward(t, second, forward(t, first, input(g, "x", 3, 4)))))
	if _, err := G.Grad(cost, append(first.Model(), second.Model()...)...); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	if products != 5 {
		t.Errorf("%d matrix products, want 5", products)
	}
}

// A batch without rows has gradients of 0.
func TestLinearOfEmptyBatch(t *testing.T) {
	if G.CUDA {
		t.Skip("Gorgonia's CUDA machine panics at arrays without elements")
	}
	g := G.NewGraph()
	l := linear(t, g, "l", 2, 3, layers.WithActivation(layers.Tanh))
	x := empty(g, "x", 0, 2)
	y := forward(t, l, x)
	grads, err := G.Backpropagate(G.Nodes{y}, G.Nodes{empty(g, "dy", 0, 3)}, append(l.Model(), x))
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	for i, n := range append(grads, y) {
		if !slices.Equal(n.Value().Shape(), n.Shape()) {
			t.Errorf("value %d has shape %v, want %v", i, n.Value().Shape(), n.Shape())
		}
		if n.Shape().TotalSize() > 0 && slices.ContainsFunc(floats(n.Value().Data()), func(v float64) bool { return v != 0 }) {
			t.Errorf("value %d is %v", i, n.Value())
		}
	}
}

func empty(g *G.ExprGraph, name string, shape ...int) *G.Node {
	v := tensor.New(tensor.WithShape(shape...), tensor.Of(tensor.Float64))
	return G.NewTensor(g, tensor.Float64, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(v))
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
