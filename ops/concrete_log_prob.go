package ops

import (
	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// ConcreteLogProb is the log density, in nats, of a Gumbel-softmax sample in log space,
// which is what GumbelSoftmax with WithLogSpace returns. The value y has the shape of
// logits, and tau is a scalar node, as for GumbelSoftmax. With r = logits − tau·y and
// s = softmax(r) over the m classes that are not masked,
//
//	log κ(y) = log Γ(m) + (m − 1) log tau + Σₖ log sₖ
//
// There is one log density per distribution: the shape of logits without the axis of the
// classes, or, with WithClasses(k), with the last axis divided by k. The gradients are
//
//	dlog κ/dlₖ = 1 − m sₖ
//	dlog κ/dyₖ = −τ(1 − m sₖ)
//	dlog κ/dτ  = (m − 1)/τ − Σₖ yₖ(1 − m sₖ)
//
// summed over the distributions for τ. A masked class adds nothing and has gradients of 0.
// One class alone has a log density of 0 and gradients of 0.
//
// The density is that of the differences of y₁ … yₘ₋₁ from yₘ, so that a number added to y
// changes nothing. The log density of the point x = exp(y) on the simplex is
// log κ(y) − Σₖ yₖ, for a y with Σₖ exp(yₖ) = 1, such as a sample.
//
// The divergence of a relaxed posterior from a relaxed prior, which may have different
// temperatures, is estimated by log κ of the posterior less log κ of the prior, both at one
// sample y of the posterior. Its gradient flows through y as well. See the example.
//
// Options: WithAxis, WithClasses.
//
// A run returns an InputError if tau is not positive and finite, if a logit is NaN or +Inf,
// if every class of a distribution is masked, or if an element of the value is NaN or +Inf.
// The value must be -Inf where the logits mask the class, as a sample is, and finite
// elsewhere. Any other value is an InputError, because the density is 0 or undefined. So
// is a value for which logits − tau·value is outside the range of float64. A log density
// below the range of the dtype becomes its least finite number.
//
// Source: Maddison, Mnih and Teh, The Concrete Distribution (ICLR 2017), appendix C.3.
func ConcreteLogProb(value, logits, tau *G.Node, opts ...DistributionOption) (*G.Node, error) {
	const op = "ConcreteLogProb"
	dt, err := checkTempered(op, "logits", logits, tau, value)
	if err != nil {
		return nil, err
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
		Inputs: []node.Input{node.In("logits", logits, gradLogits), node.In("value", value, gradValue), node.In("tau", tau, gradTau)},
	}, concreteLogProb[float32]{dist.Dims}, concreteLogProb[float64]{dist.Dims})
}

// gradValue is the number of a value's gradient, beside gradLogits and gradTau.
const gradValue = gradNoise

type concreteLogProb[T kernel.Float] struct{ dims kernel.Dims }

// Saves asks for the slopes and, if the gradient of tau is wanted, for that of each
// distribution.
func (o concreteLogProb[T]) Saves(wanted func(gradient int) bool) int {
	switch n := o.dims.Size(); {
	case wanted(gradTau):
		return n + o.dims.Rows()
	case wanted(gradLogits) || wanted(gradValue):
		return n
	}
	return 0
}

// density returns the kernel for a run.
func (o concreteLogProb[T]) density(a node.Args[T]) (kernel.Concrete[T], error) {
	tau, err := temperatureOf(a)
	return kernel.Concrete[T]{Dims: o.dims, Logits: a.In("logits"), Value: a.In("value"), Tau: tau}, err
}

func (o concreteLogProb[T]) Forward(a node.Args[T], out, saved []T) error {
	c, err := o.density(a)
	if err != nil {
		return err
	}
	slopes, toTau := o.split(saved)
	return c.LogProb(out, slopes, toTau)
}

// split returns the parts of what is saved, which may be nothing.
func (o concreteLogProb[T]) split(saved []T) (slopes, toTau []T) {
	n := min(o.dims.Size(), len(saved))
	return saved[:n], saved[n:]
}

func (o concreteLogProb[T]) Backward(a node.Args[T], gradient int, dst, saved, grad []T) error {
	c, err := o.density(a)
	if err != nil {
		return err
	}
	slopes, toTau := o.split(saved)
	switch gradient {
	case gradTau:
		dst[0] = T(c.GradTau(toTau, grad))
	case gradValue:
		c.GradValue(dst, slopes, grad)
	default:
		c.GradLogits(dst, slopes, grad)
	}
	return nil
}

func (o concreteLogProb[T]) plan(d node.Device, out plan.Pointer) plan.Concrete {
	return plan.Concrete{
		Dims: o.dims, Float: plan.FloatOf[T](), Out: out, Status: d.Status(),
		Logits: d.In("logits"), Value: d.In("value"), Tau: d.In("tau"),
	}
}

func (o concreteLogProb[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{o.plan(d, out).LogProb()}
}

// PlanBackward computes the slopes again.
func (o concreteLogProb[T]) PlanBackward(d node.Device, gradient int, dst, grad plan.Pointer) []plan.Launch {
	c := o.plan(d, dst)
	c.Grad = grad
	switch gradient {
	case gradTau:
		c.Scratch = d.Scratch(8 * o.dims.Rows())
		return c.GradTau()
	case gradValue:
		return []plan.Launch{c.GradValue()}
	}
	return []plan.Launch{c.GradLogits()}
}
