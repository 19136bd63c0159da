package node

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// FloatType returns the dtype of a node called name, which must be float32 or
// float64.
func FloatType(n *G.Node, name string) (tensor.Dtype, error) {
	if n == nil {
		return tensor.Dtype{}, fmt.Errorf("%s is nil", name)
	}
	dt, err := dtypeOf(n)
	if err != nil {
		return tensor.Dtype{}, fmt.Errorf("%s: %w", name, err)
	}
	return dt, CheckFloat(dt, name)
}

// CheckFloat returns an error unless dt is float32 or float64.
func CheckFloat(dt tensor.Dtype, name string) error {
	if dt != tensor.Float32 && dt != tensor.Float64 {
		return fmt.Errorf("%s has dtype %v, want float32 or float64", name, dt)
	}
	return nil
}

// dtypeOf is Node.Dtype without its panic.
func dtypeOf(n *G.Node) (tensor.Dtype, error) {
	switch t := n.Type().(type) {
	case tensor.Dtype:
		return t, nil
	case G.TensorType:
		if dt, ok := t.Of.(tensor.Dtype); ok {
			return dt, nil
		}
	}
	return tensor.Dtype{}, fmt.Errorf("a node of type %v has no dtype", n.Type())
}

// SameDtype returns an error unless n is of the dtype of first.
func SameDtype(n *G.Node, name string, first *G.Node, firstName string) error {
	dt, err := FloatType(n, name)
	if err != nil {
		return err
	}
	if dt != first.Dtype() {
		return fmt.Errorf("%s has dtype %v but %s has %v: they must match", name, dt, firstName, first.Dtype())
	}
	return nil
}

// SameArray returns an error unless n has the dtype and the shape of first.
func SameArray(n *G.Node, name string, first *G.Node, firstName string) error {
	if err := SameDtype(n, name, first, firstName); err != nil {
		return err
	}
	if !n.Shape().Eq(first.Shape()) || n.Dims() != first.Dims() {
		return fmt.Errorf("%s has shape %v but %s has %v: they must match", name, n.Shape(), firstName, first.Shape())
	}
	return nil
}

// Scalar returns an error unless n is a scalar of the dtype of first.
func Scalar(n *G.Node, name string, first *G.Node, firstName string) error {
	if err := SameDtype(n, name, first, firstName); err != nil {
		return err
	}
	if !n.IsScalar() {
		return fmt.Errorf("%s has shape %v, want a scalar", name, n.Shape())
	}
	return nil
}
