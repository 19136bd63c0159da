package solver

import (
	"errors"
	"fmt"
	"unsafe"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// moments is the state of one tensor. Of single and double, only the one of its
// dtype is used.
type moments struct {
	shape  tensor.Shape
	dtype  tensor.Dtype
	single buffers[float32]
	double buffers[float64]

	// During a step alone:
	fresh    bool          // the gradient need not be cleared
	gathered *tensor.Dense // the gradient, if buffers hold a copy of it
}

// buffers are elementwise. Those of the model are nil between steps.
type buffers[T kernel.Float] struct {
	mean, square      []T
	weights, gradient []T
}

// newMoments returns empty moments for the tensors of a model.
func newMoments(model []G.ValueGrad) ([]moments, error) {
	if len(model) == 0 {
		return nil, errors.New("the model is empty")
	}
	all := make([]moments, len(model))
	for i, n := range model {
		if n == nil {
			return nil, fmt.Errorf("tensor %d is nil", i)
		}
		v := n.Value()
		if v == nil {
			return nil, fmt.Errorf("%s has no value", describe(i, n))
		}
		var err error
		if all[i], err = zeroMoments(v.Shape().Clone(), v.Dtype()); err != nil {
			return nil, fmt.Errorf("%s: %w", describe(i, n), err)
		}
	}
	return all, nil
}

func zeroMoments(shape tensor.Shape, dtype tensor.Dtype) (moments, error) {
	m := moments{shape: shape, dtype: dtype}
	size := layout.Size(shape)
	switch dtype {
	case tensor.Float32:
		m.single.mean, m.single.square = make([]float32, size), make([]float32, size)
	case tensor.Float64:
		m.double.mean, m.double.square = make([]float64, size), make([]float64, size)
	default:
		return m, fmt.Errorf("the value has dtype %v, want float32 or float64", dtype)
	}
	return m, nil
}

// load reads the weights and the gradient of a tensor of the model.
func (m *moments) load(n G.ValueGrad, check bool) error {
	if n == nil {
		return errors.New("is nil")
	}
	value := n.Value()
	gradient, err := n.Grad()
	switch {
	case value == nil:
		return errors.New("has no value")
	case err != nil:
		return fmt.Errorf("the gradient: %w", err)
	case gradient == nil:
		return errors.New("has no gradient")
	}
	if f, ok := n.(FreshGradient); ok {
		m.fresh = f.FreshGradient()
	}
	if m.dtype == tensor.Float32 {
		m.gathered, err = m.single.load(value, gradient, m.shape, check)
	} else {
		m.gathered, err = m.double.load(value, gradient, m.shape, check)
	}
	return err
}

// load sets weights and gradient. It returns the gradient if it had to be
// copied.
func (b *buffers[T]) load(value, gradient G.Value, shape tensor.Shape, check bool) (gathered *tensor.Dense, err error) {
	if b.weights, err = memory[T](value, shape); err != nil {
		return nil, fmt.Errorf("the value %w", err)
	}
	if b.weights == nil && layout.Size(shape) > 0 {
		return nil, errors.New("the value is not row-major in memory: bind a copy that is")
	}
	if b.gradient, err = memory[T](gradient, shape); err != nil {
		return nil, fmt.Errorf("the gradient %w", err)
	}
	if b.gradient == nil && layout.Size(shape) > 0 {
		if b.gradient, err = layout.Slice[T](gradient, shape); err != nil {
			return nil, fmt.Errorf("the gradient %w", err)
		}
		gathered = gradient.(*tensor.Dense)
	}
	if check {
		for i, v := range b.gradient {
			if v-v != 0 {
				return nil, fmt.Errorf("the gradient at %s is %v", layout.Coordinates(shape, i), v)
			}
		}
	}
	return gathered, nil
}

// memory returns the elements of a value, not a copy. It returns nil if they are
// not in row-major order.
func memory[T kernel.Float](v G.Value, shape tensor.Shape) ([]T, error) {
	if dt := v.Dtype(); dt != layout.Dtype[T]() {
		return nil, fmt.Errorf("has dtype %v, want %T", dt, T(0))
	}
	if !v.Shape().Eq(shape) {
		return nil, fmt.Errorf("has shape %v, want %v", v.Shape(), shape)
	}
	switch v := v.(type) {
	case *G.F32:
		return one[T]((*float32)(v)), nil
	case *G.F64:
		return one[T]((*float64)(v)), nil
	case *tensor.Dense:
		return elements[T](v), nil
	}
	return nil, fmt.Errorf("is a %T, want a dense tensor or a float", v)
}

// one returns a scalar as a slice that shares its memory.
func one[T kernel.Float](p any) []T { return unsafe.Slice(p.(*T), 1) }

func elements[T kernel.Float](d *tensor.Dense) []T {
	size := layout.Size(d.Shape())
	if size == 0 || d.IsMasked() || !rowMajor(d) {
		return nil
	}
	if d.Dtype() == tensor.Float32 {
		return any(d.Float32s()).([]T)[:size]
	}
	return any(d.Float64s()).([]T)[:size]
}

// rowMajor reports whether the elements lie in row-major order without gaps. The
// tensor's own flags do not tell.
func rowMajor(d *tensor.Dense) bool {
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

func (m *moments) update(single kernel.Adam[float32], double kernel.Adam[float64]) {
	if m.dtype == tensor.Float32 {
		single.Update(m.single.weights, m.single.gradient, m.single.mean, m.single.square)
	} else {
		double.Update(m.double.weights, m.double.gradient, m.double.mean, m.double.square)
	}
}

func (m *moments) clearGradient() {
	switch {
	case m.fresh:
	case m.gathered != nil:
		m.gathered.Zero()
	default:
		clear(m.single.gradient)
		clear(m.double.gradient)
	}
}

// release drops the references to a model.
func release(all []moments) {
	for i := range all {
		m := &all[i]
		m.single.weights, m.single.gradient = nil, nil
		m.double.weights, m.double.gradient = nil, nil
		m.fresh, m.gathered = false, nil
	}
}
