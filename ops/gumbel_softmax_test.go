package ops_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
	"github.com/gumbel-go/gumbel/vm"
)

// Gorgonia accepts a float32 as the value of a float64 node. The op returns an error.
func TestTauOfAnotherType(t *testing.T) {
	g := G.NewGraph()
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"))
	x := G.NewVector(g, tensor.Float64, G.WithShape(2), G.WithName("x"), G.WithInit(G.Ones()))
	G.Must(ops.GumbelSoftmax(x, tau))
	if err := G.Let(tau, float32(4)); err != nil {
		t.Skip("Gorgonia now refuses it:", err)
	}
	if err := newMachine(t, g).RunAll(); err == nil || !strings.Contains(err.Error(), "tau holds float32, want float64") {
		t.Errorf("error %v", err)
	}
}

// A temperature that is a tensor without dimensions has its gradient on both machines.
func TestTauWithoutDimensions(t *testing.T) {
	build := func() (tau, cost *G.Node) {
		g := G.NewGraph()
		tau = G.NewScalar(g, tensor.Float64, G.WithName("tau"))
		if err := G.Let(tau, tensor.New(tensor.FromScalar(0.7))); err != nil {
			t.Fatal(err)
		}
		x := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("x"), G.WithInit(G.Ones()))
		y := G.Must(ops.GumbelSoftmax(x, tau, ops.WithSource(ops.NewSource(2))))
		return tau, G.Must(G.Sum(G.Must(G.Square(y))))
	}
	number := func(v G.Value) float64 {
		if d, ok := v.Data().([]float64); ok {
			return d[0]
		}
		return v.Data().(float64)
	}
	tau, cost := build()
	grads, err := G.Grad(cost, tau)
	if err != nil {
		t.Fatal(err)
	}
	var read G.Value
	G.Read(grads[0], &read)
	if err := newMachine(t, tau.Graph()).RunAll(); err != nil {
		t.Fatal(err)
	}
	tape := number(read)
	if tape == 0 {
		t.Error("the gradient to tau is 0")
	}
	if G.CUDA {
		return
	}
	tau, _ = build()
	m := G.NewLispMachine(tau.Graph())
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	grad, err := tau.Grad()
	if err != nil {
		t.Fatal(err)
	}
	if lisp := number(grad); math.Abs(lisp-tape) > 1e-12 {
		t.Errorf("the LispMachine's gradient to tau is %v, the TapeMachine's %v", lisp, tape)
	}
}

// runOnce runs a graph once and returns the values of nodes.
func runOnce(t *testing.T, nodes []*G.Node, opts ...G.VMOpt) [][]float64 {
	t.Helper()
	values := make([]G.Value, len(nodes))
	for i, n := range nodes {
		G.Read(n, &values[i])
	}
	m, err := vm.New(nodes[0].Graph(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	var all [][]float64
	for _, v := range values {
		all = append(all, elements[float64](v))
	}
	return all
}

func rowOf(g *G.ExprGraph, name string, data ...float64) *G.Node {
	v := tensor.New(tensor.WithShape(1, len(data)), tensor.WithBacking(data))
	return G.NewMatrix(g, tensor.Float64, G.WithShape(1, len(data)), G.WithName(name), G.WithValue(v))
}

// A class whose sample underflows to 0, with an infinite gradient, has the right
// gradient or NaN, but never a wrong finite one.
func TestInfiniteGradient(t *testing.T) {
	g := G.NewGraph()
	x, noise := rowOf(g, "x", -50, 0), rowOf(g, "noise", 0, 0)
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.05))
	y := G.Must(ops.GumbelSoftmax(x, tau, ops.WithNoise(noise)))
	grads, err := G.Backpropagate(G.Nodes{y}, G.Nodes{rowOf(g, "upstream", math.Inf(-1), -0.5)}, G.Nodes{x})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range runOnce(t, grads)[0] {
		if want := []float64{-10, 10}[i]; !math.IsNaN(v) && math.Abs(v-want) > 1e-9 {
			t.Errorf("gradient %d is %v, want %v or NaN", i, v, want)
		}
	}
}

// Evaluation without noise ignores given noise, so its gradient is 0.
func TestGradientToIgnoredNoise(t *testing.T) {
	for name, build := range map[string]func(x, tau *G.Node, opts ...ops.SampleOption) (*G.Node, error){
		"GumbelSoftmax": func(x, tau *G.Node, opts ...ops.SampleOption) (*G.Node, error) {
			var all []ops.GumbelSoftmaxOption
			for _, o := range opts {
				all = append(all, o)
			}
			return ops.GumbelSoftmax(x, tau, all...)
		},
		"RelaxedBernoulli": ops.RelaxedBernoulli,
	} {
		for _, option := range []ops.SampleOption{ops.WithHard(), ops.WithLogSpace(), nil} {
			g := G.NewGraph()
			x, noise := rowOf(g, "x", 1, 2, 0), rowOf(g, "noise", 0.5, -1, 2)
			tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.5))
			opts := []ops.SampleOption{ops.WithNoise(noise), ops.WithDeterministicEval()}
			if option != nil {
				opts = append(opts, option)
			}
			y, err := build(x, tau, opts...)
			if err != nil {
				t.Fatal(err)
			}
			grads, err := G.Backpropagate(G.Nodes{y}, G.Nodes{rowOf(g, "upstream", 1, -2, 3)}, G.Nodes{noise, x})
			if err != nil {
				t.Fatal(err)
			}
			got := runOnce(t, grads, G.EvalMode())
			if !slices.Equal(got[0], []float64{0, 0, 0}) {
				t.Errorf("%s: the gradient to ignored noise is %v", name, got[0])
			}
			if slices.Equal(got[1], []float64{0, 0, 0}) {
				t.Errorf("%s: the gradient to the logits is 0", name)
			}
		}
	}
}

// An infinite logit is a probability of 0 or 1. With the target equal to it, loss and
// gradient are 0.
func TestBCEOfInfiniteLogits(t *testing.T) {
	g := G.NewGraph()
	x := rowOf(g, "x", math.Inf(-1), math.Inf(1), 0)
	y := G.Must(ops.BCEWithLogits(x, rowOf(g, "targets", 0, 1, 1)))
	grads, err := G.Backpropagate(G.Nodes{y}, G.Nodes{rowOf(g, "upstream", 1, 1, 1)}, G.Nodes{x})
	if err != nil {
		t.Fatal(err)
	}
	got := runOnce(t, []*G.Node{y, grads[0]})
	if l, d := got[0], got[1]; l[0] != 0 || l[1] != 0 || d[0] != 0 || d[1] != 0 || math.Abs(l[2]-math.Ln2) > 1e-15 || d[2] != -0.5 {
		t.Errorf("loss %v, gradient %v", l, d)
	}
}
