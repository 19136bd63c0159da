// Package layout reads and writes Gorgonia values as contiguous slices, and says
// where the distributions lie in an array.
package layout

import (
	"fmt"
	"strings"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

// Distributions says where the distributions lie in an array of some shape:
// along one axis, or in blocks of consecutive classes of the last axis.
type Distributions struct {
	Shape tensor.Shape
	kernel.Dims

	axis   int
	blocks bool
}

// Along puts distributions along an axis; a negative axis counts from the end.
// If classes is positive, the axis must be the last, and each block of that many
// elements is a distribution.
func Along(shape tensor.Shape, axis, classes int) (Distributions, error) {
	rank := len(shape)
	if rank == 0 {
		return Distributions{}, fmt.Errorf("a scalar has no axis of classes")
	}
	resolved := axis
	if axis < 0 {
		resolved += rank
	}
	if resolved < 0 || resolved >= rank {
		return Distributions{}, fmt.Errorf("axis %d is out of range for shape %v", axis, shape)
	}
	d := Distributions{Shape: shape.Clone(), Dims: kernel.Dims{Outer: 1, Classes: shape[resolved], Inner: 1}, axis: resolved}
	for _, n := range shape[:resolved] {
		d.Outer *= n
	}
	for _, n := range shape[resolved+1:] {
		d.Inner *= n
	}
	if classes == 0 {
		return d, nil
	}
	if resolved != rank-1 {
		return Distributions{}, fmt.Errorf("axis %d of %d: blocks of classes must lie along the last axis", axis, rank)
	}
	if d.Classes%classes != 0 {
		return Distributions{}, fmt.Errorf("%d classes do not divide the last axis of shape %v", classes, shape)
	}
	d.Outer *= d.Classes / classes
	d.Classes, d.blocks = classes, true
	return d, nil
}

// RowSize returns the number of elements per index of the first axis, or 0 if the
// distributions lie along that axis.
func (d Distributions) RowSize() int {
	if d.axis == 0 {
		return 0
	}
	return Size(d.Shape[1:])
}

// Reduced returns the shape of an array with one element per distribution.
func (d Distributions) Reduced() tensor.Shape {
	if d.blocks {
		shape := d.Shape.Clone()
		shape[d.axis] /= d.Classes
		return shape
	}
	shape := make(tensor.Shape, 0, len(d.Shape))
	shape = append(shape, d.Shape[:d.axis]...)
	return append(shape, d.Shape[d.axis+1:]...)
}

// Blocks returns how many blocks of classes the last axis has, or 1 if the distributions
// lie along an axis.
func (d Distributions) Blocks() int {
	if d.blocks {
		return d.Shape[d.axis] / d.Classes
	}
	return 1
}

// PerBlock returns the shape of an array with one element per block: a vector, or a
// scalar if the distributions lie along an axis.
func (d Distributions) PerBlock() tensor.Shape {
	if d.blocks {
		return tensor.Shape{d.Blocks()}
	}
	return tensor.ScalarShape()
}

// Element returns the coordinates of the element at an index: [3,0].
func (d Distributions) Element(index int) string { return Coordinates(d.Shape, index) }

// Whole returns the coordinates of the distribution whose first class is at an
// index: [3,:], or, for a block, [3,20:30].
func (d Distributions) Whole(index int) string {
	parts := coordinates(d.Shape, index)
	if d.blocks {
		first := index % d.Shape[d.axis]
		parts[d.axis] = fmt.Sprintf("%d:%d", first, first+d.Classes)
	} else {
		parts[d.axis] = ":"
	}
	return bracket(parts)
}

// Coordinates returns the coordinates of the element at an index: [3,0], or an
// empty string for a scalar.
func Coordinates(shape tensor.Shape, index int) string { return bracket(coordinates(shape, index)) }

func bracket(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func coordinates(shape tensor.Shape, index int) []string {
	parts := make([]string, len(shape))
	for axis := len(shape) - 1; axis >= 0; axis-- {
		parts[axis] = fmt.Sprint(index % shape[axis])
		index /= shape[axis]
	}
	return parts
}

// Size returns the number of elements of a shape; a scalar has one.
func Size(shape tensor.Shape) int {
	size := 1
	for _, n := range shape {
		size *= n
	}
	return size
}

// Slice returns the elements of a value in row-major order: the value's memory if
// it is in that order, which is the rule, else a copy.
func Slice[T kernel.Float](v G.Value, shape tensor.Shape) ([]T, error) {
	if v == nil {
		return nil, fmt.Errorf("has no value: bind one with gorgonia.Let")
	}
	switch v := v.(type) {
	case *G.F32:
		return scalar[T](float32(*v), v.Dtype(), shape)
	case *G.F64:
		return scalar[T](float64(*v), v.Dtype(), shape)
	case *tensor.Dense:
		return slice[T](v, shape)
	}
	return nil, fmt.Errorf("is a %T, not a dense tensor or a float", v)
}

// scalar returns a float as a slice of one element. It must be a T.
func scalar[T kernel.Float](v any, dt tensor.Dtype, shape tensor.Shape) ([]T, error) {
	x, ok := v.(T)
	if !ok {
		return nil, wrongType[T](dt)
	}
	if Size(shape) != 1 {
		return nil, fmt.Errorf("is a scalar, want an array of shape %v", shape)
	}
	return []T{x}, nil
}

func wrongType[T kernel.Float](dt tensor.Dtype) error {
	var want T
	return fmt.Errorf("holds %v, want %T", dt, want)
}

func slice[T kernel.Float](d *tensor.Dense, shape tensor.Shape) ([]T, error) {
	if !d.Shape().Eq(shape) {
		return nil, fmt.Errorf("has shape %v, want %v", d.Shape(), shape)
	}
	size := Size(shape)
	if size == 0 {
		return nil, nil // Data panics on an empty tensor
	}
	if d.IsMasked() {
		return nil, fmt.Errorf("is a masked tensor: mask a class with a logit of -Inf")
	}
	if d.IsScalar() {
		if data, ok := d.Data().(T); ok {
			return []T{data}, nil
		}
	}
	data, ok := backing[T](d)
	switch {
	case !ok:
		return nil, wrongType[T](d.Dtype())
	case contiguous(d):
		return data[:size], nil
	}
	return gather(d, data, size)
}

// backing returns the elements of a tensor in the order of its memory, if they are T. Data
// does so too, but allocates.
func backing[T kernel.Float](d *tensor.Dense) (data []T, ok bool) {
	switch to := any(&data).(type) {
	case *[]float32:
		if ok = d.Dtype() == tensor.Float32; ok {
			*to = d.Float32s()
		}
	case *[]float64:
		if ok = d.Dtype() == tensor.Float64; ok {
			*to = d.Float64s()
		}
	}
	return data, ok
}

// CheckRaw returns an error if the bytes of a variable's value cannot be copied
// to a device as they are. A variable without a value passes.
func CheckRaw(n *G.Node) error {
	v := n.Value()
	if v == nil {
		return nil
	}
	if v.Dtype() != n.Dtype() {
		return fmt.Errorf("%s holds %v, want %v", n.Name(), v.Dtype(), n.Dtype())
	}
	if !v.Shape().Eq(n.Shape()) {
		return fmt.Errorf("%s has shape %v, want %v", n.Name(), v.Shape(), n.Shape())
	}
	if d, ok := v.(*tensor.Dense); ok && Size(d.Shape()) > 0 && (d.IsMasked() || !contiguous(d)) {
		return fmt.Errorf("%s is not contiguous in row-major order, which CUDA requires: bind its Materialize() or a contiguous copy", n.Name())
	}
	return nil
}

// contiguous reports whether the data is in row-major order without gaps. The
// tensor's flags do not say so: they are wrong for column-major data and after a
// transposition.
func contiguous(d *tensor.Dense) bool {
	shape, strides := d.Shape(), d.Strides()
	if len(strides) != len(shape) {
		return false
	}
	next := 1
	for axis := len(shape) - 1; axis >= 0; axis-- {
		if shape[axis] != 1 && strides[axis] != next {
			return false
		}
		next *= shape[axis]
	}
	return true
}

func gather[T kernel.Float](d *tensor.Dense, data []T, size int) ([]T, error) {
	out := make([]T, 0, size)
	it := d.Iterator()
	for i, err := it.Next(); err == nil; i, err = it.Next() {
		out = append(out, data[i])
	}
	if len(out) != size {
		return nil, fmt.Errorf("has strides %v for shape %v, which cannot be read: bind a contiguous copy", d.Strides(), d.Shape())
	}
	return out, nil
}

// Value returns a value of a shape: a float for a scalar, else a dense tensor on
// data.
func Value[T kernel.Float](shape tensor.Shape, data []T) G.Value {
	if len(shape) == 0 {
		switch x := any(data[0]).(type) {
		case float32:
			return G.NewF32(x)
		case float64:
			return G.NewF64(x)
		}
	}
	if len(data) == 0 {
		return tensor.New(tensor.WithShape(shape...), tensor.Of(Dtype[T]()))
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
}

// Dtype returns the dtype of T.
func Dtype[T kernel.Float]() tensor.Dtype {
	if _, ok := any(T(0)).(float32); ok {
		return tensor.Float32
	}
	return tensor.Float64
}

// Accumulate calls add with the elements of a gradient of a LispMachine and
// stores what add changes.
func Accumulate[T kernel.Float](v G.Value, shape tensor.Shape, add func(sum []T)) error {
	sum, err := Slice[T](v, shape)
	if err != nil {
		return err
	}
	add(sum)
	switch v := v.(type) {
	case *G.F32:
		*v = G.F32(sum[0])
	case *G.F64:
		*v = G.F64(sum[0])
	case *tensor.Dense:
		if v.Dims() == 0 {
			v.Set(0, sum[0])
			return nil
		}
		if data, ok := backing[T](v); ok && len(sum) > 0 && !contiguous(v) {
			it := v.Iterator()
			for i, err := it.Next(); err == nil; i, err = it.Next() {
				data[i], sum = sum[0], sum[1:]
			}
		}
	}
	return nil
}
