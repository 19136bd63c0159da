package solver

import (
	"errors"
	"fmt"
	"math"
)

// An Option is a parameter of NewAdam.
type Option func(*config) error

type config struct {
	state
	hasRate bool
}

// WithLearningRate sets the learning rate: finite and at least 0. The default is
// 1e-3.
func WithLearningRate(rate float64) Option {
	return func(c *config) error {
		c.rate, c.hasRate = rate, true
		return checkRate(rate)
	}
}

// WithSchedule takes the learning rate of each step from a function of the step,
// counted from 0, such as an anneal.Schedule. Its values must be finite and at
// least 0.
func WithSchedule(schedule func(step int) float64) Option {
	return func(c *config) error {
		c.schedule = schedule
		return checkSchedule(schedule, 0)
	}
}

// WithBetas sets the decay rates β₁ and β₂ of the two moments: from 0 to below
// 1. The defaults are 0.9 and 0.999.
func WithBetas(beta1, beta2 float64) Option {
	return func(c *config) error {
		c.beta1, c.beta2 = beta1, beta2
		return checkBetas(beta1, beta2)
	}
}

// WithEpsilon sets the ε that is added to the denominator: finite and above 0.
// The default is 1e-8.
func WithEpsilon(epsilon float64) Option {
	return func(c *config) error {
		c.epsilon = epsilon
		return checkEpsilon(epsilon)
	}
}

// WithGradientCheck makes Step return an error, and change nothing, if a
// gradient is NaN or infinite. It reads each gradient a second time: about
// 0.8 ns per element.
func WithGradientCheck() Option {
	return func(c *config) error {
		c.checks = true
		return nil
	}
}

func checkRate(rate float64) error {
	if !(rate >= 0) || math.IsInf(rate, 0) {
		return fmt.Errorf("the learning rate is %v, want a finite number of at least 0", rate)
	}
	return nil
}

func checkSchedule(schedule func(step int) float64, step int) error {
	if schedule == nil {
		return errors.New("the schedule is nil")
	}
	if err := checkRate(schedule(step)); err != nil {
		return fmt.Errorf("the schedule at step %d: %w", step, err)
	}
	return nil
}

func checkBetas(beta1, beta2 float64) error {
	for i, beta := range []float64{beta1, beta2} {
		if !(beta >= 0 && beta < 1) {
			return fmt.Errorf("beta%d is %v, want a number from 0 to below 1", i+1, beta)
		}
	}
	return nil
}

func checkEpsilon(epsilon float64) error {
	if !(epsilon > 0) || math.IsInf(epsilon, 0) {
		return fmt.Errorf("epsilon is %v, want a finite number above 0", epsilon)
	}
	return nil
}
