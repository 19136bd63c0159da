package ops

import (
	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// HardConcrete is a differentiable gate in [0, 1], elementwise, that is exactly 0 or 1 in a
// share of the draws:
//
//	z = min(1, max(0, s(ζ − γ) + γ)),  s = sigmoid(y),  y = (logAlpha + L)/tau
//
// with logistic noise L. The relaxed sample s is that of RelaxedBernoulli. γ is -0.1 and
// ζ is 1.1 unless WithStretch sets them. tau is a scalar node, as for GumbelSoftmax; 2/3
// is usual. The probabilities of the ends are
//
//	P(z = 0) = sigmoid(tau·log(−γ/ζ) − logAlpha)
//	P(z = 1) = sigmoid(logAlpha − tau·log((1 − γ)/(ζ − 1)))
//
// HardConcreteOpen is P(z ≠ 0), for the L0 penalty.
//
// The gradients are
//
//	dz/dlogAlpha = (ζ − γ)·s(1 − s)/τ    dz/dτ = −y(ζ − γ)·s(1 − s)/τ
//
// where 0 < z < 1, and exactly 0 where z is 0 or 1, whatever gradient reaches it.
//
// WithDeterministicEval makes a gate, under gorgonia.EvalMode, the paper's estimate at
// test time, which has neither noise nor tau:
//
//	z = min(1, max(0, sigmoid(logAlpha)·(ζ − γ) + γ))
//
// Its gradient is (ζ − γ)·s(1 − s) for logAlpha, with s = sigmoid(logAlpha), and 0 for
// tau.
//
// Noise given by WithNoise is logistic, log u − log(1 − u) for u uniform on (0, 1). It
// receives the gradient of logAlpha. Options: WithSource, WithNoise,
// WithDeterministicEval, WithStretch.
//
// A run returns an InputError if tau is not positive and finite, if an element of logAlpha
// is NaN, if given noise is NaN or the infinity opposite to its logAlpha, or if the sum of
// finite logAlpha and finite noise is infinite. -Inf and +Inf make a gate exactly 0 and 1, with a gradient of exactly
// 0.
//
// Source: Louizos, Welling and Kingma, Learning Sparse Neural Networks through L0
// Regularization (ICLR 2018), equations 10, 11 and 13.
func HardConcrete(logAlpha, tau *G.Node, opts ...HardConcreteOption) (*G.Node, error) {
	const op = "HardConcrete"
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
	s := node.Spec{
		Name: op, Dtype: dt, Shape: logAlpha.Shape(), Arrays: []string{"logAlpha", "noise"},
		Inputs: []node.Input{node.In("logAlpha", logAlpha, gradLogits), node.In("tau", tau, gradTau)},
	}
	ofNoise := gradLogits
	if c.deterministicEval {
		ofNoise = gradNoise
	}
	stream, err := c.addNoise(&s, logAlpha, ofNoise)
	if err != nil {
		return nil, err
	}
	gate := hardConcreteGate{layout.Size(logAlpha.Shape()), stream, c.stretch}
	return add(s, hardConcrete[float32]{gate}, hardConcrete[float64]{gate})
}

// hardConcreteGate says what a HardConcrete is.
type hardConcreteGate struct {
	size    int
	stream  *stream // nil if the noise is given
	stretch kernel.Stretch
}

type hardConcrete[T kernel.Float] struct{ hardConcreteGate }

// Saves asks for the logit of the relaxed sample.
func (o hardConcrete[T]) Saves(wanted func(gradient int) bool) int {
	if wanted(gradLogits) || wanted(gradTau) || wanted(gradNoise) {
		return o.size
	}
	return 0
}

// sampler returns the kernel for a run. Without noise, there is no temperature either.
func (o hardConcrete[T]) sampler(a node.Args[T]) (kernel.Bernoulli[T], error) {
	tau, err := temperatureOf(a)
	if a.Draw() < 0 {
		tau = 1
	}
	return kernel.Bernoulli[T]{Logits: a.In("logAlpha"), Noise: noiseOf(o.stream, a), Tau: tau}, err
}

func (o hardConcrete[T]) Forward(a node.Args[T], out, saved []T) error {
	s, err := o.sampler(a)
	if err != nil {
		return err
	}
	return s.Gate(out, saved, o.stretch)
}

func (o hardConcrete[T]) Backward(a node.Args[T], gradient int, dst, saved, grad []T) error {
	s, err := o.sampler(a)
	if err != nil {
		return err
	}
	switch {
	case gradient != gradLogits && a.Draw() < 0:
		clear(dst)
	case gradient == gradTau:
		dst[0] = T(s.GradGateTau(saved, grad, o.stretch))
	default:
		s.GradGate(dst, saved, grad, o.stretch)
	}
	return nil
}

func (o hardConcrete[T]) planRelaxed(d node.Device, out plan.Pointer) plan.Relaxed {
	r := plan.Relaxed{
		Float: plan.FloatOf[T](), Stretch: o.stretch, N: o.size, Out: out, Logits: d.In("logAlpha"), Noise: d.In("noise"),
		Tau: d.In("tau"), Draw: d.In("draw"), Status: d.Status(),
	}
	if o.stream != nil {
		r.Key = o.stream.key()
	}
	return r
}

func (o hardConcrete[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{o.planRelaxed(d, out).Gate()}
}

func (o hardConcrete[T]) PlanBackward(d node.Device, gradient int, dst, grad plan.Pointer) []plan.Launch {
	r := o.planRelaxed(d, dst)
	r.Grad = grad
	if gradient == gradTau {
		r.Scratch = d.Scratch(8 * o.size)
		return r.TauGate()
	}
	return zeroWithoutNoise[T](d, gradient, dst, r.GradGate())
}
