package ops

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// CategoricalKL is the Kullback-Leibler divergence, in nats, of the
// distribution softmax(q) from softmax(p), both logits of one shape; a nil p
// is the uniform distribution:
//
//	KL = Σᵢ softmax(q)ᵢ (log softmax(q)ᵢ − log softmax(p)ᵢ)
//
// It has one value a distribution: q's shape without the axis of the classes,
// or, with WithClasses(k), with the last axis divided by k. Its gradients are
//
//	dKL/dqᵢ = softmax(q)ᵢ (log softmax(q)ᵢ − log softmax(p)ᵢ − KL)
//	dKL/dpᵢ = softmax(p)ᵢ − softmax(q)ᵢ
//
// A run ends with an error where a logit is NaN or +Inf, where a distribution
// is masked whole, and where p masks a class that q does not, since the
// divergence is infinite. Options: WithAxis, WithClasses.
//
// Source: Kullback and Leibler, On Information and Sufficiency (1951).
func CategoricalKL(q, p *G.Node, opts ...Option) (*G.Node, error) {
	const op = "CategoricalKL"
	dt, err := floatType(op, q, "q")
	if err != nil {
		return nil, err
	}
	children := G.Nodes{q}
	if p != nil {
		if err := sameArray(op, p, "p", q, "q"); err != nil {
			return nil, err
		}
		children = append(children, p)
	}
	c, err := configure(op, opts, "WithAxis", "WithClasses")
	if err != nil {
		return nil, err
	}
	dist, err := c.distributions(q.Shape())
	if err != nil {
		return nil, err
	}
	if dist.Classes == 0 {
		return nil, fmt.Errorf("ops: %s: q has shape %v: a distribution needs a class", op, q.Shape())
	}
	b := newBase(op, dt, dist.Reduced(), children...)
	if dt == tensor.Float32 {
		return G.ApplyOp(&categoricalKL[float32]{b, dist}, children...)
	}
	return G.ApplyOp(&categoricalKL[float64]{b, dist}, children...)
}

// categoricalKL takes q and, unless that is uniform, p.
type categoricalKL[T layout.Float] struct {
	base
	dist layout.Distributions
}

// run reads the inputs and makes an array of a size out of them by f.
func (o *categoricalKL[T]) run(in []G.Value, size int, f func(dst, q, p []T, d kernel.Dims) error) ([]T, error) {
	q, err := read[T](&o.base, "q", in[0], o.dist.Shape)
	if err != nil {
		return nil, err
	}
	var p []T
	if len(in) > 1 {
		if p, err = read[T](&o.base, "p", in[1], o.dist.Shape); err != nil {
			return nil, err
		}
	}
	out := make([]T, size)
	if err := f(out, q, p, dims(o.dist)); err != nil {
		return nil, o.inputError(err, o.dist, "q", "p")
	}
	return out, nil
}

func (o *categoricalKL[T]) Do(in ...G.Value) (G.Value, error) {
	out, err := o.run(in, layout.Size(o.shape), kernel.KL[T])
	if err != nil {
		return nil, err
	}
	return layout.Value(o.shape, out), nil
}

// grads are the gradients to the two inputs.
func (o *categoricalKL[T]) grads() [2]func(dst, q, p, grad []T, d kernel.Dims) error {
	return [2]func(dst, q, p, grad []T, d kernel.Dims) error{kernel.GradKLQ[T], kernel.GradKLP[T]}
}

// grad returns the gradient to an input, given that to the divergences.
func (o *categoricalKL[T]) grad(which int, in []G.Value, grad []T) ([]T, error) {
	return o.run(in, layout.Size(o.dist.Shape), func(dst, q, p []T, d kernel.Dims) error {
		return o.grads()[which](dst, q, p, grad, d)
	})
}

func (o *categoricalKL[T]) DiffWRT(inputs int) []bool { return []bool{true, true}[:inputs] }

func (o *categoricalKL[T]) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	return symDiff(in, grad, func(which int, b base) G.Op { return &categoricalKLGrad[T]{b, o, which} }, &o.base)
}

// DoDiff is backward on a LispMachine.
func (o *categoricalKL[T]) DoDiff(_ G.ExecutionContext, in G.Nodes, out *G.Node) error {
	return doDiff(&o.base, in, out, o.grad)
}

// categoricalKLGrad takes what its forward op takes and the gradient to that,
// and gives the gradient to one input.
type categoricalKLGrad[T layout.Float] struct {
	base
	forward *categoricalKL[T]
	which   int
}

func (o *categoricalKLGrad[T]) Do(in ...G.Value) (G.Value, error) {
	return doGrad(&o.base, in, o.forward.shape, func(in []G.Value, grad []T) ([]T, error) {
		return o.forward.grad(o.which, in, grad)
	})
}
