package ops

import (
	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// logGumbelSoftmax is the logarithm of a soft sample.
type logGumbelSoftmax[T kernel.Float] struct{ gumbelSoftmax[T] }

// Saves asks for the sample.
func (o logGumbelSoftmax[T]) Saves(wanted func(gradient int) bool) int {
	if wanted(gradLogits) || wanted(gradTau) || wanted(gradNoise) {
		return o.dims.Size()
	}
	return 0
}

func (o logGumbelSoftmax[T]) Forward(a node.Args[T], out, saved []T) error {
	s, err := o.sampler(a)
	if err != nil {
		return err
	}
	err = s.Log(out)
	copy(saved, out)
	return err
}

func (o logGumbelSoftmax[T]) Backward(a node.Args[T], gradient int, dst, saved, grad []T) error {
	s, err := o.sampler(a)
	if err != nil {
		return err
	}
	switch {
	case gradient == gradTau:
		dst[0] = T(s.GradLogTau(saved, grad))
	case gradient == gradNoise && a.Draw() < 0:
		clear(dst)
	default:
		s.GradLog(dst, saved, grad)
	}
	return nil
}

// planLog returns the sample, and what draws its noise.
func (o logGumbelSoftmax[T]) planLog(d node.Device, out plan.Pointer) (s plan.Sample, draw []plan.Launch) {
	s = o.planSample(d, out)
	if o.stream != nil {
		s.Noise = d.Scratch(d.Size() * s.Float.Size())
		draw = []plan.Launch{plan.Gumbel(s.Float, s.Noise, s.Draw, s.Key, d.Size(), 0, 1)}
	}
	return s, draw
}

func (o logGumbelSoftmax[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	s, draw := o.planLog(d, out)
	return append(draw, s.LogSoft())
}

// PlanBackward computes the sample again.
func (o logGumbelSoftmax[T]) PlanBackward(d node.Device, gradient int, dst, grad plan.Pointer) []plan.Launch {
	s, launches := o.planLog(d, dst)
	s.Grad = grad
	if gradient == gradTau {
		s.Scratch = d.Scratch(8 * o.dims.Rows())
		return append(launches, s.GradLogTau()...)
	}
	return zeroWithoutNoise[T](d, gradient, dst, append(launches, s.GradLog())...)
}
