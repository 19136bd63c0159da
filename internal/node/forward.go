package node

import (
	"sync"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// forward is an op as Gorgonia's machines run it. Each node has its own, because two
// nodes of one op would both see the state of the last call.
type forward[T kernel.Float] struct {
	base
	spec           *Spec
	op             Op[T]
	differentiable Differentiable[T] // op, or nil
	preparer       Preparer[T]       // op, or nil

	// saved is what the last run left for backward, and output is the value
	// that the run returned. If backward is given another output, another
	// machine has run in between, and saved is computed again.
	mu     sync.Mutex
	out    buffer[T]
	saved  buffer[T]
	output G.Value
	wrt    []G.Nodes // by gradient, the inputs that receive it; nil before SymDiff
}

// read reads the inputs of a run.
func (f *forward[T]) read(in []G.Value) (a Args[T], err error) {
	a = Args[T]{spec: f.spec, values: make([][]T, len(in))}
	for i, input := range f.spec.Inputs {
		if input.Node.Dtype() == tensor.Int64 {
			a.draw, err = readDraw(&f.base, in[i])
		} else {
			a.values[i], err = read[T](&f.base, input.Name, in[i], input.Node.Shape())
		}
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

// read returns the elements of a value, called name in an error. Values that are
// transposed, sliced or column-major have their data in another order.
func read[T kernel.Float](b *base, name string, v G.Value, shape tensor.Shape) ([]T, error) {
	data, err := layout.Slice[T](v, shape)
	if err != nil {
		return nil, b.errorf("%s %w", name, err)
	}
	return data, nil
}

// Do returns errors and never panics, because it runs on a goroutine of the machine,
// where no caller can recover. It never returns an input, because the next node may
// add in place.
func (f *forward[T]) Do(in ...G.Value) (G.Value, error) {
	a, err := f.read(in)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.output = nil
	out, saved := f.out.ofShape(f.shape), f.saved.of(f.saves(f.wanted))
	if err := f.op.Forward(a, out, saved); err != nil {
		return nil, f.explain(f.spec, err)
	}
	f.output = layout.Value(f.shape, out)
	return f.output, nil
}

// saves returns how many elements a run saves for the wanted gradients.
func (f *forward[T]) saves(wanted func(int) bool) int {
	if f.differentiable == nil {
		return 0
	}
	return f.differentiable.Saves(wanted)
}

// wanted reports whether this gradient was requested from Grad. A machine runs a
// gradient's node in any case, but Grad sets the derivative only of nodes on the
// way to what it was asked for.
func (f *forward[T]) wanted(gradient int) bool {
	if gradient >= len(f.wrt) {
		return false
	}
	for _, n := range f.wrt[gradient] {
		if n.Deriv() != nil {
			return true
		}
	}
	return false
}

func (f *forward[T]) DiffWRT(inputs int) []bool {
	wrt := make([]bool, inputs)
	for i := range wrt {
		wrt[i] = f.spec.Inputs[i].Gradient != NoGradient
	}
	return wrt
}
