// Package cuda holds the kernels of the library for NVIDIA GPUs, as PTX, and runs
// them in Gorgonia's CUDA tape machine.
//
// Package plan computes the launches. What talks to a device is behind the build
// tag cuda.
package cuda

import (
	"embed"

	"github.com/gumbel-go/gumbel/internal/cuda/module"
)

//go:generate go run ./tool/constants
//go:generate go run ./tool/generate
//go:generate go run ./tool/validate/cases

//go:embed *.ptx
var ptx embed.FS

// Modules returns the library's kernels.
func Modules() []module.Module { return module.Read(ptx, "gumbel_") }
