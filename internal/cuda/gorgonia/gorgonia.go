// Package gorgonia holds the elementwise kernels that Gorgonia's CUDA engine
// looks up but leaves out of its Go module. Importing the package registers them
// in builds with the tag cuda.
package gorgonia

import (
	"embed"

	"github.com/gumbel-go/gumbel/internal/cuda/module"
)

//go:generate go run ../tool/generate

//go:embed *.ptx
var ptx embed.FS

// Modules returns the kernels, under the names by which Gorgonia's engine looks
// them up.
func Modules() []module.Module { return module.Read(ptx, "") }
