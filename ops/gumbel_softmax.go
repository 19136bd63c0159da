package ops

import (
	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// GumbelSoftmax is a differentiable sample of Categorical(softmax(logits)), of
// the logits' shape:
//
//	y = softmax((logits + g)/tau),  g Gumbel noise
//
// or, with WithHard, the one-hot of argmax(logits + g), the lowest class on a
// tie, with the gradient of y. Logits need not be normalised. tau is any scalar
// node of the logits' dtype: a constant, an input set with gorgonia.Let, the node
// of an anneal.Temperature, or an expression of parameters. A lower tau makes
// samples closer to one-hot and gradients of greater variance.
//
// The gradients are
//
//	dL/dlᵢ = yᵢ (dL/dyᵢ − Σⱼ yⱼ dL/dyⱼ)/τ
//	dL/dτ  = −(1/τ) Σᵢ log yᵢ · yᵢ (dL/dyᵢ − Σⱼ yⱼ dL/dyⱼ)
//
// summed over the distributions for τ. Noise given by WithNoise receives the
// gradient of the logits. WithEstimator makes the sample one-hot and selects another
// gradient: see Estimator. With WithLogSpace, the sample is log y, and the gradients are
//
//	dL/dlᵢ = (gᵢ − yᵢ Σⱼ gⱼ)/τ
//	dL/dτ  = −(1/τ) Σᵢ log yᵢ · (gᵢ − yᵢ Σⱼ gⱼ)
//
// with gᵢ the gradient to log yᵢ. Options: WithAxis, WithClasses, WithSource, WithNoise,
// WithDeterministicEval, WithHard, WithEstimator, WithLogSpace.
//
// A run returns an InputError if tau is not positive and finite, if a logit is
// NaN or +Inf, or if all logits of a distribution are -Inf. A logit of -Inf masks
// its class: its sample and its gradient are exactly 0, whatever gradient reaches
// it. Other classes pass on a gradient that is not finite. A cost with log y sends
// such gradients at a low tau, where samples underflow to 0.
//
// Source: Jang, Gu and Poole, Categorical Reparameterization with
// Gumbel-Softmax (ICLR 2017), equation 2; Maddison, Mnih and Teh, The Concrete
// Distribution (ICLR 2017), equation 10.
func GumbelSoftmax(logits, tau *G.Node, opts ...GumbelSoftmaxOption) (*G.Node, error) {
	const op = "GumbelSoftmax"
	dt, err := checkTempered(op, "logits", logits, tau)
	if err != nil {
		return nil, err
	}
	c, err := configure(op, opts)
	if err != nil {
		return nil, err
	}
	dist, err := c.distributions(logits.Shape())
	if err != nil {
		return nil, err
	}
	s := node.Spec{
		Name: op, Dtype: dt, Shape: logits.Shape(), Distributions: dist, Arrays: []string{"logits", "noise"},
		Inputs: []node.Input{node.In("logits", logits, gradLogits), node.In("tau", tau, c.tauGradient())},
	}
	if c.estimator != nil && c.estimator.kind != straightThroughGumbel {
		return c.addEstimated(s, logits)
	}
	ofNoise := gradLogits
	if c.deterministicEval {
		ofNoise = gradNoise
	}
	stream, err := c.addNoise(&s, logits, ofNoise)
	if err != nil {
		return nil, err
	}
	f32, f64 := newGumbelSoftmax[float32](dist.Dims, stream), newGumbelSoftmax[float64](dist.Dims, stream)
	if c.logSpace {
		return add(s, logGumbelSoftmax[float32]{f32}, logGumbelSoftmax[float64]{f64})
	}
	f32.hard = c.hard || c.estimator != nil
	f64.hard = f32.hard
	return add(s, f32, f64)
}

// The gradients of gumbelSoftmax. Given noise has the gradient of the logits, but
// where a run may be without noise, it needs its own, which is 0 in such a run.
const (
	gradLogits = iota
	gradTau
	gradNoise
)

// tauGradient returns the number of the gradient that tau receives.
func (c config) tauGradient() int {
	if c.estimator != nil && !c.estimator.hasGradTau() {
		return node.NoGradient
	}
	return gradTau
}

type gumbelSoftmax[T kernel.Float] struct {
	dims   kernel.Dims
	stream *stream // nil if the noise is given
	hard   bool
}

func newGumbelSoftmax[T kernel.Float](dims kernel.Dims, n *stream) gumbelSoftmax[T] {
	return gumbelSoftmax[T]{dims: dims, stream: n}
}

// Saves asks for the soft sample and, if the gradient of tau needs it again, for
// the drawn noise.
func (o gumbelSoftmax[T]) Saves(wanted func(gradient int) bool) int {
	switch n := o.dims.Size(); {
	case wanted(gradTau) && o.stream != nil:
		return 2 * n
	case wanted(gradLogits) || wanted(gradTau) || wanted(gradNoise):
		return n
	}
	return 0
}

// sampler returns the kernel for a run.
func (o gumbelSoftmax[T]) sampler(a node.Args[T]) (kernel.Sampler[T], error) {
	tau, err := temperatureOf(a)
	if err != nil {
		return kernel.Sampler[T]{}, err
	}
	return kernel.Sampler[T]{Dims: o.dims, Logits: a.In("logits"), Noise: noiseOf(o.stream, a), Tau: tau}, nil
}

func (o gumbelSoftmax[T]) Forward(a node.Args[T], out, saved []T) error {
	s, err := o.sampler(a)
	if err != nil {
		return err
	}
	var soft []T
	if n := len(out); len(saved) > 0 {
		soft = saved[:n]
		s.Noise.Save = saved[n:]
	}
	if o.hard {
		return s.Hard(out, soft)
	}
	err = s.Soft(out)
	copy(soft, out)
	return err
}

func (o gumbelSoftmax[T]) Backward(a node.Args[T], gradient int, dst, saved, grad []T) error {
	s, err := o.sampler(a)
	if err != nil {
		return err
	}
	n := len(grad)
	soft, drawn := saved[:n], saved[n:]
	switch {
	case gradient == gradTau:
		if s.Noise.Stream != nil {
			s.Noise = kernel.Noise[T]{Given: drawn}
		}
		tau, err := s.GradTau(soft, grad)
		dst[0] = T(tau)
		return err
	case gradient == gradNoise && a.Draw() < 0:
		clear(dst)
	default:
		s.Grad(dst, soft, grad)
	}
	return nil
}

func (o gumbelSoftmax[T]) planSample(d node.Device, out plan.Pointer) plan.Sample {
	s := planSample[T](d, out, "logits", o.dims, o.stream)
	s.Tau = d.In("tau")
	return s
}

func (o gumbelSoftmax[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	s := o.planSample(d, out)
	if o.hard {
		return []plan.Launch{s.Hard()}
	}
	return []plan.Launch{s.Soft()}
}

// PlanBackward computes the soft sample again, which reads no more memory than a
// saved one would.
func (o gumbelSoftmax[T]) PlanBackward(d node.Device, gradient int, dst, grad plan.Pointer) []plan.Launch {
	s := o.planSample(d, dst)
	s.Grad = grad
	return o.planGrad(d, s, gradient)
}

func (o gumbelSoftmax[T]) planGrad(d node.Device, s plan.Sample, gradient int) []plan.Launch {
	if gradient == gradTau {
		s.Scratch = d.Scratch(s.TauScratch())
		return s.GradTau()
	}
	return zeroWithoutNoise[T](d, gradient, s.Out, s.GradLogits())
}

// zeroWithoutNoise adds to the launches of a gradient, if it is that of noise which some
// runs ignore.
func zeroWithoutNoise[T kernel.Float](d node.Device, gradient int, dst plan.Pointer, launches ...plan.Launch) []plan.Launch {
	if gradient != gradNoise {
		return launches
	}
	return append(launches, plan.ZeroWithoutNoise(plan.FloatOf[T](), dst, d.In("draw"), d.Size()))
}
