package ops_test

import (
	"math"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
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
