package kernel

import (
	"fmt"
	"math"
)

// Problem is what is wrong with an element of an input.
type Problem int

// The problems of inputs.
const (
	BadFirst        Problem = iota // the element of the first array (a logit) is not allowed
	BadSecond                      // that of the second one is not (noise, a target, a logit of p)
	Overflow                       // their sum is out of range
	AllMasked                      // every logit of the distribution is -Inf
	AllMaskedSecond                // every logit of p's distribution is -Inf
	Infinite                       // q allows a class that p does not
	InfiniteKL                     // p is certain of an outcome that q is not certain of
	MaskedValue                    // the value is not 0 where the logits mask the class
	MaskedSample                   // the sample in log space is not -Inf where the logits mask the class
	UnmaskedSample                 // it is -Inf where they do not
	OutOfRange                     // the logit less tau times the sample is out of range
	ZeroDensity                    // the value is not the outcome that an infinite logit makes certain
	InfiniteLoss                   // the logit is infinite and the target is another probability
)

// An InputError says which element of an input a kernel cannot use. Index is the
// element's index in the array. If the problem is with a whole distribution, it is the
// index of the first class.
type InputError struct {
	Index   int
	Problem Problem
	Value   float64
}

func (e *InputError) Error() string {
	return fmt.Sprintf("kernel: problem %d with element %d: %v", e.Problem, e.Index, e.Value)
}

// elementError returns the error about a sum of logit and noise that is NaN or +Inf.
func elementError[T Float](index int, logit, noise T) *InputError {
	l, n := float64(logit), float64(noise)
	switch {
	case math.IsNaN(l) || math.IsInf(l, 1):
		return &InputError{index, BadFirst, l}
	case math.IsNaN(n) || math.IsInf(n, 1):
		return &InputError{index, BadSecond, n}
	default:
		return &InputError{index, Overflow, l + n}
	}
}
