package ops

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// CategoricalLogProb is the log-probability, in nats, of a value under the
// distribution p = softmax(logits):
//
//	log_prob(v) = Σᵢ vᵢ log pᵢ
//
// The value v has the shape of logits. It is one-hot, such as a sample of Categorical,
// or any weights of the classes: with probabilities, −log_prob is the cross-entropy. A
// masked class adds nothing and has gradients of 0. There is one log-probability per
// distribution: the shape of logits without the axis of the classes, or, with
// WithClasses(k), with the last axis divided by k. The gradients are
//
//	dlog_prob/dlᵢ = vᵢ − pᵢ Σⱼ vⱼ
//	dlog_prob/dvᵢ = log pᵢ
//
// Options: WithAxis, WithClasses.
//
// A run returns an InputError if a logit is NaN or +Inf, if every class of a
// distribution is masked, if an element of the value is NaN or infinite, or if it is
// not 0 where the logits mask the class, because the log-probability is then infinite.
//
// Source: I. J. Good, Rational Decisions (1952).
func CategoricalLogProb(value, logits *G.Node, opts ...DistributionOption) (*G.Node, error) {
	const op = "CategoricalLogProb"
	dt, err := node.FloatType(logits, "logits")
	if err == nil {
		err = node.SameArray(value, "value", logits, "logits")
	}
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
		Inputs: []node.Input{node.In("logits", logits, 0), node.In("value", value, 1)},
	}, categoricalLogProb[float32]{dist.Dims}, categoricalLogProb[float64]{dist.Dims})
}

type categoricalLogProb[T kernel.Float] struct{ dims kernel.Dims }

func (categoricalLogProb[T]) Saves(func(int) bool) int { return 0 }

func (o categoricalLogProb[T]) Forward(a node.Args[T], out, _ []T) error {
	return kernel.LogProb(out, a.In("logits"), a.In("value"), o.dims)
}

func (o categoricalLogProb[T]) Backward(a node.Args[T], gradient int, dst, _, grad []T) error {
	f := kernel.GradLogProbLogits[T]
	if gradient == 1 {
		f = kernel.GradLogProbValue[T]
	}
	return f(dst, a.In("logits"), a.In("value"), grad, o.dims)
}

func (o categoricalLogProb[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.LogProb(plan.FloatOf[T](), out, d.In("logits"), d.In("value"), o.dims, d.Status())}
}

func (o categoricalLogProb[T]) PlanBackward(d node.Device, gradient int, dst, grad plan.Pointer) []plan.Launch {
	f := plan.GradLogProbLogits
	if gradient == 1 {
		f = plan.GradLogProbValue
	}
	return []plan.Launch{f(plan.FloatOf[T](), dst, d.In("logits"), d.In("value"), grad, o.dims, d.Status())}
}
