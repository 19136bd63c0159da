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
// The gradients lie in memory that the next run writes again: see Linear.
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
		return apply(&categoricalKL[float32]{b, dist}, children...)
	}
	return apply(&categoricalKL[float64]{b, dist}, children...)
}

// categoricalKL takes q and, unless that is uniform, p.
type categoricalKL[T layout.Float] struct {
	base
	dist layout.Distributions
}

// run reads the inputs and makes dst out of them by f.
func (o *categoricalKL[T]) run(dst []T, in []G.Value, f func(dst, q, p []T, d kernel.Dims) error) error {
	q, err := read[T](&o.base, "q", in[0], o.dist.Shape)
	if err != nil {
		return err
	}
	var p []T
	if len(in) > 1 {
		if p, err = read[T](&o.base, "p", in[1], o.dist.Shape); err != nil {
			return err
		}
	}
	if err := f(dst, q, p, dims(o.dist)); err != nil {
		return o.inputError(err, o.dist, "q", "p")
	}
	return nil
}

func (o *categoricalKL[T]) Do(in ...G.Value) (G.Value, error) {
	out := make([]T, layout.Size(o.shape))
	if err := o.run(out, in, kernel.KL[T]); err != nil {
		return nil, err
	}
	return layout.Value(o.shape, out), nil
}

// grad sets dst to the gradient to an input, given that to the divergences.
func (o *categoricalKL[T]) grad(which int, dst []T, in []G.Value, grad []T) error {
	f := [...]func(dst, q, p, grad []T, d kernel.Dims) error{kernel.GradKLQ[T], kernel.GradKLP[T]}[which]
	return o.run(dst, in, func(dst, q, p []T, d kernel.Dims) error { return f(dst, q, p, grad, d) })
}

func (o *categoricalKL[T]) gradients() differentiable[T] {
	return differentiable[T]{&o.base, o.grad, o}
}

func (o *categoricalKL[T]) DiffWRT(inputs int) []bool { return []bool{true, true}[:inputs] }

func (o *categoricalKL[T]) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	return symDiff(in, grad, o.gradients())
}

// DoDiff is backward on a LispMachine.
func (o *categoricalKL[T]) DoDiff(_ G.ExecutionContext, in G.Nodes, out *G.Node) error {
	grad, err := gradient[T](&o.base, out)
	if err != nil {
		return err
	}
	return doDiff(o.gradients(), in, grad)
}
