package solver

import (
	"errors"
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

// Adam is a gorgonia.Solver: algorithm 1 of Kingma and Ba, "Adam: A Method for
// Stochastic Optimization" (2015). With the gradient g of step t = 1, 2, …
//
//	m ← β₁·m + (1 − β₁)·g
//	s ← β₂·s + (1 − β₂)·g²
//	w ← w − rate · m/(1 − β₁ᵗ) / (√(s/(1 − β₂ᵗ)) + ε)
//
// for each weight w, in the dtype of the weights, float32 or float64. The bits
// of the result depend neither on the number of threads nor on the vector
// instructions in use.
//
// Make one with [NewAdam]. A copy of an Adam is the same solver: both share one
// state. An Adam is for one goroutine at a time.
//
// # Saving
//
// Adam marshals with MarshalBinary, encoding/json and encoding/gob, as a pointer
// or a value, alone or as the field of a struct. The state holds the number of
// steps, the moments m and s, the learning rate, the other parameters, and
// whether there was a schedule. It does not hold the weights.
//
// A schedule is code and cannot be saved. Unmarshalling keeps the schedule of
// the Adam that it writes to. If the saved Adam had a schedule and the other has
// none, Step returns an error until SetSchedule or SetLearningRate is called.
//
// # The order of tensors
//
// Moments belong to the positions of the slice that Step gets, as in Gorgonia's
// solvers. Pass the same tensors in the same order in each call, also after
// resuming. Step finds tensors of another number, shape or dtype, but cannot
// tell apart two tensors of one shape that have changed places.
//
// # NaN
//
// A NaN or infinite gradient makes its weight and its moments NaN for good, as
// in Gorgonia's solvers and in PyTorch. [WithGradientCheck] turns one into an
// error.
type Adam struct{ s *state }

// state is all of an Adam, so that copies share it.
type state struct {
	rate, beta1, beta2, epsilon float64

	schedule      func(step int) float64 // replaces rate; may be nil
	needsSchedule bool                   // the saved Adam had one, this has none yet
	checks        bool

	steps   int
	tensors []moments // nil before the first step
}

var errUnmade = errors.New("not made by NewAdam")

// NewAdam returns a solver that has taken no step. By default the learning rate
// is 1e-3, β₁ and β₂ are 0.9 and 0.999, and ε is 1e-8.
//
// It is an error if an option has a value out of its range.
func NewAdam(opts ...Option) (*Adam, error) {
	c := config{state: state{rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8}}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("solver: NewAdam: option %d is nil", i)
		}
		if err := opt(&c); err != nil {
			return nil, fmt.Errorf("solver: NewAdam: %w", err)
		}
	}
	if c.hasRate && c.schedule != nil {
		return nil, errors.New("solver: NewAdam: WithLearningRate and WithSchedule are both given: use one")
	}
	return &Adam{&c.state}, nil
}

// Step updates the weights of a model by their gradients, in place, and then
// sets the gradients to 0, so that those of gorgonia.BindDualValues do not add
// up over runs. It leaves the gradients of a [FreshGradient] as they are.
//
// The model is a slice of gorgonia.NodesToValueGrads or of vm.Gradients. Values
// are dense tensors or scalars. Weights must be row-major in memory.
//
// After an error nothing has changed. It names the tensor if a value or gradient
// is missing, if its shape or dtype differs from that of the earlier steps or
// of the saved state, or, with WithGradientCheck, if a gradient is NaN or
// infinite. It is also an error if the schedule's learning rate is negative, NaN
// or infinite, or if a parameter has no use in the weights' dtype, such as an ε
// that is 0 in float32.
func (a *Adam) Step(model []G.ValueGrad) error {
	if a == nil || a.s == nil {
		return fmt.Errorf("solver: Adam.Step: %w", errUnmade)
	}
	if err := a.s.step(model); err != nil {
		return fmt.Errorf("solver: Adam.Step: %w", err)
	}
	return nil
}

// A FreshGradient is a gorgonia.ValueGrad that can tell that each run of a
// machine overwrites its gradient, as those of vm.Gradients do. Step then saves
// the time to set the gradient to 0.
type FreshGradient interface {
	G.ValueGrad
	FreshGradient() bool
}

func (s *state) step(model []G.ValueGrad) error {
	rate, err := s.nextRate()
	if err != nil {
		return err
	}
	tensors := s.tensors
	if tensors == nil {
		if tensors, err = newMoments(model); err != nil {
			return err
		}
	}
	if len(model) != len(tensors) {
		return fmt.Errorf("the model has %d tensors, want %d as in the earlier steps", len(model), len(tensors))
	}
	defer release(tensors)
	for i, n := range model {
		if err := tensors[i].load(n, s.checks); err != nil {
			return fmt.Errorf("%s: %w", describe(i, n), err)
		}
	}
	single, double, err := s.coefficients(tensors, rate)
	if err != nil {
		return err
	}
	s.tensors = tensors
	s.steps++
	for i := range tensors {
		tensors[i].update(single, double)
	}
	for i := range tensors { // after all updates, because tensors may share a gradient
		tensors[i].clearGradient()
	}
	return nil
}

// describe names a tensor of the model.
func describe(i int, n G.ValueGrad) string {
	if named, ok := n.(G.Namer); ok {
		return fmt.Sprintf("tensor %d (%s)", i, named.Name())
	}
	return fmt.Sprintf("tensor %d", i)
}

// coefficients returns the parameters of the next step, in the dtypes that the
// tensors have.
func (s *state) coefficients(tensors []moments, rate float64) (single kernel.Adam[float32], double kernel.Adam[float64], err error) {
	for _, t := range tensors {
		if t.dtype == tensor.Float32 {
			if single, err = coefficients[float32](s, rate); err != nil {
				return single, double, err
			}
			break
		}
	}
	double, err = coefficients[float64](s, rate)
	return single, double, err
}

func coefficients[T kernel.Float](s *state, rate float64) (kernel.Adam[T], error) {
	t := float64(s.steps + 1)
	k := kernel.Adam[T]{
		Beta1: T(s.beta1), Beta2: T(s.beta2), Epsilon: T(s.epsilon),
		Rate:         T(rate),
		UnbiasMean:   1 / T(1-math.Pow(s.beta1, t)),
		UnbiasSquare: 1 / T(1-math.Pow(s.beta2, t)),
	}
	switch {
	case k.Beta1 >= 1 || k.Beta2 >= 1:
		return k, fmt.Errorf("beta1 and beta2 are %v and %v, and one is 1 as a %T: use smaller ones", s.beta1, s.beta2, k.Beta1)
	case k.Epsilon == 0 || math.IsInf(float64(k.Epsilon), 0):
		return k, fmt.Errorf("epsilon is %v, which is %v as a %T", s.epsilon, k.Epsilon, k.Epsilon)
	case math.IsInf(float64(k.Rate), 0):
		return k, fmt.Errorf("the learning rate is %v, which is %v as a %T", rate, k.Rate, k.Rate)
	}
	return k, nil
}

// nextRate is the learning rate of the next step.
func (s *state) nextRate() (float64, error) {
	switch {
	case s.needsSchedule:
		return 0, errors.New("the saved solver had a schedule, which cannot be saved: call SetSchedule or SetLearningRate")
	case s.schedule == nil:
		return s.rate, nil
	}
	rate := s.schedule(s.steps)
	if err := checkRate(rate); err != nil {
		return 0, fmt.Errorf("the schedule at step %d: %w", s.steps, err)
	}
	return rate, nil
}

// Steps returns the number of steps taken, those before the state was saved
// included.
func (a *Adam) Steps() int {
	if a == nil || a.s == nil {
		return 0
	}
	return a.s.steps
}

// Shapes returns the shapes of the tensors, in the order of Step's model, or
// none before the first step. A program that resumes can compare them with its
// model.
func (a *Adam) Shapes() []tensor.Shape {
	if a == nil || a.s == nil {
		return nil
	}
	var all []tensor.Shape
	for _, t := range a.s.tensors {
		all = append(all, t.shape.Clone())
	}
	return all
}

// LearningRate returns the learning rate of the next step: the schedule's, if
// there is one. It is NaN if Step would return an error for the lack of a
// schedule.
func (a *Adam) LearningRate() float64 {
	switch {
	case a == nil || a.s == nil || a.s.needsSchedule:
		return math.NaN()
	case a.s.schedule != nil:
		return a.s.schedule(a.s.steps)
	}
	return a.s.rate
}

// SetLearningRate sets the learning rate of the following steps. It replaces a
// schedule. A rate that is negative, NaN or infinite is an error, and changes
// nothing.
func (a *Adam) SetLearningRate(rate float64) error {
	err := checkRate(rate)
	if a == nil || a.s == nil {
		err = errUnmade
	}
	if err != nil {
		return fmt.Errorf("solver: Adam.SetLearningRate: %w", err)
	}
	a.s.rate, a.s.schedule, a.s.needsSchedule = rate, nil, false
	return nil
}

// SetSchedule makes the following steps take their learning rate from a
// schedule, as [WithSchedule] does. A nil schedule is an error, and so is one
// whose rate for the next step is negative, NaN or infinite: nothing changes
// then.
func (a *Adam) SetSchedule(schedule func(step int) float64) error {
	var err error
	if a == nil || a.s == nil {
		err = errUnmade
	} else {
		err = checkSchedule(schedule, a.s.steps)
	}
	if err != nil {
		return fmt.Errorf("solver: Adam.SetSchedule: %w", err)
	}
	a.s.schedule, a.s.needsSchedule = schedule, false
	return nil
}
