//go:build openblas

package main

// #cgo LDFLAGS: -lopenblas
import "C"

import (
	"gonum.org/v1/netlib/blas/netlib"
	G "gorgonia.org/gorgonia"
)

// OpenBLAS computes the matrix products instead of the library's own BLAS. It has a separate
// file because it needs cgo.
func init() { G.Use(netlib.Implementation{}) }
