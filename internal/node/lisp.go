package node

import (
	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// DoDiff is the backward pass of a LispMachine. Without it, that machine
// silently returns zero gradients. It adds to the gradients of the inputs,
// because an input may have other uses.
func (f *forward[T]) DoDiff(_ G.ExecutionContext, in G.Nodes, out *G.Node) error {
	if f.differentiable == nil && !f.spec.PassesGradient {
		return nil
	}
	grad, err := f.lispGradient(out)
	if err != nil {
		return err
	}
	if f.spec.PassesGradient {
		return addGradient(&f.base, in[0], grad)
	}
	grads, err := f.lispGradients(in, grad)
	if err != nil {
		return err
	}
	for i, input := range f.spec.Inputs {
		if k := input.Gradient; k != NoGradient {
			if err := addGradient(&f.base, in[i], grads[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// lispGradients computes all gradients. A LispMachine asks for all of them, so
// what forward saves for the wanted ones is of no use here.
func (f *forward[T]) lispGradients(in G.Nodes, grad []T) ([][]T, error) {
	values := make([]G.Value, len(in))
	for i, n := range in {
		values[i] = n.Value()
	}
	a, err := f.read(values)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	saved, err := f.savedBy(nil, a)
	if err != nil {
		return nil, err
	}
	if f.preparer != nil {
		prepared := make([]T, len(grad))
		f.preparer.Prepare(prepared, saved, grad)
		grad = prepared
	}
	grads := make([][]T, f.spec.gradients())
	for k := range grads {
		grads[k] = make([]T, layout.Size(in[f.spec.receivers(k)[0]].Shape()))
		if err := f.differentiable.Backward(a, k, grads[k], saved, grad); err != nil {
			return nil, f.explain(f.spec, err)
		}
	}
	return grads, nil
}

// lispGradient returns the gradient that a LispMachine has brought to the output.
func (f *forward[T]) lispGradient(out *G.Node) ([]T, error) {
	v, err := out.Grad()
	if err != nil {
		return nil, f.errorf("the gradient of the output: %w", err)
	}
	return read[T](&f.base, "the gradient of the output", v, out.Shape())
}

// addGradient adds src to the gradient of a node.
func addGradient[T kernel.Float](b *base, n *G.Node, src []T) error {
	v, err := n.Grad()
	if err != nil {
		return b.errorf("the gradient of %v: %w", n, err)
	}
	if err := layout.Accumulate(v, n.Shape(), func(sum []T) { kernel.Add(sum, src) }); err != nil {
		return b.errorf("the gradient of %v %w", n, err)
	}
	return nil
}
