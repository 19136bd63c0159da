package ops

import (
	"errors"
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// A GumbelSoftmaxOption is an option of GumbelSoftmax: any SampleOption or
// DistributionOption.
type GumbelSoftmaxOption interface {
	option() option
	gumbelSoftmax()
}

// A CategoricalOption is an option of Categorical: any DrawOption or
// DistributionOption.
type CategoricalOption interface {
	GumbelSoftmaxOption
	categorical()
}

// A DistributionOption says where the distributions lie in an array. Every op
// that has distributions takes it. By default the classes lie along the last
// axis.
type DistributionOption interface {
	CategoricalOption
	distribution()
}

// A SampleOption is an option of a sample, wherever its distributions lie.
// GumbelSoftmax, RelaxedBernoulli and layers.NewCategoricalLatent take it.
type SampleOption interface {
	GumbelSoftmaxOption
	sample()
}

// A DrawOption says how a sample is drawn. Every op that samples takes it.
type DrawOption interface {
	SampleOption
	CategoricalOption
	HardConcreteOption
}

// A HardConcreteOption is an option of HardConcrete: any DrawOption or StretchOption.
type HardConcreteOption interface {
	option() option
	hardConcrete()
}

// A StretchOption says how far gates are stretched. HardConcrete and HardConcreteOpen
// take it.
type StretchOption interface {
	HardConcreteOption
	stretch()
}

// A SourceOption selects the source of random numbers. Every random op takes it.
type SourceOption interface {
	DrawOption
	NoiseOption
}

// A NoiseOption is an option of Gumbel and GumbelLike: WithLoc, WithScale or
// WithSource.
type NoiseOption interface {
	option() option
	noise()
}

// An option implements every interface of options. Each function below returns it as the
// interface of the ops that take it.
type option struct {
	name  string
	apply func(*config) error
}

func (o option) option() option { return o }
func (option) gumbelSoftmax()   {}
func (option) categorical()     {}
func (option) distribution()    {}
func (option) sample()          {}
func (option) hardConcrete()    {}
func (option) stretch()         {}
func (option) noise()           {}

// config holds the options of a constructor.
type config struct {
	op                string
	source            *Source // nil: the default source
	axis              int
	classes           int
	hard              bool
	estimator         *Estimator // nil: that of a soft sample, or of WithHard
	logSpace          bool
	noise             *G.Node
	deterministicEval bool
	loc, scale        float64
	stretch           kernel.Stretch
}

// WithSource takes the node's random numbers from a source. By default they come
// from a source of the package, which is randomly seeded.
func WithSource(s *Source) SourceOption {
	return option{"WithSource", func(c *config) error {
		if s == nil {
			return errors.New("the source is nil: create one with NewSource")
		}
		c.source = s
		return nil
	}}
}

// WithAxis puts the classes along an axis; a negative axis counts from the end.
// The default is -1, the last.
func WithAxis(axis int) DistributionOption {
	return option{"WithAxis", func(c *config) error {
		c.axis = axis
		return nil
	}}
}

// WithClasses makes each block of k consecutive elements of the last axis a
// distribution: logits of shape (B, N·k) are N distributions per row.
func WithClasses(k int) DistributionOption {
	return option{"WithClasses", func(c *config) error {
		if k < 1 {
			return fmt.Errorf("k is %d, want at least 1", k)
		}
		c.classes = k
		return nil
	}}
}

// WithHard makes the sample exactly one-hot in the forward pass and keeps the
// gradient of the soft sample: the straight-through estimator (Jang, Gu and Poole
// 2017, section 2.2).
func WithHard() SampleOption {
	return option{"WithHard", func(c *config) error {
		c.hard = true
		return nil
	}}
}

// WithEstimator makes the sample exactly one-hot in the forward pass, as WithHard does,
// and selects the estimator of its gradient. The sample's bits do not depend on the
// estimator. WithHard beside it is an error, because it is StraightThroughGumbel.
func WithEstimator(e Estimator) SampleOption {
	return option{"WithEstimator", func(c *config) error {
		c.estimator = &e
		return e.check()
	}}
}

// WithLogSpace makes the sample the logarithm of the soft sample or, for RelaxedBernoulli,
// its logit. Both are finite where the soft sample underflows to 0. A masked class is
// -Inf. WithHard and WithEstimator
// beside it are errors.
func WithLogSpace() SampleOption {
	return option{"WithLogSpace", func(c *config) error {
		c.logSpace = true
		return nil
	}}
}

// WithNoise adds the values of a node instead of drawn noise: frozen, shared or
// imported noise, of the logits' shape and dtype. The node receives the logits'
// gradient, and a gradient of 0 in a run without noise. It receives none beside
// WithEstimator, except with StraightThroughGumbel. WithSource beside it is an error,
// because nothing is drawn, except with GumbelRao, which draws further noise.
func WithNoise(noise *G.Node) DrawOption {
	return option{"WithNoise", func(c *config) error {
		if noise == nil {
			return errors.New("the noise is nil")
		}
		c.noise = noise
		return nil
	}}
}

// WithDeterministicEval leaves the noise out under gorgonia.EvalMode: a soft
// sample is then softmax(logits/tau), a hard one the mode, a RelaxedBernoulli
// sigmoid(logits/tau), and a HardConcrete the paper's estimate at test time. The machine created
// last decides EvalMode for the whole graph: build one graph for training and
// another for evaluation. Clone and SubgraphRoots do not help, because they share
// the ops.
func WithDeterministicEval() DrawOption {
	return option{"WithDeterministicEval", func(c *config) error {
		c.deterministicEval = true
		return nil
	}}
}

// WithStretch stretches gates to the interval from gamma to zeta before they are clamped
// to [0, 1]. A wider interval has more gates of exactly 0 and 1. The default is -0.1 to
// 1.1. gamma must be negative and zeta greater than 1.
func WithStretch(gamma, zeta float64) StretchOption {
	return option{"WithStretch", func(c *config) error {
		if !(gamma < 0) || math.IsInf(gamma, 0) {
			return fmt.Errorf("gamma is %v, want a negative, finite number", gamma)
		}
		if !(zeta > 1) || math.IsInf(zeta, 0) {
			return fmt.Errorf("zeta is %v, want a finite number greater than 1", zeta)
		}
		c.stretch = kernel.Stretch{Gamma: gamma, Zeta: zeta}
		return nil
	}}
}

// WithLoc adds a location to the noise. The default is 0.
func WithLoc(loc float64) NoiseOption {
	return option{"WithLoc", func(c *config) error {
		if math.IsNaN(loc) || math.IsInf(loc, 0) {
			return fmt.Errorf("the location is %v, want a finite number", loc)
		}
		c.loc = loc
		return nil
	}}
}

// WithScale multiplies the noise. The default is 1.
func WithScale(scale float64) NoiseOption {
	return option{"WithScale", func(c *config) error {
		if !(scale > 0) || math.IsInf(scale, 0) {
			return fmt.Errorf("the scale is %v, want a positive, finite number", scale)
		}
		c.scale = scale
		return nil
	}}
}

// configure applies the options of an op.
func configure[O interface{ option() option }](op string, opts []O) (config, error) {
	c := config{op: op, axis: -1, scale: 1, stretch: kernel.Stretch{Gamma: -0.1, Zeta: 1.1}}
	for i, o := range opts {
		if any(o) == nil {
			return c, c.errorf("option %d is nil", i)
		}
		if err := o.option().apply(&c); err != nil {
			return c, c.errorf("%s: %w", o.option().name, err)
		}
	}
	return c, c.checkTogether()
}

// checkTogether returns an error if options exclude each other.
func (c config) checkTogether() error {
	switch {
	case c.hard && c.estimator != nil:
		return c.errorf("WithHard has no effect beside WithEstimator: leave it out")
	case c.logSpace && c.hard:
		return c.errorf("WithLogSpace does not apply to the hard sample of WithHard: leave one out")
	case c.logSpace && c.estimator != nil:
		return c.errorf("WithLogSpace does not apply to the hard sample of WithEstimator: leave one out")
	case c.noise != nil && c.source != nil && !c.drawsMore():
		return c.errorf("WithSource has no effect beside WithNoise: leave one out")
	}
	return nil
}

// drawsMore reports whether the estimator draws noise besides that of the sample.
func (c config) drawsMore() bool { return c.estimator != nil && c.estimator.kind == gumbelRao }

// errorf returns an error of the constructor.
func (c config) errorf(format string, args ...any) error {
	return fmt.Errorf("ops: "+c.op+": "+format, args...)
}

// checkStretch returns an error if the width of the stretch is not a number of dt.
func (c config) checkStretch(dt tensor.Dtype) error {
	if c.stretch.Zeta-c.stretch.Gamma > greatest(dt) {
		return c.errorf("WithStretch: the interval from %v to %v leaves the range of %v", c.stretch.Gamma, c.stretch.Zeta, dt)
	}
	return nil
}

// greatest returns the greatest number of a dtype.
func greatest(dt tensor.Dtype) float64 {
	if dt == tensor.Float32 {
		return math.MaxFloat32
	}
	return math.MaxFloat64
}

// distributions says where the distributions lie in an array.
func (c config) distributions(shape tensor.Shape) (layout.Distributions, error) {
	d, err := layout.Along(shape, c.axis, c.classes)
	if err != nil {
		return d, c.errorf("%w", err)
	}
	return d, nil
}

// reduced is distributions for an op with one value per distribution, which needs at
// least one class.
func (c config) reduced(shape tensor.Shape, name string) (layout.Distributions, error) {
	d, err := c.distributions(shape)
	if err == nil && d.Classes == 0 {
		err = c.errorf("%s has shape %v, want at least one class", name, shape)
	}
	return d, err
}
