package ops

import (
	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// RelaxedBernoulliLogProb is the logarithm of the density of RelaxedBernoulli samples in
// logit space, which WithLogSpace returns, elementwise, of the common shape of value and
// logits. With y the value, a the logit, τ the scalar node tau and u = a − τy, it is
//
//	log τ + u − 2 log(1 + e^u) = log τ − |u| − 2 log(1 + e^−|u|)
//
// The second form is finite for all finite inputs. If it is out of the range of the dtype,
// the result is the least finite number. The density of the sample x = sigmoid(y) itself
// is greater by the Jacobian: subtract log x + log(1 − x) from the logarithm. With
// t = tanh(u/2), the gradients are
//
//	da = −t    dy = τt    dτ = Σ (1/τ + yt)
//
// summed over the elements for τ, with the gradients that reach them as weights.
//
// A logit of ±Inf makes the outcome certain, as in RelaxedBernoulli. The value must be
// the same infinity. Such an element has the log density 0 and gradients of exactly 0,
// also to tau.
//
// A run returns an InputError if tau is not positive and finite, if a logit or an element
// of the value is NaN, if a value is infinite beside a finite logit, or if the value
// beside an infinite logit is not the same infinity.
//
// Source: Maddison, Mnih and Teh, The Concrete Distribution (ICLR 2017), appendix B.
func RelaxedBernoulliLogProb(value, logits, tau *G.Node) (*G.Node, error) {
	const op = "RelaxedBernoulliLogProb"
	dt, err := checkTempered(op, "logits", logits, tau, value)
	if err != nil {
		return nil, err
	}
	return add(node.Spec{
		Name: op, Dtype: dt, Shape: logits.Shape(),
		Inputs: []node.Input{node.In("logits", logits, gradLogits), node.In("value", value, gradValue), node.In("tau", tau, gradTau)},
	}, relaxedBernoulliLogProb[float32]{}, relaxedBernoulliLogProb[float64]{})
}

type relaxedBernoulliLogProb[T kernel.Float] struct{}

func (relaxedBernoulliLogProb[T]) Saves(func(int) bool) int { return 0 }

// density returns the kernel for a run.
func (relaxedBernoulliLogProb[T]) density(a node.Args[T]) (kernel.RelaxedDensity[T], error) {
	tau, err := temperatureOf(a)
	return kernel.RelaxedDensity[T]{Logits: a.In("logits"), Value: a.In("value"), Tau: tau}, err
}

func (o relaxedBernoulliLogProb[T]) Forward(a node.Args[T], out, _ []T) error {
	d, err := o.density(a)
	if err != nil {
		return err
	}
	return d.Log(out)
}

func (o relaxedBernoulliLogProb[T]) Backward(a node.Args[T], gradient int, dst, _, grad []T) error {
	d, err := o.density(a)
	switch {
	case err != nil:
		return err
	case gradient == gradLogits:
		return d.GradLogits(dst, grad)
	case gradient == gradValue:
		return d.GradValue(dst, grad)
	}
	tau, err := d.GradTau(grad)
	dst[0] = T(tau)
	return err
}

func (relaxedBernoulliLogProb[T]) planDensity(d node.Device, out, grad plan.Pointer) plan.RelaxedDensity {
	return plan.RelaxedDensity{
		Float: plan.FloatOf[T](), N: d.Size(), Out: out, Logits: d.In("logits"), Value: d.In("value"), Tau: d.In("tau"),
		Grad: grad, Status: d.Status(),
	}
}

func (o relaxedBernoulliLogProb[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{o.planDensity(d, out, 0).Log()}
}

func (o relaxedBernoulliLogProb[T]) PlanBackward(d node.Device, gradient int, dst, grad plan.Pointer) []plan.Launch {
	p := o.planDensity(d, dst, grad)
	switch gradient {
	case gradLogits:
		return []plan.Launch{p.GradLogits()}
	case gradValue:
		return []plan.Launch{p.GradValue()}
	}
	p.Scratch = d.Scratch(8 * p.N)
	return p.GradTau()
}
