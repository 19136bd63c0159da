// Package kernel does the arithmetic of the library on plain slices: noise, softmax
// samples and their gradients, argmax, losses. It knows no graph.
//
// An array of distributions is a slice seen as outer × classes × inner in row-major
// order: see Dims.
//
// The files are grouped by traversal, the way to go through memory: noise.go draws
// groups of 64 elements, elementwise.go goes along arrays, rows.go and columns.go along
// distributions, and gemm.go and micro.go multiply matrices tile by tile. An op has its
// entry points, its plain Go and the plain Go of its vector code in a file. Functions
// whose names end in Go have vector code as well: command asm generates it, the dispatch
// by level, such as dot for dotGo, and what builds without assembly need.
package kernel

// Float is the element type of a kernel.
type Float interface{ float32 | float64 }

// Dims says where the distributions are in a slice. Class c of distribution (o, i) is
// element (o·Classes + c)·Inner + i.
type Dims struct{ Outer, Classes, Inner int }

// Size returns the number of elements, and Rows the number of distributions.
func (d Dims) Size() int { return d.Outer * d.Classes * d.Inner }
func (d Dims) Rows() int { return d.Outer * d.Inner }

func isFloat32[T Float]() bool {
	_, ok := any(T(0)).(float32)
	return ok
}
