package ops

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// CategoricalEntropy is the entropy, in nats, of the distribution p = softmax(logits):
//
//	H = −Σᵢ pᵢ log pᵢ
//
// A masked class adds nothing and has the gradient 0. There is one value per
// distribution: the shape of logits without the axis of the classes, or, with
// WithClasses(k), with the last axis divided by k. The gradient is
//
//	dH/dlᵢ = −pᵢ (log pᵢ + H)
//
// Options: WithAxis, WithClasses.
//
// A run returns an InputError if a logit is NaN or +Inf, or if every class of a
// distribution is masked.
//
// Source: C. E. Shannon, A Mathematical Theory of Communication (1948), section 6.
func CategoricalEntropy(logits *G.Node, opts ...DistributionOption) (*G.Node, error) {
	const op = "CategoricalEntropy"
	dt, err := node.FloatType(logits, "logits")
	if err != nil {
		return nil, fmt.Errorf("ops: %s: %w", op, err)
	}
	c, err := configure(op, opts)
	if err != nil {
		return nil, err
	}
	dist, err := c.reduced(logits.Shape(), "logits")
	if err != nil {
		return nil, err
	}
	return add(node.Spec{
		Name: op, Dtype: dt, Shape: dist.Reduced(), Distributions: dist,
		Inputs: []node.Input{node.In("logits", logits, 0)},
	}, categoricalEntropy[float32]{dist.Dims}, categoricalEntropy[float64]{dist.Dims})
}

type categoricalEntropy[T kernel.Float] struct{ dims kernel.Dims }

func (categoricalEntropy[T]) Saves(func(int) bool) int { return 0 }

func (o categoricalEntropy[T]) Forward(a node.Args[T], out, _ []T) error {
	return kernel.Entropy(out, a.In("logits"), o.dims)
}

func (o categoricalEntropy[T]) Backward(a node.Args[T], _ int, dst, _, grad []T) error {
	return kernel.GradEntropy(dst, a.In("logits"), grad, o.dims)
}

func (o categoricalEntropy[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.Entropy(plan.FloatOf[T](), out, d.In("logits"), o.dims, d.Status())}
}

func (o categoricalEntropy[T]) PlanBackward(d node.Device, _ int, dst, grad plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.GradEntropy(plan.FloatOf[T](), dst, d.In("logits"), grad, o.dims, d.Status())}
}
