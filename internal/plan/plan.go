// Package plan computes the launches of the CUDA kernels: which kernel, with how
// many threads and which parameters. It is plain Go and needs no device.
package plan

import (
	"math"
	"math/bits"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/philox"
)

// A Launch is one start of a kernel.
type Launch struct {
	Kernel  string // module.function
	Blocks  int    // along x; the other dimensions are 1
	Threads int    // per block, along x
	Shared  int    // bytes of dynamic shared memory per block
	Params  Params
}

// Pointer is an address on the device, or 0 for an absent array.
type Pointer uint64

// A Plan provides what an op's launches need on the device besides the op's
// inputs and output.
type Plan struct {
	status  Pointer
	scratch func(bytes int) Pointer
	checks  bool
}

// New returns a Plan with the address of the status word and a function that
// allocates scratch memory. Both live until the op's launches have run.
func New(status Pointer, scratch func(bytes int) Pointer) *Plan {
	return &Plan{status: status, scratch: scratch}
}

// Status returns the address of a word that is 0 until a kernel rejects an
// input and sets it.
func (p *Plan) Status() Pointer {
	p.checks = true
	return p.status
}

// Checks reports whether a planned kernel may set the status word.
func (p *Plan) Checks() bool { return p.checks }

// Scratch returns the address of scratch memory, uninitialised.
func (p *Plan) Scratch(bytes int) Pointer { return p.scratch(bytes) }

// Float names the element type of a kernel.
type Float string

// The element types, as the suffixes of kernel names.
const (
	Float32 Float = "f32"
	Float64 Float = "f64"
)

// FloatOf returns the name of T.
func FloatOf[T kernel.Float]() Float {
	if _, ok := any(T(0)).(float32); ok {
		return Float32
	}
	return Float64
}

// Size returns the number of bytes of an element.
func (f Float) Size() int {
	if f == Float32 {
		return 4
	}
	return 8
}

// Params are the parameters of a launch, in order, eight bytes each: Gorgonia's
// bindings read that many whatever the type.
type Params []uint64

// Pointers starts a list of parameters.
func Pointers(all ...Pointer) Params { return Params{}.Pointers(all...) }

// Pointers, Ints, Doubles and Key append parameters of their type.

func (p Params) Pointers(all ...Pointer) Params {
	for _, v := range all {
		p = append(p, uint64(v))
	}
	return p
}

func (p Params) Ints(all ...int) Params {
	for _, v := range all {
		p = append(p, uint64(v))
	}
	return p
}

func (p Params) Doubles(all ...float64) Params {
	for _, v := range all {
		p = append(p, math.Float64bits(v))
	}
	return p
}

func (p Params) Key(k philox.Key) Params { return append(p, uint64(k[0])|uint64(k[1])<<32) }

// elementThreads is the block size of kernels with one thread per element.
const elementThreads = 256

// elementwise plans one thread for each of n elements.
func elementwise(name string, n int, params Params) Launch {
	return Launch{Kernel: name, Blocks: kernel.CeilDiv(n, elementThreads), Threads: elementThreads, Params: params}
}

// powerOfTwo returns the least power of two that is at least n.
func powerOfTwo(n int) int { return 1 << bits.Len(uint(n-1)) }
