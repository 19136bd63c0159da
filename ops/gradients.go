package ops

import (
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/layout"
)

// Linear and the losses have gradients that are functions of their inputs and
// of the gradient to their output alone. These are the parts that they share.

// gradientOf sets dst to the gradient to input which, given the inputs and the
// gradient to the output.
type gradientOf[T layout.Float] func(which int, dst []T, in []G.Value, grad []T) error

// differentiable is an op with such gradients, on the CPU and on the device.
type differentiable[T layout.Float] struct {
	*base
	grad   gradientOf[T]
	device deviceGradient
}

// symDiff adds an op for the gradient to each input of the op forward, given
// the gradient to its output.
func symDiff[T layout.Float](in G.Nodes, grad *G.Node, forward differentiable[T]) (G.Nodes, error) {
	children := append(append(G.Nodes{}, in...), grad)
	grads := make(G.Nodes, len(in))
	for i, n := range in {
		var err error
		b := newBase(forward.name+".grad", forward.dt, n.Shape(), children...)
		if grads[i], err = apply(&gradOp[T]{base: b, forward: forward, of: n, which: i}, children...); err != nil {
			return nil, err
		}
	}
	return grads, nil
}

// gradOp takes what its forward op takes and the gradient to that op's output,
// and gives the gradient to one input.
type gradOp[T layout.Float] struct {
	base
	forward differentiable[T]
	of      *G.Node
	which   int
	room    room[T]
}

func (o *gradOp[T]) Do(in ...G.Value) (G.Value, error) {
	dst := o.room.of(o.shape)
	if !o.asked() {
		return layout.Value(o.shape, dst), nil
	}
	last := len(in) - 1
	grad, err := read[T](&o.base, "its gradient", in[last], o.forward.shape)
	if err != nil {
		return nil, err
	}
	if err := o.forward.grad(o.which, dst, in[:last], grad); err != nil {
		return nil, err
	}
	return layout.Value(o.shape, dst), nil
}

// asked tells whether somebody wants the gradient. A machine runs the node in
// any case; only where Grad was asked for a gradient by way of the input does
// that have a derivative.
func (o *gradOp[T]) asked() bool { return o.of.Deriv() != nil }

// doDiff is backward on a LispMachine, given the gradient to the output.
func doDiff[T layout.Float](forward differentiable[T], in G.Nodes, grad []T) error {
	values := nodeValues(in)
	for i, n := range in {
		d := make([]T, layout.Size(n.Shape()))
		if err := forward.grad(i, d, values, grad); err != nil {
			return err
		}
		if err := accumulate(forward.base, n, d); err != nil {
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

// room is memory that an op writes its result to, run after run. The result is
// a new tensor each time, for Gorgonia may take a tensor apart.
type room[T layout.Float] struct{ data []T }

// of returns room for an array of a shape, the same at each call.
func (r *room[T]) of(shape tensor.Shape) []T {
	if r.data == nil {
		r.data = make([]T, layout.Size(shape))
	}
	return r.data
}
