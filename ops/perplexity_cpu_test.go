//go:build !cuda

package ops_test

import (
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// Logits without blocks have no perplexities, however many rows there are.
func TestPerplexityWithoutBlocks(t *testing.T) {
	for _, shape := range []tensor.Shape{{0}, {2, 0}, {0, 0}} {
		g := G.NewGraph()
		input := func(name string, shape tensor.Shape) *G.Node {
			v := tensor.New(tensor.WithShape(shape...), tensor.Of(tensor.Float64))
			return G.NewTensor(g, tensor.Float64, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(v))
		}
		logits := input("logits", shape)
		n, err := ops.Perplexity(logits, ops.WithClasses(3))
		if err != nil {
			t.Fatal(err)
		}
		grads, err := G.Backpropagate(G.Nodes{n}, G.Nodes{input("upstream", n.Shape())}, G.Nodes{logits})
		if err != nil {
			t.Fatal(err)
		}
		m := G.NewTapeMachine(g)
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		if v := n.Value(); !slices.Equal(v.Shape(), tensor.Shape{0}) {
			t.Errorf("logits of shape %v: the perplexity has shape %v", shape, v.Shape())
		}
		if v := grads[0].Value(); !slices.Equal(v.Shape(), shape) {
			t.Errorf("logits of shape %v: the gradient has shape %v", shape, v.Shape())
		}
		m.Close()
	}
}
