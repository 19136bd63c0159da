package optest

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// A Layout is a shape and where its distributions lie.
type Layout struct {
	Shape   tensor.Shape
	Axis    int
	Classes int  // for WithClasses; 0: WithAxis
	Default bool // neither option: the last axis
}

// layouts returns small shapes of ranks 1 to 4, with every axis counted from both
// ends. An op without an axis needs only one layout per shape.
func layouts(axes bool) (all []Layout) {
	for _, shape := range []tensor.Shape{{4}, {3, 4}, {2, 3, 2}, {2, 2, 3, 2}, {3, 1}} {
		all = append(all, Layout{Shape: shape, Axis: -1, Default: true})
		for axis := -shape.Dims(); axes && axis < shape.Dims(); axis++ {
			all = append(all, Layout{Shape: shape, Axis: axis})
		}
	}
	if !axes {
		return all
	}
	return append(all,
		Layout{Shape: tensor.Shape{6}, Classes: 3},
		Layout{Shape: tensor.Shape{2, 6}, Classes: 2},
		Layout{Shape: tensor.Shape{2, 2, 6}, Classes: 3},
		Layout{Shape: tensor.Shape{1, 2, 2, 4}, Classes: 4},
		Layout{Shape: tensor.Shape{2, 3}, Classes: 1},
	)
}

// alongLast is a layout of one shape, with the classes along the last axis.
func alongLast(shape ...int) Layout { return Layout{Shape: shape, Axis: -1, Default: true} }

func (l Layout) String() string {
	switch {
	case l.Default:
		return fmt.Sprint(l.Shape)
	case l.Classes > 0:
		return fmt.Sprintf("%v blocks of %d", l.Shape, l.Classes)
	}
	return fmt.Sprintf("%v axis %d", l.Shape, l.Axis)
}

// options returns the options of an op for the layout.
func (l Layout) options() []ops.DistributionOption {
	switch {
	case l.Default:
		return nil
	case l.Classes > 0:
		return []ops.DistributionOption{ops.WithClasses(l.Classes)}
	}
	return []ops.DistributionOption{ops.WithAxis(l.Axis)}
}

// Distributions returns the indices of the elements of each distribution.
func (l Layout) Distributions() [][]int {
	if l.Classes > 0 {
		return distributions(tensor.Shape{l.Shape.TotalSize() / l.Classes, l.Classes}, -1)
	}
	return distributions(l.Shape, l.Axis)
}

// distributions returns the indices of each distribution along an axis.
func distributions(shape tensor.Shape, axis int) [][]int {
	axis = (axis + shape.Dims()) % shape.Dims()
	inner := shape[axis+1:].TotalSize()
	var all [][]int
	for first := range shape.TotalSize() {
		if first/inner%shape[axis] != 0 {
			continue
		}
		d := make([]int, shape[axis])
		for k := range d {
			d[k] = first + k*inner
		}
		all = append(all, d)
	}
	return all
}

// mask sets one class of each distribution to -Inf, and in every third all but one.
func (l Layout) mask(data []float64) {
	for r, d := range l.Distributions() {
		keep := len(d) - 1
		if r%3 == 2 {
			keep = 1
		}
		for k := max(keep, 1); k < len(d); k++ {
			data[d[(r+k)%len(d)]] = math.Inf(-1)
		}
	}
}
