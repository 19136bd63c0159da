package ops

import (
	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// HardConcreteOpen is the probability that a gate of HardConcrete is not 0, elementwise:
//
//	P(z ≠ 0) = sigmoid(logAlpha − tau·log(−γ/ζ))
//
// Its sum is the expected number of open gates: the L0 penalty. γ is -0.1 and ζ is 1.1
// unless WithStretch sets them, as for HardConcrete. tau is a scalar node, that of the
// gates. With p the probability, the gradients are
//
//	dp/dlogAlpha = p(1 − p)    dp/dτ = −log(−γ/ζ)·p(1 − p)
//
// summed over the elements for τ. Options: WithStretch.
//
// The probability that a gate is 1 is 1 − HardConcreteOpen of −logAlpha with
// WithStretch(1−ζ, 1−γ), which is the same stretch by default.
//
// A run returns an InputError if tau is not positive and finite, or if an element of
// logAlpha is NaN. -Inf and +Inf have probabilities of exactly 0 and 1, with a gradient
// of exactly 0, whatever gradient reaches them.
//
// Source: Louizos, Welling and Kingma, Learning Sparse Neural Networks through L0
// Regularization (ICLR 2018), equation 12.
func HardConcreteOpen(logAlpha, tau *G.Node, opts ...StretchOption) (*G.Node, error) {
	const op = "HardConcreteOpen"
	dt, err := checkTempered(op, "logAlpha", logAlpha, tau)
	if err != nil {
		return nil, err
	}
	c, err := configure(op, opts)
	if err == nil {
		err = c.checkStretch(dt)
	}
	if err != nil {
		return nil, err
	}
	return add(node.Spec{
		Name: op, Dtype: dt, Shape: logAlpha.Shape(),
		Inputs: []node.Input{node.In("logAlpha", logAlpha, gradLogits), node.In("tau", tau, gradTau)},
	}, hardConcreteOpen[float32]{c.stretch}, hardConcreteOpen[float64]{c.stretch})
}

type hardConcreteOpen[T kernel.Float] struct{ stretch kernel.Stretch }

func (hardConcreteOpen[T]) Saves(func(int) bool) int { return 0 }

// opening returns the kernel for a run.
func (o hardConcreteOpen[T]) opening(a node.Args[T]) (kernel.Opening[T], error) {
	tau, err := temperatureOf(a)
	return kernel.Opening[T]{LogAlpha: a.In("logAlpha"), Tau: tau, Stretch: o.stretch}, err
}

func (o hardConcreteOpen[T]) Forward(a node.Args[T], out, _ []T) error {
	k, err := o.opening(a)
	if err != nil {
		return err
	}
	return k.Probability(out)
}

func (o hardConcreteOpen[T]) Backward(a node.Args[T], gradient int, dst, _, grad []T) error {
	k, err := o.opening(a)
	if err != nil {
		return err
	}
	if gradient == gradTau {
		tau, err := k.GradTau(grad)
		dst[0] = T(tau)
		return err
	}
	return k.Grad(dst, grad)
}

func (o hardConcreteOpen[T]) planRelaxed(d node.Device, out plan.Pointer) plan.Relaxed {
	return plan.Relaxed{
		Float: plan.FloatOf[T](), Stretch: o.stretch, N: d.Size(), Out: out,
		Logits: d.In("logAlpha"), Tau: d.In("tau"), Status: d.Status(),
	}
}

func (o hardConcreteOpen[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{o.planRelaxed(d, out).Open()}
}

func (o hardConcreteOpen[T]) PlanBackward(d node.Device, gradient int, dst, grad plan.Pointer) []plan.Launch {
	r := o.planRelaxed(d, dst)
	r.Grad = grad
	if gradient == gradTau {
		r.Scratch = d.Scratch(8 * r.N)
		return r.TauOpen()
	}
	return []plan.Launch{r.GradOpen()}
}
