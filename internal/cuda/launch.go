// Package cuda holds the kernels of the library for NVIDIA GPUs, as PTX, and runs
// them in Gorgonia's CUDA tape machine.
//
// What starts a kernel is planned in plain Go, for any build. What talks to a
// device is behind the build tag cuda.
package cuda

import (
	"math"
	"math/bits"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

// A Launch is a kernel with all that it is started with. Planning one needs no
// device.
type Launch struct {
	Kernel  string // module.function
	Blocks  int    // along x; the other dimensions are 1
	Threads int    // a block, along x
	Shared  int    // bytes of dynamic shared memory a block
	Params  []uint64
}

// Pointer is an address on the device, 0 for an array that is not there.
type Pointer uint64

// Float names the element type of a kernel.
type Float string

// The element types, as the names of kernels end.
const (
	Float32 Float = "f32"
	Float64 Float = "f64"
)

// FloatOf is the name of T.
func FloatOf[T kernel.Float]() Float {
	if _, ok := any(T(0)).(float32); ok {
		return Float32
	}
	return Float64
}

// Size is that of an element, in bytes.
func (f Float) Size() int {
	if f == Float32 {
		return 4
	}
	return 8
}

// params makes the parameters of a launch: Gorgonia's bindings read eight bytes
// for each.
func params(values ...any) []uint64 {
	words := make([]uint64, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case Pointer:
			words[i] = uint64(v)
		case int:
			words[i] = uint64(v)
		case uint64:
			words[i] = v
		case float64:
			words[i] = math.Float64bits(v)
		case kernel.Activation:
			words[i] = uint64(v)
		}
	}
	return words
}

// powerOfTwo is the least that is at least n.
func powerOfTwo(n int) int { return 1 << bits.Len(uint(n-1)) }
