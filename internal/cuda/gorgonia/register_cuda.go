//go:build cuda

package gorgonia

import "github.com/gumbel-go/gumbel/internal/cuda/module"

func init() { module.Register(Modules()) }
