package ops

import (
	"fmt"
	"math"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/layout"
)

// An Option changes how a node is built. One that does not apply to an op is
// an error of its constructor.
type Option struct {
	name  string
	apply func(*config) error
}

// config is what the options of a constructor come to.
type config struct {
	op                string
	source            *Source
	axis              int
	classes           int
	hard              bool
	noise             *G.Node
	deterministicEval bool
	loc, scale        float64
}

// WithSource takes the node's random choices from a source, in place of the
// package's own, which is randomly seeded.
func WithSource(s *Source) Option {
	return Option{"WithSource", func(c *config) error {
		if s == nil {
			return fmt.Errorf("the source is nil: make one with NewSource")
		}
		c.source = s
		return nil
	}}
}

// WithAxis lays the classes of a distribution along an axis; a negative one
// counts from the end. The default is -1, the last.
func WithAxis(axis int) Option {
	return Option{"WithAxis", func(c *config) error {
		c.axis = axis
		return nil
	}}
}

// WithClasses makes blocks of k consecutive classes out of the last axis, each
// a distribution of its own: logits of shape (B, N·k) are N distributions a
// row.
func WithClasses(k int) Option {
	return Option{"WithClasses", func(c *config) error {
		if k < 1 {
			return fmt.Errorf("a distribution of %d classes: give at least 1", k)
		}
		c.classes = k
		return nil
	}}
}

// WithHard makes the sample exactly one-hot going forward and leaves it the
// soft sample's gradient: the straight-through estimator (Jang, Gu and Poole
// 2017, section 2.2).
func WithHard() Option {
	return Option{"WithHard", func(c *config) error {
		c.hard = true
		return nil
	}}
}

// WithNoise adds a node's values in place of drawn noise: frozen, shared or
// imported noise, of the logits' shape and dtype. It gets the logits' gradient.
func WithNoise(noise *G.Node) Option {
	return Option{"WithNoise", func(c *config) error {
		if noise == nil {
			return fmt.Errorf("the noise is nil")
		}
		c.noise = noise
		return nil
	}}
}

// WithDeterministicEval leaves the noise out under gorgonia.EvalMode: a soft
// sample is then softmax(logits/tau), a hard one the mode. Gorgonia keeps the
// mode in the op, set by the last machine made: give training and evaluation
// graphs of their own, and not by Clone or SubgraphRoots, which share the ops.
func WithDeterministicEval() Option {
	return Option{"WithDeterministicEval", func(c *config) error {
		c.deterministicEval = true
		return nil
	}}
}

// WithLoc adds a location to the noise of Gumbel and GumbelLike. The default
// is 0.
func WithLoc(loc float64) Option {
	return Option{"WithLoc", func(c *config) error {
		if math.IsNaN(loc) || math.IsInf(loc, 0) {
			return fmt.Errorf("the location is %v: give a finite number", loc)
		}
		c.loc = loc
		return nil
	}}
}

// WithScale multiplies the noise of Gumbel and GumbelLike. The default is 1.
func WithScale(scale float64) Option {
	return Option{"WithScale", func(c *config) error {
		if !(scale > 0) || math.IsInf(scale, 0) {
			return fmt.Errorf("the scale is %v: give a positive, finite number", scale)
		}
		c.scale = scale
		return nil
	}}
}

// configure applies the options of an op, which takes those of the names.
func configure(op string, opts []Option, names ...string) (config, error) {
	c := config{op: op, source: defaultSource, axis: -1, scale: 1}
	for _, opt := range opts {
		if !slices.Contains(names, opt.name) {
			return c, fmt.Errorf("ops: %s: option %q does not apply to it; these do: %v", op, opt.name, names)
		}
		if err := opt.apply(&c); err != nil {
			return c, fmt.Errorf("ops: %s: %s: %w", op, opt.name, err)
		}
	}
	return c, nil
}

// distributions lays the distributions in an array.
func (c config) distributions(shape tensor.Shape) (layout.Distributions, error) {
	d, err := layout.Along(shape, c.axis, c.classes)
	if err != nil {
		return d, fmt.Errorf("ops: %s: %w", c.op, err)
	}
	return d, nil
}
