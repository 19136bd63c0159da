package mpi

import (
	"errors"
	"fmt"
	"unsafe"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// A vector is the elements of all tensors of a model, one tensor after the other.
type vector struct {
	single []float32
	double []float64
}

// size is the number of elements of a vector.
type size struct{ single, double int }

func (n size) bytes() int     { return 4*n.single + 8*n.double }
func (n size) counts() [2]int { return [2]int{n.single, n.double} }

func newVector(n size) vector { return vector{make([]float32, n.single), make([]float64, n.double)} }

// vectorIn returns a vector in memory that is aligned for float64.
func vectorIn(memory []byte, n size) vector {
	start := unsafe.Pointer(unsafe.SliceData(memory))
	return vector{
		double: unsafe.Slice((*float64)(start), n.double),
		single: unsafe.Slice((*float32)(unsafe.Add(start, 8*n.double)), n.single),
	}
}

// add adds o to v.
func (v vector) add(o vector) {
	add(v.single, o.single)
	add(v.double, o.double)
}

func add[T kernel.Float](a, b []T) {
	for i, x := range b[:len(a)] {
		a[i] += x
	}
}

func gradientsOf(model []G.ValueGrad) ([]G.Value, size, error) {
	return collect(model, "the gradient", func(n G.ValueGrad) (G.Value, error) { return n.Grad() })
}

func valuesOf(model []G.ValueGrad) ([]G.Value, size, error) {
	return collect(model, "the value", func(n G.ValueGrad) (G.Value, error) { return n.Value(), nil })
}

// collect returns one array of each tensor of a model, called what in errors.
func collect(model []G.ValueGrad, what string, of func(G.ValueGrad) (G.Value, error)) (values []G.Value, n size, err error) {
	for i, tensor := range model {
		v, err := value(tensor, of)
		if err == nil {
			err = n.add(v)
		}
		if err != nil {
			return nil, size{}, fmt.Errorf("mpi: %s of %s %w", what, describe(i, tensor), err)
		}
		values = append(values, v)
	}
	return values, n, nil
}

func value(n G.ValueGrad, of func(G.ValueGrad) (G.Value, error)) (G.Value, error) {
	if n == nil {
		return nil, errors.New("is missing")
	}
	v, err := of(n)
	switch {
	case err != nil:
		return nil, fmt.Errorf("is missing: %w", err)
	case v == nil:
		return nil, errors.New("is missing")
	}
	return v, nil
}

func describe(i int, n G.ValueGrad) string {
	if named, ok := n.(interface{ Name() string }); ok && n != nil {
		return named.Name()
	}
	return fmt.Sprintf("tensor %d", i)
}

// add counts the elements of a value that a vector can hold.
func (n *size) add(v G.Value) error {
	elements := layout.Size(v.Shape())
	var err error
	switch v.Dtype() {
	case tensor.Float32:
		_, err = layout.Slice[float32](v, v.Shape())
		n.single += elements
	case tensor.Float64:
		_, err = layout.Slice[float64](v, v.Shape())
		n.double += elements
	default:
		err = fmt.Errorf("has dtype %v, want float32 or float64", v.Dtype())
	}
	return err
}

// pack copies values to v.
func (v vector) pack(values []G.Value) error {
	return v.each(values,
		func(part, elements []float32) { copy(part, elements) },
		func(part, elements []float64) { copy(part, elements) })
}

// unpack copies v to values.
func (v vector) unpack(values []G.Value) error {
	return v.each(values,
		func(part, elements []float32) { copy(elements, part) },
		func(part, elements []float64) { copy(elements, part) })
}

// each calls a function with the part of v that belongs to each value, and with the
// elements of the value, which it may change.
func (v vector) each(values []G.Value, single func(part, elements []float32), double func(part, elements []float64)) error {
	for _, x := range values {
		n := layout.Size(x.Shape())
		var err error
		if x.Dtype() == tensor.Float32 {
			err = layout.Accumulate(x, x.Shape(), func(elements []float32) { single(v.single[:n], elements) })
			v.single = v.single[n:]
		} else {
			err = layout.Accumulate(x, x.Shape(), func(elements []float64) { double(v.double[:n], elements) })
			v.double = v.double[n:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}
