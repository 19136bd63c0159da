//go:build cuda

package module

import (
	"fmt"
	"slices"
	"unsafe"

	"gorgonia.org/cu"
	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/plan"
)

var registered []Module

// Register makes every tape machine that has a node for CUDA load the modules.
// Call it in an init function.
func Register(modules []Module) {
	for _, m := range modules {
		G.AddToStdLib(m.Name, m.PTX, m.Entries)
	}
	registered = append(registered, modules...)
}

// Registered returns all registered modules.
func Registered() []Module { return slices.Clone(registered) }

// Start queues a launch of one of the loaded kernels, which are indexed by
// Launch.Kernel. The context of the kernels must be current.
func Start(l plan.Launch, loaded map[string]cu.Function) error {
	f, ok := loaded[l.Kernel]
	if !ok {
		return fmt.Errorf("kernel %s is not loaded", l.Kernel)
	}
	pointers := make([]unsafe.Pointer, len(l.Params))
	for i := range l.Params {
		pointers[i] = unsafe.Pointer(&l.Params[i])
	}
	err := f.Launch(l.Blocks, 1, 1, l.Threads, 1, 1, l.Shared, cu.NoStream, pointers)
	if err != nil {
		return fmt.Errorf("kernel %s: %w", l.Kernel, err)
	}
	return nil
}
