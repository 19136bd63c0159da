package ops

import (
	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// addEstimated adds a hard sample whose estimator is not StraightThroughGumbel.
func (c config) addEstimated(s node.Spec, logits *G.Node) (*G.Node, error) {
	n, err := c.addNoise(&s, logits, node.NoGradient)
	if err != nil {
		return nil, err
	}
	further := n
	if n == nil && c.drawsMore() {
		further = c.addStream(&s)
	}
	dims := s.Distributions.Dims
	return add(s, estimatedSample[float32]{newGumbelSoftmax[float32](dims, n), *c.estimator, further},
		estimatedSample[float64]{newGumbelSoftmax[float64](dims, n), *c.estimator, further})
}

// estimatedSample is a hard sample with the gradient of an estimator, which starts from
// the logits and the sampled classes. So the sample does not depend on the estimator.
type estimatedSample[T kernel.Float] struct {
	gumbelSoftmax[T]
	estimator Estimator
	further   *stream // of the noise that the estimator draws
}

// Saves asks for the class of each distribution, unless it has no influence.
func (o estimatedSample[T]) Saves(wanted func(gradient int) bool) int {
	if o.estimator.kind == straightThroughSoftmax || !wanted(gradLogits) {
		return 0
	}
	return o.dims.Rows()
}

func (o estimatedSample[T]) Forward(a node.Args[T], out, saved []T) error {
	s, err := o.sampler(a)
	if err != nil {
		return err
	}
	return s.Choose(out, saved)
}

func (o estimatedSample[T]) Backward(a node.Args[T], gradient int, dst, saved, grad []T) error {
	s, err := o.sampler(a)
	if err != nil {
		return err
	}
	c := kernel.Choice[T]{Dims: o.dims, Logits: s.Logits, Chosen: saved, Tau: s.Tau}
	e := o.estimator
	switch {
	case gradient == gradTau:
		dst[0] = T(c.GradSoftmaxTau(grad))
	case e.kind == reinMax:
		c.GradReinMax(dst, grad)
	case e.kind == gapped:
		c.GradGapped(dst, grad, e.gap)
	case e.kind == adaptiveGap:
		c.GradGapped(dst, grad, kernel.AdaptiveGap)
	case e.kind == gumbelRao && a.Draw() >= 0:
		c.GradRao(dst, grad, *o.further.at(a.Draw(), a.First()), e.samples)
	default: // without noise, there is nothing to average over
		c.GradSoftmax(dst, grad)
	}
	return nil
}

func (o estimatedSample[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{o.planSample(d, out).Hard()}
}

// PlanBackward computes the hard sample again, except for straight-through softmax,
// whose gradients are those of a soft sample without noise.
func (o estimatedSample[T]) PlanBackward(d node.Device, gradient int, dst, grad plan.Pointer) []plan.Launch {
	s := o.planSample(d, dst)
	s.Grad = grad
	if o.estimator.kind == straightThroughSoftmax {
		s.Draw, s.Noise = 0, 0
		return o.planGrad(d, s, gradient)
	}
	hard := d.Scratch(o.dims.Size() * s.Float.Size())
	e := plan.Estimate{Sample: s, Hard: hard, Gap: o.estimator.gap, Samples: o.estimator.samples}
	s.Out = hard
	launches := []plan.Launch{s.Hard()}
	switch o.estimator.kind {
	case reinMax:
		return append(launches, e.GradReinMax())
	case gumbelRao:
		e.Key = o.further.key()
		return append(launches, e.GradRao())
	}
	return append(launches, e.GradGapped())
}
