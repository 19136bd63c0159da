package optest

import (
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/gradcheck"
	"github.com/gumbel-go/gumbel/ops"
)

// testGradients compares gradients with finite differences over all layouts.
func (r Row) testGradients(t *testing.T) {
	t.Run("gradients", func(t *testing.T) {
		for _, g := range r.Gradients {
			t.Run(g.Name, func(t *testing.T) { g.check(t, layouts(r.axes())) })
		}
		if r.NoGradient {
			r.testNoGradient(t)
		}
	})
}

func (g Gradient) check(t *testing.T, layouts []Layout) {
	if G.CUDA {
		g.checkTogether(t, layouts)
		return
	}
	for _, l := range layouts {
		t.Run(l.String(), func(t *testing.T) {
			var opts []gradcheck.Option
			if g.Surrogate != nil {
				opts = append(opts, gradcheck.WithSurrogate(l.build(g.Surrogate)))
			}
			if err := gradcheck.Check(l.build(g.Cost), opts...); err != nil {
				t.Error(err)
			}
		})
	}
}

// checkTogether puts three layouts into one graph, because opening a machine takes half
// a second on a GPU, and more than three overrun a queue of Gorgonia's. The cost is the
// sum of theirs. The device tests have other layouts.
func (g Gradient) checkTogether(t *testing.T, layouts []Layout) {
	layouts = []Layout{layouts[0], layouts[len(layouts)/2], layouts[len(layouts)-2]}
	together := func(cost func(b *Builder) *G.Node) gradcheck.Build {
		return func(graph *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
			var costs, wrt G.Nodes
			for _, l := range layouts {
				b := newBuilder(graph, tensor.Float64, l, src)
				b.prefix = l.String() + "."
				costs = append(costs, cost(b))
				wrt = append(wrt, b.wrt()...)
			}
			return total(costs), wrt, nil
		}
	}
	opts := []gradcheck.Option{gradcheck.WithMaxElements(2)}
	if g.Surrogate != nil {
		opts = append(opts, gradcheck.WithSurrogate(together(g.Surrogate)))
	}
	if err := gradcheck.Check(together(g.Cost), opts...); err != nil {
		t.Error(err)
	}
}

// testNoGradient checks that an op without a gradient refuses one on a TapeMachine,
// which asks, and passes none on in a LispMachine, which does not.
func (r Row) testNoGradient(t *testing.T) {
	build := func() (b *Builder, cost *G.Node) {
		b = newBuilder(G.NewGraph(), tensor.Float64, alongLast(2, 3), ops.NewSource(1))
		y := r.Nodes[0].Build(b)
		return b, Dot(y, y)
	}
	b, cost := build()
	if len(b.wrt()) == 0 {
		return // nothing that a gradient could reach
	}
	if _, err := G.Grad(cost, b.wrt()...); err == nil {
		t.Error("G.Grad returns a gradient")
	}
	if G.CUDA {
		return
	}
	b, _ = build()
	m := G.NewLispMachine(b.Graph)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	for _, n := range b.wrt() {
		grad, err := n.Grad()
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(elements(grad), func(v float64) bool { return v != 0 }) {
			t.Errorf("the LispMachine's gradient of %s is %v", n.Name(), elements(grad))
		}
	}
}
