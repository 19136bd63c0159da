// Package kernel does the arithmetic of the library on plain slices: noise,
// softmax samples and their gradients, argmax, losses. It knows no graph.
//
// An array of distributions is a slice seen as outer × classes × inner in
// row-major order: see Dims.
package kernel

// Float is the element type of a kernel.
type Float interface{ float32 | float64 }

// Dims says where the distributions lie in a slice. Class c of distribution
// (o, i) is element (o·Classes + c)·Inner + i.
type Dims struct{ Outer, Classes, Inner int }

// Size is the number of elements, and Rows the number of distributions.
func (d Dims) Size() int { return d.Outer * d.Classes * d.Inner }
func (d Dims) Rows() int { return d.Outer * d.Inner }

func isFloat32[T Float]() bool {
	_, ok := any(T(0)).(float32)
	return ok
}
