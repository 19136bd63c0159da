package main

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/layers"
)

// widths returns the widths of the encoder's layers, from pixels to logits. The
// decoder has them in reverse order.
func (s *settings) widths() []int {
	return []int{pixels, s.Hidden[0], s.Hidden[1], s.Latents * s.Classes}
}

// sizes returns the numbers of weights and biases of each layer, encoder first:
// the sizes of the learnable tensors, in their order.
func (s *settings) sizes() []int {
	var n []int
	for _, w := range [][]int{s.widths(), reversed(s.widths())} {
		for i := range len(w) - 1 {
			n = append(n, w[i]*w[i+1], w[i+1])
		}
	}
	return n
}

func reversed(w []int) []int {
	r := make([]int, len(w))
	for i, v := range w {
		r[len(w)-1-i] = v
	}
	return r
}

// newEncoder adds x (B, 784) → logits (B, latents·classes) to a graph.
func newEncoder(g *G.ExprGraph, s *settings, init G.InitWFn) (*layers.Sequential, error) {
	return perceptron(g, "encoder", s.widths(), init)
}

// newDecoder adds z (B, latents·classes) → pixel logits (B, 784) to a graph.
func newDecoder(g *G.ExprGraph, s *settings, init G.InitWFn) (*layers.Sequential, error) {
	return perceptron(g, "decoder", reversed(s.widths()), init)
}

// perceptron has ReLU after each layer except the last.
func perceptron(g *G.ExprGraph, name string, widths []int, init G.InitWFn) (*layers.Sequential, error) {
	var all []layers.Layer
	for i := range len(widths) - 1 {
		activation := layers.ReLU
		if i == len(widths)-2 {
			activation = layers.Identity
		}
		l, err := layers.NewLinear(g, fmt.Sprint(name, i+1), tensor.Float32, widths[i], widths[i+1],
			layers.WithActivation(activation), layers.WithInit(init))
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return layers.NewSequential(name, all...)
}

// forward applies a layer to one node.
func forward(l layers.Layer, x *G.Node) (*G.Node, error) {
	y := l.Fwd(x)
	if err := y.Err(); err != nil {
		return nil, err
	}
	return y.Node(), nil
}

// parameters is a model without a graph. The graphs that evaluate a model share
// their tensors with the graph that trains it.
type parameters struct {
	settings         *settings
	encoder, decoder []*tensor.Dense
}

// share binds the given tensors to the learnable nodes of a layer.
func share(l layers.Layer, weights []*tensor.Dense) error {
	for i, n := range l.Model() {
		if err := G.Let(n, weights[i]); err != nil {
			return err
		}
	}
	return nil
}
