package node

import (
	"sync/atomic"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A draw supplies a sampler with the number of the current draw, an int64
// scalar, in each run. The number is a value in the machine's registers, so the
// forward and backward passes of a run use the same draw even where two machines
// take turns. A negative number means a run without noise.
//
// The child only ties a draw to a graph and orders it before its sampler.
type draw struct {
	base
	Draw
	eval      atomic.Bool
	noiseless atomic.Int64 // numbers of the runs that draw nothing
}

// A Draw says how a sampler draws.
type Draw struct {
	Next          func() (uint64, error) // returns the number of the next draw; nil if the noise is given
	Deterministic bool                   // no noise under gorgonia.EvalMode
}

func newDraw(s *Spec, child *G.Node) (*G.Node, error) {
	d := &draw{base: newBase(s.Package, s.Name+".draw", tensor.Int64, nil, G.Nodes{child}), Draw: *s.Draw}
	return apply(d, G.Nodes{child})
}

// SetTraining is called by a machine when it is created.
func (d *draw) SetTraining(isTraining bool) error {
	d.eval.Store(!isTraining)
	return nil
}

func (d *draw) Do(...G.Value) (G.Value, error) {
	number, err := d.next()
	if err != nil {
		return nil, err
	}
	// A tensor, not a gorgonia.I64: a machine WithNaNWatch panics at that.
	return tensor.New(tensor.FromScalar(number)), nil
}

// next starts a draw and returns its number.
func (d *draw) next() (int64, error) {
	switch {
	case d.Deterministic && d.eval.Load():
		return -d.noiseless.Add(1), nil
	case d.Next == nil:
		return d.noiseless.Add(1), nil
	}
	number, err := d.Next()
	if err != nil {
		return 0, d.errorf("%w", err)
	}
	return int64(number), nil
}

// readDraw reads the value of a draw.
func readDraw(b *base, v G.Value) (int64, error) {
	if v != nil {
		if number, ok := v.Data().(int64); ok {
			return number, nil
		}
	}
	return 0, b.errorf("the draw is %v, want an int64", v)
}
