package ops

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// CategoricalKL is the Kullback-Leibler divergence, in nats, of the distribution
// softmax(q) from softmax(p), both logits of one shape. A nil p is the uniform
// distribution:
//
//	KL = Σᵢ softmax(q)ᵢ (log softmax(q)ᵢ − log softmax(p)ᵢ)
//
// It has one value per distribution: the shape of q without the axis of the
// classes, or, with WithClasses(k), with the last axis divided by k. Its
// gradients are
//
//	dKL/dqᵢ = softmax(q)ᵢ (log softmax(q)ᵢ − log softmax(p)ᵢ − KL)
//	dKL/dpᵢ = softmax(p)ᵢ − softmax(q)ᵢ
//
// Options: WithAxis, WithClasses.
//
// A run returns an InputError if a logit is NaN or +Inf, if every class of a
// distribution is masked, or if p masks a class that q does not, because the
// divergence is then infinite.
//
// Source: Kullback and Leibler, On Information and Sufficiency (1951).
func CategoricalKL(q, p *G.Node, opts ...DistributionOption) (*G.Node, error) {
	const op = "CategoricalKL"
	dt, err := node.FloatType(q, "q")
	inputs := []node.Input{node.In("q", q, 0)}
	if err == nil && p != nil {
		err = node.SameArray(p, "p", q, "q")
		inputs = append(inputs, node.In("p", p, 1))
	}
	if err != nil {
		return nil, fmt.Errorf("ops: %s: %w", op, err)
	}
	c, err := configure(op, opts)
	if err != nil {
		return nil, err
	}
	dist, err := c.reduced(q.Shape(), "q")
	if err != nil {
		return nil, err
	}
	return add(node.Spec{Name: op, Dtype: dt, Shape: dist.Reduced(), Distributions: dist, Inputs: inputs},
		categoricalKL[float32]{dist.Dims}, categoricalKL[float64]{dist.Dims})
}

type categoricalKL[T kernel.Float] struct{ dims kernel.Dims }

func (categoricalKL[T]) Saves(func(int) bool) int { return 0 }

func (o categoricalKL[T]) Forward(a node.Args[T], out, _ []T) error {
	return kernel.KL(out, a.In("q"), a.In("p"), o.dims)
}

func (o categoricalKL[T]) Backward(a node.Args[T], gradient int, dst, _, grad []T) error {
	f := kernel.GradKLQ[T]
	if gradient == 1 {
		f = kernel.GradKLP[T]
	}
	return f(dst, a.In("q"), a.In("p"), grad, o.dims)
}

func (o categoricalKL[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.KL(plan.FloatOf[T](), out, d.In("q"), d.In("p"), o.dims, d.Status())}
}

func (o categoricalKL[T]) PlanBackward(d node.Device, gradient int, dst, grad plan.Pointer) []plan.Launch {
	f := plan.GradKLQ
	if gradient == 1 {
		f = plan.GradKLP
	}
	return []plan.Launch{f(plan.FloatOf[T](), dst, d.In("q"), d.In("p"), grad, o.dims, d.Status())}
}
