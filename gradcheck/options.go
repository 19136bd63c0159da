package gradcheck

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/diff/fd"
	G "gorgonia.org/gorgonia"
)

// An Option changes what Check does.
type Option func(*config) error

type config struct {
	build       Build
	surrogate   Build // nil: build itself
	seed        uint64
	tolerance   float64
	step        float64
	maxElements int // per input; 0: all
	lisp        bool
	machine     []G.VMOpt
}

func newConfig(build Build, opts []Option) (*config, error) {
	if build == nil {
		return nil, errors.New("build is nil")
	}
	c := &config{build: build, seed: 1, tolerance: 1e-6, step: fd.Central.Step, lisp: !G.CUDA}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("option %d is nil", i)
		}
		if err := opt(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// WithSeed sets the seed of the source that build gets. The default is 1.
func WithSeed(seed uint64) Option {
	return func(c *config) error {
		c.seed = seed
		return nil
	}
}

// WithTolerance sets how much a derivative may differ from the central
// difference d, relative to max(1, |d|). The default is 1e-6.
func WithTolerance(tolerance float64) Option {
	return func(c *config) error {
		c.tolerance = tolerance
		return positive("WithTolerance", tolerance)
	}
}

// WithStep sets the step h of the central differences. The default, 6e-6, suits
// inputs of magnitude 1: the error of a central difference grows with h² and
// with the rounding error of the cost divided by h.
func WithStep(h float64) Option {
	return func(c *config) error {
		c.step = h
		return positive("WithStep", h)
	}
}

func positive(option string, v float64) error {
	if !(v > 0) || math.IsInf(v, 0) {
		return fmt.Errorf("%s: %v, want a finite number above 0", option, v)
	}
	return nil
}

// WithSurrogate takes the finite differences of another cost. It is for
// straight-through ops, whose output has jumps: their gradient is defined as
// that of a smooth function, which surrogate builds. It must list inputs of the
// same shapes in the same order.
func WithSurrogate(surrogate Build) Option {
	return func(c *config) error {
		if surrogate == nil {
			return errors.New("WithSurrogate: build is nil")
		}
		c.surrogate = surrogate
		return nil
	}
}

// WithMaxElements checks at most n elements of each input, spread evenly over
// it and the same in every call. All infinite elements are still checked to
// have the gradient 0.
func WithMaxElements(n int) Option {
	return func(c *config) error {
		if n < 1 {
			return fmt.Errorf("WithMaxElements: %d, want at least 1", n)
		}
		c.maxElements = n
		return nil
	}
}

// WithoutLispMachine leaves the LispMachine out. It is for graphs that Gorgonia
// refuses to run there, because the cost is not their only output, and for ops
// without gorgonia.ADOp.
func WithoutLispMachine() Option {
	return func(c *config) error {
		c.lisp = false
		return nil
	}
}

// WithEvalMode opens all machines with gorgonia.EvalMode.
func WithEvalMode() Option {
	return func(c *config) error {
		c.machine = append(c.machine, G.EvalMode())
		return nil
	}
}
