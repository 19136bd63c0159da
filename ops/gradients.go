package ops

import (
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/layout"
)

// The losses have a gradient to each input that is a function of the inputs
// and the gradient to the output alone. These are the parts that they share.

// symDiff adds an op for the gradient to each input, made by op.
func symDiff(in G.Nodes, grad *G.Node, op func(which int, b base) G.Op, forward *base) (G.Nodes, error) {
	children := append(append(G.Nodes{}, in...), grad)
	grads := make(G.Nodes, len(in))
	for i, n := range in {
		var err error
		b := newBase(forward.name+".grad", forward.dt, n.Shape(), children...)
		if grads[i], err = G.ApplyOp(op(i, b), children...); err != nil {
			return nil, err
		}
	}
	return grads, nil
}

// doGrad runs such an op: its inputs are those of the forward op, and last the
// gradient to that, which has the output's shape.
func doGrad[T layout.Float](b *base, in []G.Value, output tensor.Shape, f func(in []G.Value, grad []T) ([]T, error)) (G.Value, error) {
	last := len(in) - 1
	grad, err := read[T](b, "its gradient", in[last], output)
	if err != nil {
		return nil, err
	}
	out, err := f(in[:last], grad)
	if err != nil {
		return nil, err
	}
	return layout.Value(b.shape, out), nil
}

// doDiff is backward on a LispMachine: f gives the gradient to input which.
func doDiff[T layout.Float](b *base, in G.Nodes, out *G.Node, f func(which int, in []G.Value, grad []T) ([]T, error)) error {
	grad, err := gradient[T](b, out)
	if err != nil {
		return err
	}
	values := nodeValues(in)
	for i, n := range in {
		d, err := f(i, values, grad)
		if err != nil {
			return err
		}
		if err := accumulate(b, n, d); err != nil {
			return err
		}
	}
	return nil
}

// nodeValues are the values that nodes hold.
func nodeValues(nodes G.Nodes) []G.Value {
	values := make([]G.Value, len(nodes))
	for i, n := range nodes {
		values[i] = n.Value()
	}
	return values
}
