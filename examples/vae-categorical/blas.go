//go:build !openblas

package main

import (
	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/blas"
)

// The library's matrix products replace gonum's, which take several times as long.
func init() { G.Use(blas.Implementation{}) }
