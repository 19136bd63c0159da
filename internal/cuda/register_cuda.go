//go:build cuda

package cuda

import (
	_ "github.com/gumbel-go/gumbel/internal/cuda/driver"   // ends the program if there is no GPU
	_ "github.com/gumbel-go/gumbel/internal/cuda/gorgonia" // Gorgonia's own nodes need its kernels
	"github.com/gumbel-go/gumbel/internal/cuda/module"
)

func init() { module.Register(Modules()) }
