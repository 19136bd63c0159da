package ops

import (
	"sync/atomic"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// draw is the node that makes a sampler random: each run it gives the next
// draw's number, an int64 scalar. The number lies in the registers of the
// machine that runs, so that forward and backward of a run use one draw even
// where two machines take turns. A negative number stands for a run without
// noise.
//
// Its child only puts it into a graph and in front of its sampler.
type draw struct {
	base
	stream        *stream // nil for a sampler that is given its noise
	deterministic bool
	eval          atomic.Bool
	unnoised      atomic.Int64 // numbers for the runs that draw nothing
}

// newDraw adds a draw to a node's graph.
func newDraw(op string, child *G.Node, c config) (*G.Node, *stream, error) {
	d := &draw{base: newBase(op+".draw", tensor.Int64, nil, child), deterministic: c.deterministicEval}
	if c.noise == nil {
		d.stream = c.source.newStream()
	}
	n, err := apply(d, child)
	return n, d.stream, err
}

// SetTraining is called by a machine when it is made.
func (d *draw) SetTraining(isTraining bool) error {
	d.eval.Store(!isTraining)
	return nil
}

func (d *draw) Do(...G.Value) (G.Value, error) {
	// A tensor, not a gorgonia.I64: a machine WithNaNWatch panics at that.
	return tensor.New(tensor.FromScalar(d.next())), nil
}

// next begins a draw and returns its number.
func (d *draw) next() int64 {
	switch {
	case d.deterministic && d.eval.Load():
		return -d.unnoised.Add(1)
	case d.stream == nil:
		return d.unnoised.Add(1)
	}
	return int64(d.stream.next())
}

// drawNumber reads the value of a draw.
func drawNumber(b *base, v G.Value) (int64, error) {
	if v != nil {
		if number, ok := v.Data().(int64); ok {
			return number, nil
		}
	}
	return 0, b.errorf("the draw is %v, not an int64", v)
}

// noiseNodes returns what a sampler takes for its noise: a draw and, where it
// is given its noise, that.
func noiseNodes(logits *G.Node, c config) (G.Nodes, *stream, error) {
	if c.noise != nil {
		if err := sameArray(c.op, c.noise, "noise", logits, "logits"); err != nil {
			return nil, nil, err
		}
	}
	d, s, err := newDraw(c.op, logits, c)
	if err != nil {
		return nil, nil, err
	}
	if c.noise != nil {
		return G.Nodes{d, c.noise}, s, nil
	}
	return G.Nodes{d}, s, nil
}

// readNoise reads the values of those nodes: the noise of a run and the number
// of its draw.
func readNoise[T layout.Float](b *base, s *stream, in []G.Value) (kernel.Noise[T], int64, error) {
	number, err := drawNumber(b, in[0])
	switch {
	case err != nil || number < 0:
		return kernel.Noise[T]{}, number, err
	case s != nil:
		return kernel.Noise[T]{Stream: s.at(uint64(number))}, number, nil
	}
	given, err := read[T](b, "noise", in[1], b.shape)
	return kernel.Noise[T]{Given: given}, number, err
}
