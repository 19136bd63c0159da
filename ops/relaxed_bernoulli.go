package ops

import (
	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// RelaxedBernoulli is a differentiable sample of Bernoulli(sigmoid(logits)), elementwise:
//
//	x = sigmoid(y),  y = (logits + L)/tau,  L logistic noise
//
// With WithLogSpace, the sample is y. With WithHard, it is exactly 1 where logits + L is
// positive and 0 elsewhere, with the gradient of x. WithEstimator selects another
// gradient for the same sample, that of the estimator for a categorical distribution
// with the logits a and 0. tau is a scalar node, as for GumbelSoftmax.
//
// The gradients are
//
//	dx/da = x(1 − x)/τ    dx/dτ = −y·x(1 − x)/τ
//	dy/da = 1/τ           dy/dτ = −y/τ
//
// Noise given by WithNoise is logistic, log u − log(1 − u) for u uniform on (0, 1). It
// receives the gradient of the logits. Options: WithSource, WithNoise,
// WithDeterministicEval, WithHard, WithEstimator, WithLogSpace. The distribution of x
// does not depend on tau in that P(x > ½) = sigmoid(a).
//
// A run returns an InputError if tau is not positive and finite, if a logit is NaN, if
// given noise is NaN or the infinity opposite to its logit, or if the sum of a finite
// logit and finite noise is infinite. A logit of -Inf or +Inf makes the outcome certain: its sample is exactly 0 or 1, and
// its gradient exactly 0, whatever gradient reaches it.
//
// Source: Maddison, Mnih and Teh, The Concrete Distribution (ICLR 2017), appendix B.
func RelaxedBernoulli(logits, tau *G.Node, opts ...SampleOption) (*G.Node, error) {
	const op = "RelaxedBernoulli"
	dt, err := checkTempered(op, "logits", logits, tau)
	if err != nil {
		return nil, err
	}
	c, err := configure(op, opts)
	if err != nil {
		return nil, err
	}
	s := node.Spec{
		Name: op, Dtype: dt, Shape: logits.Shape(), Arrays: []string{"logits", "noise"},
		Inputs: []node.Input{node.In("logits", logits, gradLogits), node.In("tau", tau, c.tauGradient())},
	}
	ofNoise := gradLogits
	switch {
	case c.estimator != nil && c.estimator.kind != straightThroughGumbel:
		ofNoise = node.NoGradient
	case c.deterministicEval:
		ofNoise = gradNoise
	}
	stream, err := c.addNoise(&s, logits, ofNoise)
	if err != nil {
		return nil, err
	}
	b := bernoulliSample{size: layout.Size(logits.Shape()), stream: stream, further: stream, hard: c.hard || c.estimator != nil, logSpace: c.logSpace}
	if c.estimator != nil {
		b.estimator = *c.estimator
	}
	if stream == nil && c.drawsMore() {
		b.further = c.addStream(&s)
	}
	return add(s, relaxedBernoulli[float32]{b}, relaxedBernoulli[float64]{b})
}

// bernoulliSample says what a RelaxedBernoulli is.
type bernoulliSample struct {
	size           int
	stream         *stream // nil if the noise is given
	further        *stream // of the noise that the estimator draws
	estimator      Estimator
	hard, logSpace bool
}

type relaxedBernoulli[T kernel.Float] struct{ bernoulliSample }

// Saves asks for the logit of the relaxed sample or for the hard sample. The gradient of
// straight-through softmax to tau needs the logit without noise.
func (o relaxedBernoulli[T]) Saves(wanted func(gradient int) bool) int {
	if wanted(gradTau) || o.estimator.kind != straightThroughSoftmax && (wanted(gradLogits) || wanted(gradNoise)) {
		return o.size
	}
	return 0
}

// sampler returns the kernel for a run.
func (o relaxedBernoulli[T]) sampler(a node.Args[T]) (kernel.Bernoulli[T], error) {
	tau, err := temperatureOf(a)
	if err != nil {
		return kernel.Bernoulli[T]{}, err
	}
	return kernel.Bernoulli[T]{Logits: a.In("logits"), Noise: noiseOf(o.stream, a), Tau: tau}, nil
}

func (o relaxedBernoulli[T]) Forward(a node.Args[T], out, saved []T) error {
	s, err := o.sampler(a)
	switch {
	case err != nil:
		return err
	case o.logSpace:
		err = s.Logit(out)
		copy(saved, out)
		return err
	case !o.hard:
		return s.Soft(out, saved)
	case o.estimator.kind == straightThroughGumbel:
		return s.Hard(out, saved)
	}
	err = s.Hard(out, nil)
	if o.estimator.kind == straightThroughSoftmax && len(saved) > 0 && err == nil {
		s.Noise = kernel.Noise[T]{}
		return s.Logit(saved)
	}
	copy(saved, out)
	return err
}

func (o relaxedBernoulli[T]) Backward(a node.Args[T], gradient int, dst, saved, grad []T) error {
	s, err := o.sampler(a)
	if err != nil {
		return err
	}
	switch {
	case gradient == gradNoise && a.Draw() < 0:
		clear(dst)
	case o.logSpace && gradient == gradTau:
		dst[0] = T(s.GradLogitTau(saved, grad))
	case o.logSpace:
		s.GradLogit(dst, saved, grad)
	case o.estimator.kind == straightThroughGumbel && gradient == gradTau:
		dst[0] = T(s.GradTau(saved, grad))
	case o.estimator.kind == straightThroughGumbel:
		s.Grad(dst, saved, grad)
	case o.estimator.kind == reinMax:
		s.GradReinMax(dst, saved, grad)
	case o.estimator.kind == gapped:
		s.GradGapped(dst, saved, grad, o.estimator.gap)
	case o.estimator.kind == adaptiveGap:
		s.GradGapped(dst, saved, grad, kernel.AdaptiveGap)
	case o.estimator.kind == gumbelRao && a.Draw() >= 0:
		s.GradRao(dst, saved, grad, *o.further.at(a.Draw(), a.First()), o.estimator.samples)
	case gradient == gradTau: // of straight-through softmax
		dst[0] = T(s.GradTau(saved, grad))
	default:
		// The gradient of the relaxed sample without noise is that of straight-through
		// softmax, and of Gumbel-Rao where it has nothing to average over.
		s.Noise = kernel.Noise[T]{}
		if err := s.Logit(dst); err != nil {
			return err
		}
		s.Grad(dst, dst, grad)
	}
	return nil
}

func (o relaxedBernoulli[T]) planRelaxed(d node.Device, out plan.Pointer) plan.Relaxed {
	r := plan.Relaxed{
		Float: plan.FloatOf[T](), N: o.size, Out: out, Logits: d.In("logits"), Noise: d.In("noise"),
		Tau: d.In("tau"), Draw: d.In("draw"), Status: d.Status(), Gap: o.estimator.gap, Samples: o.estimator.samples,
	}
	if o.stream != nil {
		r.Key = o.stream.key()
	}
	if o.further != nil {
		r.Further = o.further.key()
	}
	return r
}

func (o relaxedBernoulli[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	r := o.planRelaxed(d, out)
	switch {
	case o.logSpace:
		return []plan.Launch{r.Logit()}
	case o.hard:
		return []plan.Launch{r.Hard()}
	}
	return []plan.Launch{r.Soft()}
}

func (o relaxedBernoulli[T]) PlanBackward(d node.Device, gradient int, dst, grad plan.Pointer) []plan.Launch {
	r := o.planRelaxed(d, dst)
	r.Grad = grad
	if gradient == gradTau {
		r.Scratch = d.Scratch(8 * o.size)
		switch {
		case o.logSpace:
			return r.TauLogit()
		case o.estimator.kind == straightThroughSoftmax:
			return r.TauSoftmax()
		}
		return r.TauSoft()
	}
	switch {
	case o.logSpace:
		return zeroWithoutNoise[T](d, gradient, dst, r.GradLogit())
	case o.estimator.kind == straightThroughGumbel:
		return zeroWithoutNoise[T](d, gradient, dst, r.GradSoft())
	case o.estimator.kind == straightThroughSoftmax:
		return []plan.Launch{r.GradSoftmax()}
	case o.estimator.kind == reinMax:
		return []plan.Launch{r.GradReinMax()}
	case o.estimator.kind == gumbelRao:
		return []plan.Launch{r.GradRao()}
	}
	return []plan.Launch{r.GradGapped()}
}
