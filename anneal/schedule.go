// Package anneal provides temperature schedules, and a Gorgonia node that follows
// one, because training with Gumbel-softmax samples usually lowers the temperature.
package anneal

import "math"

// Schedule returns a value, such as a temperature or a learning rate, for each
// step of training. A Schedule is pure: it keeps no state, so the same step has
// the same value in any order of calls, and a resumed run needs only its step
// number. The schedules of this package take a negative step as 0.
//
// The constructors accept any arguments and return no error. A Temperature
// checks the values when they are used.
type Schedule func(step int) float64

// Constant returns the schedule that is v at every step.
func Constant(v float64) Schedule {
	return func(int) float64 { return v }
}

// Exponential returns an exponential decay:
//
//	s(t) = from · exp(−rate·t)
//
// The rate is per step. Give the decay a floor with [Schedule.AtLeast].
func Exponential(from, rate float64) Schedule {
	return func(step int) float64 {
		return from * math.Exp(-rate*float64(max(step, 0)))
	}
}

// Linear returns a straight line, then its end value:
//
//	s(t) = to + (from − to)·(1 − t/steps)   for t < steps
//	s(t) = to                               after that
//
// The end values s(0) = from and s(steps) = to are exact. If steps ≤ 0, the
// schedule is to from the start.
func Linear(from, to float64, steps int) Schedule {
	return between(from, to, steps, func(done float64) float64 { return 1 - done })
}

// Cosine returns half a period of a cosine, then its end value:
//
//	s(t) = to + (from − to)·(1 + cos(π·t/steps))/2   for t < steps
//	s(t) = to                                        after that
//
// The end values s(0) = from and s(steps) = to are exact. If steps ≤ 0, the
// schedule is to from the start. Source: Loshchilov & Hutter, "SGDR: Stochastic
// Gradient Descent with Warm Restarts" (2017), equation 5, without restarts.
func Cosine(from, to float64, steps int) Schedule {
	return between(from, to, steps, func(done float64) float64 {
		return (1 + math.Cos(math.Pi*done)) / 2
	})
}

// Polynomial returns polynomial decay, then its end value:
//
//	s(t) = to + (from − to)·(1 − t/steps)^power   for t < steps
//	s(t) = to                                     after that
//
// The end values s(0) = from and s(steps) = to are exact. If steps ≤ 0, the
// schedule is to from the start. A power of 1 is Linear. A power ≤ 0 follows the
// formula but does not approach to; it jumps there. Source: polynomial_schedule
// of optax.
func Polynomial(from, to, power float64, steps int) Schedule {
	return between(from, to, steps, func(done float64) float64 {
		return math.Pow(1-done, power)
	})
}

// between goes from one value to the other as left, of the fraction of the
// steps done, falls from 1 to 0. The ends are set
// explicitly because rounding, or a left that does not fall, would miss them.
func between(from, to float64, steps int, left func(done float64) float64) Schedule {
	return func(step int) float64 {
		step = max(step, 0)
		switch {
		case step >= steps:
			return to
		case step == 0:
			return from
		}
		return to + (from-to)*left(float64(step)/float64(steps))
	}
}
