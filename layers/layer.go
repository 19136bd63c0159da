// Package layers holds what a model is made of: a fully connected layer, a
// sequence of layers, and a layer of categorical latents.
//
// Every layer satisfies the Layer interface of gorgonia.org/golgi, so the
// layers of both packages compose. A layer adds nodes to the graph of its
// input; the gradients come from the nodes.
package layers

import (
	"errors"
	"fmt"

	G "gorgonia.org/gorgonia"
)

// Layer is the Layer interface of gorgonia.org/golgi, written out so that
// nothing here imports golgi.
type Layer interface {
	// Model returns the learnable nodes of the layer, in a fixed order.
	Model() G.Nodes
	// Fwd applies the layer to one node. An error travels in the result.
	Fwd(x G.Input) G.Result
	// Name returns the name given to the constructor.
	Name() string
	// Describe does nothing: golgi keeps it for a serialised description.
	Describe()
}

var (
	_ Layer = (*Linear)(nil)
	_ Layer = (*Sequential)(nil)
	_ Layer = (*CategoricalLatent)(nil)
)

// matrixOf returns the one node of x, which must be of shape (batch, width).
func matrixOf(x G.Input, width int) (*G.Node, error) {
	if x == nil {
		return nil, errors.New("input is nil; want a node of shape (batch, width)")
	}
	if err := G.CheckOne(x); err != nil {
		return nil, err
	}
	n := x.Node()
	if n == nil {
		return nil, fmt.Errorf("input %T holds no single node; want a *gorgonia.Node", x)
	}
	if s := n.Shape(); len(s) != 2 || s[1] != width {
		return nil, fmt.Errorf("input %s has shape %v; want (batch, %d)", n.Name(), s, width)
	}
	return n, nil
}
