package ops

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// BernoulliKL is the Kullback-Leibler divergence, in nats, of Bernoulli(sigmoid(q)) from
// Bernoulli(sigmoid(p)), elementwise, of the common shape of the logits q and p. A nil p
// is the fair coin, whose logit is 0:
//
//	KL = σ(q) (log σ(q) − log σ(p)) + σ(−q) (log σ(−q) − log σ(−p))
//
// It is finite for all finite logits, and never negative. Its relative error is at most
// eight units in the last place, however close q and p are, as long as e^−|q| is in the
// range of normal numbers: |q| < 87 in float32. The gradients are
//
//	dKL/dq = σ(q) σ(−q) (q − p)
//	dKL/dp = σ(p) − σ(q)
//
// A logit q of ±Inf is a probability of 1 or 0. The divergence is then log(1 + e^∓p), and
// the gradient to q exactly 0. If p is the same infinity, the divergence and both
// gradients are 0.
//
// A run returns an InputError if a logit is NaN, or if p is infinite and q is not the
// same, because the divergence is then infinite.
//
// Source: Kullback and Leibler, On Information and Sufficiency (1951).
func BernoulliKL(q, p *G.Node) (*G.Node, error) {
	const op = "BernoulliKL"
	dt, err := node.FloatType(q, "q")
	inputs := []node.Input{node.In("q", q, 0)}
	if err == nil && p != nil {
		err = node.SameArray(p, "p", q, "q")
		inputs = append(inputs, node.In("p", p, 1))
	}
	if err != nil {
		return nil, fmt.Errorf("ops: %s: %w", op, err)
	}
	return add(node.Spec{Name: op, Dtype: dt, Shape: q.Shape(), Inputs: inputs}, bernoulliKL[float32]{}, bernoulliKL[float64]{})
}

type bernoulliKL[T kernel.Float] struct{}

func (bernoulliKL[T]) Saves(func(int) bool) int { return 0 }

func (bernoulliKL[T]) Forward(a node.Args[T], out, _ []T) error {
	return kernel.BernoulliKL(out, a.In("q"), a.In("p"))
}

func (bernoulliKL[T]) Backward(a node.Args[T], gradient int, dst, _, grad []T) error {
	f := kernel.GradBernoulliKLQ[T]
	if gradient == 1 {
		f = kernel.GradBernoulliKLP[T]
	}
	return f(dst, a.In("q"), a.In("p"), grad)
}

func (bernoulliKL[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.BernoulliKL(plan.FloatOf[T](), out, d.In("q"), d.In("p"), d.Size(), d.Status())}
}

func (bernoulliKL[T]) PlanBackward(d node.Device, gradient int, dst, grad plan.Pointer) []plan.Launch {
	f := plan.GradBernoulliKLQ
	if gradient == 1 {
		f = plan.GradBernoulliKLP
	}
	return []plan.Launch{f(plan.FloatOf[T](), dst, d.In("q"), d.In("p"), grad, d.Size(), d.Status())}
}
