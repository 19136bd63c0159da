package node

import (
	"math"
	"math/bits"
	"sync/atomic"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/layout"
)

// A draw supplies a sampler, in each run, with two int64s: the number of the
// current draw, and the index in that draw of the sampler's first element. They
// are a value in the machine's registers, so the forward and backward passes of a
// run use the same draw even where two machines take turns. A negative number means
// a run without noise.
//
// The child only ties a draw to a graph and orders it before its sampler.
type draw struct {
	base
	Draw
	rowSize   uint64 // elements per row of the sampler's array; 0 if it has no rows
	size      uint64 // of the sampler's array
	eval      atomic.Bool
	noiseless atomic.Int64 // numbers of the runs that draw nothing
}

// A Draw says how a sampler draws.
type Draw struct {
	// Next returns the number of the next draw and the row of the draw at which
	// the sampler's array begins. It is nil if the noise is given.
	Next func() (number, row uint64, err error)

	Deterministic bool // no noise under gorgonia.EvalMode
}

// A position is the value of a draw.
type position struct{ number, first int64 }

func newDraw(s *Spec, child *G.Node) (*G.Node, error) {
	d := &draw{
		base:    newBase(s.Package, s.Name+".draw", tensor.Int64, tensor.Shape{2}, G.Nodes{child}),
		Draw:    *s.Draw,
		rowSize: uint64(s.rowSize()),
		size:    uint64(layout.Size(s.Shape)),
	}
	return apply(d, G.Nodes{child})
}

// rowSize returns the number of elements per index of the first axis, or 0 if
// that axis cannot be a batch: there is none, or a distribution lies along it.
func (s *Spec) rowSize() int {
	switch {
	case len(s.Distributions.Shape) > 0:
		return s.Distributions.RowSize()
	case len(s.Shape) > 0:
		return layout.Size(s.Shape[1:])
	}
	return 0
}

// SetTraining is called by a machine when it is created.
func (d *draw) SetTraining(isTraining bool) error {
	d.eval.Store(!isTraining)
	return nil
}

func (d *draw) Do(...G.Value) (G.Value, error) {
	p, err := d.next()
	if err != nil {
		return nil, err
	}
	return p.value(), nil
}

// next starts a draw.
func (d *draw) next() (position, error) {
	switch {
	case d.Deterministic && d.eval.Load():
		return position{number: -d.noiseless.Add(1)}, nil
	case d.Next == nil:
		return position{number: d.noiseless.Add(1)}, nil
	}
	number, row, err := d.Next()
	if err != nil {
		return position{}, d.errorf("%w", err)
	}
	first, err := d.first(row)
	return position{int64(number), first}, err
}

// first returns the index of the first element of a row.
func (d *draw) first(row uint64) (int64, error) {
	if row > 0 && d.rowSize == 0 {
		return 0, d.errorf("its source is at row %d, want 0 because the array has no rows along its first axis: put the batch there, or build the node from another source", row)
	}
	over, first := bits.Mul64(row, d.rowSize)
	if over > 0 || first > math.MaxInt64-d.size {
		return 0, d.errorf("its source is at row %d of %d elements, want fewer than 2⁶³ elements in all", row, d.rowSize)
	}
	return int64(first), nil
}

func (p position) value() G.Value {
	return tensor.New(tensor.WithBacking([]int64{p.number, p.first}))
}

// readDraw reads the value of a draw.
func readDraw(b *base, v G.Value) (position, error) {
	if v != nil {
		if d, ok := v.Data().([]int64); ok && len(d) >= 2 {
			return position{d[0], d[1]}, nil
		}
	}
	return position{}, b.errorf("the draw is %v, want two int64s", v)
}
