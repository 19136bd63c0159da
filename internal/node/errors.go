package node

import (
	"errors"
	"fmt"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

// A Problem is what is wrong with an element of an input in a run. An op returns
// one from Forward or Backward, without Op and ID, or lets a kernel's error
// become one.
type Problem struct {
	Op    string // of the constructor
	ID    uint64 // of the node
	Input string
	Index int     // of the element, in row-major order; of the first class if the whole distribution is meant
	Value float64 // of the element
	Text  string  // what is wrong, and what to do
}

func (p *Problem) Error() string { return fmt.Sprintf("%s#%d: %s", p.Op, p.ID, p.Text) }

// explain turns what an op returns into the error of a run.
func (b *base) explain(s *Spec, err error) error {
	if err == nil {
		return nil
	}
	var p *Problem
	var bad *kernel.InputError
	switch {
	case errors.As(err, &p):
	case errors.As(err, &bad):
		p = s.problem(bad)
	default:
		return b.errorf("%w", err)
	}
	p.Op, p.ID = s.Name, b.id
	if s.InputError == nil {
		return fmt.Errorf("%s: %w", s.Package, p)
	}
	return s.InputError(p)
}

// problem turns a kernel's error into one that names the input and the element.
func (s *Spec) problem(bad *kernel.InputError) *Problem {
	first, second := s.array(0), s.array(1)
	d := s.Distributions
	if d.Shape == nil {
		d.Shape = s.Inputs[0].Node.Shape()
	}
	at := d.Element(bad.Index)
	p := &Problem{Input: first, Index: bad.Index, Value: bad.Value}
	switch bad.Problem {
	case kernel.BadFirst:
		p.Text = fmt.Sprintf("%s%s is %v", first, at, bad.Value)
	case kernel.BadSecond:
		p.Input = second
		p.Text = fmt.Sprintf("%s%s is %v", second, at, bad.Value)
	case kernel.Overflow:
		p.Text = fmt.Sprintf("%s%s + %s%s is outside the range of %v", first, at, second, at, s.Dtype)
	case kernel.AllMasked:
		p.Text = fmt.Sprintf("%s%s are all -Inf: leave one class unmasked", first, d.Whole(bad.Index))
	case kernel.AllMaskedSecond:
		p.Input = second
		p.Text = fmt.Sprintf("%s%s are all -Inf: leave one class unmasked", second, d.Whole(bad.Index))
	case kernel.Infinite:
		p.Input = second
		p.Text = fmt.Sprintf("%s%s is %v but %s%s is not, so the divergence is infinite: mask the class in both", second, at, bad.Value, first, at)
	case kernel.InfiniteKL:
		p.Input = second
		p.Text = fmt.Sprintf("%s%s is %v but %s%s is not, so the divergence is infinite: bound the logit", second, at, bad.Value, first, at)
	case kernel.MaskedValue:
		p.Input = second
		p.Text = fmt.Sprintf("%s%s is %v but %s%s is -Inf, so the log-probability is infinite: unmask the class", second, at, bad.Value, first, at)
	case kernel.MaskedSample:
		p.Input = second
		p.Text = fmt.Sprintf("%s%s is %v but %s%s is -Inf, so the density is 0: set the value to -Inf or unmask the class", second, at, bad.Value, first, at)
	case kernel.UnmaskedSample:
		p.Input = second
		p.Text = fmt.Sprintf("%s%s is %v but %s%s is not, so the density is undefined: draw the sample in log space", second, at, bad.Value, first, at)
	case kernel.OutOfRange:
		p.Input = second
		p.Text = fmt.Sprintf("%s%s − tau·%s%s is outside the range of %v", first, at, second, at, s.Dtype)
	case kernel.ZeroDensity:
		p.Input = second
		p.Text = fmt.Sprintf("%s%s is %v but %s%s makes another outcome certain, so the density is 0: bound the logit", second, at, bad.Value, first, at)
	case kernel.InfiniteLoss:
		target := 0
		if bad.Value > 0 {
			target = 1
		}
		p.Text = fmt.Sprintf("%s%s is %v but %s%s is not %d, so the loss is infinite: bound the logit", first, at, bad.Value, second, at, target)
	default:
		p.Text = fmt.Sprintf("%s%s is %v: problem %d", first, at, bad.Value, bad.Problem)
	}
	return p
}

// array returns the name of a kernel's array.
func (s *Spec) array(i int) string {
	if s.Arrays != nil {
		return s.Arrays[i]
	}
	if i < len(s.Inputs) {
		return s.Inputs[i].Name
	}
	return ""
}
