package ops

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// BCEWithLogits is the binary cross-entropy, in nats, of targets from
// sigmoid(logits), elementwise, of their common shape:
//
//	max(x, 0) − x·z + log(1 + e^−|x|)
//
// It is finite for every finite logit x and target z, usually in [0, 1]. Its
// gradients are sigmoid(x) − z for the logits and −x for the targets.
//
// A logit of ±Inf is a probability of 0 or 1. Beside the target that it predicts,
// the loss and its gradients are 0.
//
// A run returns an InputError if a logit is NaN, if an infinite logit has another
// target, because the loss is then infinite, or if a target is not finite.
//
// Source: the negative log-likelihood of Bernoulli(sigmoid(x)) in the form of
// TensorFlow's sigmoid_cross_entropy_with_logits.
func BCEWithLogits(logits, targets *G.Node) (*G.Node, error) {
	const op = "BCEWithLogits"
	dt, err := node.FloatType(logits, "logits")
	if err == nil {
		err = node.SameArray(targets, "targets", logits, "logits")
	}
	if err != nil {
		return nil, fmt.Errorf("ops: %s: %w", op, err)
	}
	return add(node.Spec{
		Name: op, Dtype: dt, Shape: logits.Shape(),
		Inputs: []node.Input{node.In("logits", logits, 0), node.In("targets", targets, 1)},
	}, bce[float32]{}, bce[float64]{})
}

type bce[T kernel.Float] struct{}

func (bce[T]) Saves(func(int) bool) int { return 0 }

func (bce[T]) Forward(a node.Args[T], out, _ []T) error {
	return kernel.BCE(out, a.In("logits"), a.In("targets"))
}

func (bce[T]) Backward(a node.Args[T], gradient int, dst, _, grad []T) error {
	f := kernel.GradBCELogits[T]
	if gradient == 1 {
		f = kernel.GradBCETargets[T]
	}
	return f(dst, a.In("logits"), a.In("targets"), grad)
}

func (bce[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.BCE(plan.FloatOf[T](), out, d.In("logits"), d.In("targets"), d.Size(), d.Status())}
}

func (bce[T]) PlanBackward(d node.Device, gradient int, dst, grad plan.Pointer) []plan.Launch {
	f := plan.GradBCELogits
	if gradient == 1 {
		f = plan.GradBCETargets
	}
	return []plan.Launch{f(plan.FloatOf[T](), dst, d.In("logits"), d.In("targets"), grad, d.Size(), d.Status())}
}
