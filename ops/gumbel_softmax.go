package ops

import (
	"fmt"
	"math"
	"sync"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// GumbelSoftmax is a differentiable sample of Categorical(softmax(logits)), of
// the logits' shape:
//
//	y = softmax((logits + g)/tau),  g Gumbel noise
//
// or, with WithHard, the one-hot of argmax(logits + g), the lowest class on a
// tie, with the gradient of y. Logits need not be normalised. tau is any
// scalar node of the logits' dtype: a constant, an input set with G.Let, an
// anneal.Temperature's node, or an expression of parameters. A lower tau gives
// samples closer to one-hot and gradients of greater variance.
//
// The gradients are
//
//	dL/dlᵢ = yᵢ (dL/dyᵢ − Σⱼ yⱼ dL/dyⱼ)/τ
//	dL/dτ  = −(1/τ) Σᵢ log yᵢ · yᵢ (dL/dyᵢ − Σⱼ yⱼ dL/dyⱼ)
//
// summed over the distributions for τ, and that to the logits for noise given
// by WithNoise. Options: WithSource, WithAxis, WithClasses, WithHard,
// WithNoise, WithDeterministicEval.
//
// A run ends with an error where tau is not positive and finite, a logit is
// NaN or +Inf, or all logits of a distribution are -Inf. A logit of -Inf masks
// its class: sample and gradient are exactly 0.
//
// Source: Jang, Gu and Poole, Categorical Reparameterization with
// Gumbel-Softmax (ICLR 2017), equation 2; Maddison, Mnih and Teh, The Concrete
// Distribution (ICLR 2017), equation 10.
func GumbelSoftmax(logits, tau *G.Node, opts ...Option) (*G.Node, error) {
	const op = "GumbelSoftmax"
	dt, err := floatType(op, logits, "logits")
	if err != nil {
		return nil, err
	}
	if err := checkTau(op, tau, dt); err != nil {
		return nil, err
	}
	c, err := configure(op, opts, "WithSource", "WithAxis", "WithClasses", "WithHard", "WithNoise", "WithDeterministicEval")
	if err != nil {
		return nil, err
	}
	if dt == tensor.Float32 {
		return newGumbelSoftmax[float32](logits, tau, c)
	}
	return newGumbelSoftmax[float64](logits, tau, c)
}

// checkTau checks what can be known of a temperature's node.
func checkTau(op string, tau *G.Node, dt tensor.Dtype) error {
	tauType, err := floatType(op, tau, "tau")
	if err != nil {
		return err
	}
	if !tau.IsScalar() {
		return fmt.Errorf("ops: %s: tau has shape %v: give a scalar", op, tau.Shape())
	}
	if tauType != dt {
		return fmt.Errorf("ops: %s: tau has dtype %v, logits %v: make them one", op, tauType, dt)
	}
	return nil
}

func newGumbelSoftmax[T layout.Float](logits, tau *G.Node, c config) (*G.Node, error) {
	dist, err := c.distributions(logits.Shape())
	if err != nil {
		return nil, err
	}
	noise, s, err := noiseNodes(logits, c)
	if err != nil {
		return nil, err
	}
	children := append(G.Nodes{logits, tau}, noise...)
	o := &gumbelSoftmax[T]{
		base: newBase(c.op, logits.Dtype(), logits.Shape(), children...),
		dist: dist, hard: c.hard, stream: s,
	}
	return apply(o, children...)
}

// gumbelSoftmax takes logits, tau, a draw and, where it is given its noise,
// that.
type gumbelSoftmax[T layout.Float] struct {
	base
	dist   layout.Distributions
	hard   bool
	stream *stream // nil where the noise is given

	// The soft sample is kept from forward to backward, with the number of
	// its draw: backward takes it only if that is the run's own, and makes
	// it again if another machine has run in between.
	mu     sync.Mutex
	keeps  bool // something will want it
	kept   bool
	soft   []T
	number int64
}

// sampler reads the inputs of a run.
func (o *gumbelSoftmax[T]) sampler(in []G.Value) (s kernel.Sampler[T], number int64, err error) {
	if s.Tau, err = o.tau(in[1]); err != nil {
		return s, 0, err
	}
	if s.Logits, err = read[T](&o.base, "logits", in[0], o.shape); err != nil {
		return s, 0, err
	}
	if s.Noise, number, err = readNoise[T](&o.base, o.stream, in[2:]); err != nil {
		return s, 0, err
	}
	s.Dims = dims(o.dist)
	return s, number, nil
}

// tau reads the temperature of a run.
func (o *gumbelSoftmax[T]) tau(v G.Value) (float64, error) {
	value, err := read[T](&o.base, "tau", v, tensor.ScalarShape())
	if err != nil {
		return 0, err
	}
	tau := float64(value[0])
	if !(tau > 0) || math.IsInf(tau, 1) {
		return 0, o.errorf("tau is %v: give a positive, finite temperature", tau)
	}
	return tau, nil
}

// dims are a layout's distributions as the kernels see them.
func dims(d layout.Distributions) kernel.Dims {
	return kernel.Dims{Outer: d.Outer, Classes: d.Classes, Inner: d.Inner}
}

func (o *gumbelSoftmax[T]) Do(in ...G.Value) (G.Value, error) {
	s, number, err := o.sampler(in)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(s.Logits))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = false
	switch {
	case o.hard && o.keeps:
		err = s.Hard(out, o.room())
	case o.hard:
		err = s.Hard(out, nil)
	default:
		err = s.Soft(out)
		if o.keeps {
			copy(o.room(), out)
		}
	}
	if err != nil {
		return nil, o.inputError(err)
	}
	o.kept, o.number = o.keeps, number
	return layout.Value(o.shape, out), nil
}

// room is where the soft sample is kept.
func (o *gumbelSoftmax[T]) room() []T {
	if o.soft == nil {
		o.soft = make([]T, layout.Size(o.shape))
	}
	return o.soft
}

func (o *gumbelSoftmax[T]) inputError(err error) error {
	return o.base.inputError(err, o.dist, "logits", "noise")
}

// withSoft reads the inputs of a run and calls f with its soft sample.
func (o *gumbelSoftmax[T]) withSoft(in []G.Value, f func(s kernel.Sampler[T], soft []T) error) error {
	s, number, err := o.sampler(in)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	soft := o.soft
	if !o.kept || o.number != number {
		soft = make([]T, len(s.Logits))
		if err := s.Soft(soft); err != nil {
			return o.inputError(err)
		}
	}
	return f(s, soft)
}

// gradLogits returns the gradient to the logits, given that to the sample.
func (o *gumbelSoftmax[T]) gradLogits(in []G.Value, grad []T) ([]T, error) {
	out := make([]T, len(grad))
	err := o.withSoft(in, func(s kernel.Sampler[T], soft []T) error {
		kernel.Grad(out, soft, grad, s.Dims, s.Tau)
		return nil
	})
	return out, err
}

// gradTau returns the gradient to the temperature, given that to the sample.
func (o *gumbelSoftmax[T]) gradTau(in []G.Value, grad []T) (tau T, err error) {
	err = o.withSoft(in, func(s kernel.Sampler[T], soft []T) error {
		sum, err := s.GradTau(soft, grad)
		tau = T(sum)
		return err
	})
	return tau, err
}

func (o *gumbelSoftmax[T]) DiffWRT(inputs int) []bool {
	return []bool{true, true, false, true}[:inputs]
}

func (o *gumbelSoftmax[T]) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	o.mu.Lock()
	o.keeps = true
	o.mu.Unlock()
	// The output is a child so that forward runs first; its value is not
	// read, for later ops may overwrite it.
	children := append(append(G.Nodes{}, in...), out, grad)
	logits, err := apply(&gumbelSoftmaxGrad[T]{newBase(o.name+".grad", o.dt, o.shape, children...), o}, children...)
	if err != nil {
		return nil, err
	}
	tau, err := apply(&gumbelSoftmaxGradTau[T]{newBase(o.name+".gradTau", o.dt, nil, children...), o, in[1]}, children...)
	if err != nil {
		return nil, err
	}
	return G.Nodes{logits, tau, nil, logits}[:len(in)], nil
}

// DoDiff is backward on a LispMachine.
func (o *gumbelSoftmax[T]) DoDiff(_ G.ExecutionContext, in G.Nodes, out *G.Node) error {
	grad, err := gradient[T](&o.base, out)
	if err != nil {
		return err
	}
	values := nodeValues(in)
	logits, err := o.gradLogits(values, grad)
	if err != nil {
		return err
	}
	tau, err := o.gradTau(values, grad)
	if err != nil {
		return err
	}
	if err := accumulate(&o.base, in[0], logits); err != nil {
		return err
	}
	if o.stream == nil {
		if err := accumulate(&o.base, in[3], logits); err != nil {
			return err
		}
	}
	return accumulate(&o.base, in[1], []T{tau})
}

// gumbelSoftmaxGrad takes what its forward op takes, the sample and the
// gradient to that, and gives the gradient to the logits.
type gumbelSoftmaxGrad[T layout.Float] struct {
	base
	forward *gumbelSoftmax[T]
}

func (o *gumbelSoftmaxGrad[T]) Do(in ...G.Value) (G.Value, error) {
	grad, err := read[T](&o.base, "its gradient", in[len(in)-1], o.shape)
	if err != nil {
		return nil, err
	}
	logits, err := o.forward.gradLogits(in[:len(in)-2], grad)
	if err != nil {
		return nil, err
	}
	return layout.Value(o.shape, logits), nil
}

// gumbelSoftmaxGradTau is gumbelSoftmaxGrad for the temperature.
type gumbelSoftmaxGradTau[T layout.Float] struct {
	base
	forward *gumbelSoftmax[T]
	tau     *G.Node
}

func (o *gumbelSoftmaxGradTau[T]) Do(in ...G.Value) (G.Value, error) {
	if !o.asked() {
		return layout.Value(o.shape, []T{0}), nil
	}
	grad, err := read[T](&o.base, "its gradient", in[len(in)-1], o.forward.shape)
	if err != nil {
		return nil, err
	}
	tau, err := o.forward.gradTau(in[:len(in)-2], grad)
	if err != nil {
		return nil, err
	}
	return layout.Value(o.shape, []T{tau}), nil
}

// asked tells whether somebody wants the gradient: see gradOp.
func (o *gumbelSoftmaxGradTau[T]) asked() bool { return o.tau.Deriv() != nil }
