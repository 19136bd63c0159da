//go:build openblas

package main

// #cgo LDFLAGS: -lopenblas
import "C"

import (
	"gonum.org/v1/netlib/blas/netlib"
	G "gorgonia.org/gorgonia"
)

// OpenBLAS computes the matrix products in place of gonum's BLAS. It stands in
// a file of its own, so that nothing else needs cgo.
func init() { G.Use(netlib.Implementation{}) }
