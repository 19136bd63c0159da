package gradcheck_test

import (
	"errors"
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/gradcheck"
	"github.com/gumbel-go/gumbel/ops"
)

// The gradients of a model with a random node.
func Example() {
	err := gradcheck.Check(func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
		x := G.NewMatrix(g, G.Float64, G.WithShape(4, 3), G.WithName("x"), G.WithInit(G.Gaussian(0, 1)))
		w := G.NewMatrix(g, G.Float64, G.WithShape(3, 5), G.WithName("w"), G.WithInit(G.Gaussian(0, 1)))
		tau := G.NewScalar(g, G.Float64, G.WithName("tau"), G.WithValue(0.7))
		y := G.Must(ops.GumbelSoftmax(G.Must(G.Mul(x, w)), tau, ops.WithSource(src)))
		return G.Must(G.Sum(G.Must(G.Square(y)))), G.Nodes{x, w, tau}, nil
	})
	fmt.Println(err)
	// Output: <nil>
}

// A straight-through sample has the gradient of the soft sample.
func ExampleWithSurrogate() {
	sample := func(opts ...ops.GumbelSoftmaxOption) gradcheck.Build {
		return func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
			logits := G.NewMatrix(g, G.Float64, G.WithShape(2, 3), G.WithName("logits"), G.WithInit(G.Gaussian(0, 1)))
			weights := G.NewMatrix(g, G.Float64, G.WithShape(2, 3), G.WithName("weights"), G.WithInit(G.RangedFrom(1)))
			y := G.Must(ops.GumbelSoftmax(logits, G.NewConstant(0.7), append(opts, ops.WithSource(src))...))
			return G.Must(G.Sum(G.Must(G.HadamardProd(y, weights)))), G.Nodes{logits}, nil
		}
	}
	fmt.Println(gradcheck.Check(sample(ops.WithHard()), gradcheck.WithSurrogate(sample())))
	// Output: <nil>
}

// The gradient of Gorgonia's own Log2 is wrong: ln 2 in place of 1/(x ln 2).
func ExampleMismatch() {
	err := gradcheck.Check(func(g *G.ExprGraph, _ *ops.Source) (*G.Node, G.Nodes, error) {
		x := G.NewVector(g, G.Float64, G.WithShape(3), G.WithName("x"), G.WithInit(G.RangedFrom(1)))
		return G.Must(G.Sum(G.Must(G.Log2(x)))), G.Nodes{x}, nil
	})
	var m *gradcheck.Mismatch
	if errors.As(err, &m) {
		fmt.Printf("by %s%v: %.3f, want %.3f\n", m.Input, m.Index, m.Analytic, m.Numeric)
	}
	// Output: by x[0]: 0.693, want 1.443
}
