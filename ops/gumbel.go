package ops

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// Gumbel is a node of Gumbel noise of a dtype and a shape, drawn anew in each
// run:
//
//	x = loc + scale·g,  g = −log(−log u),  u uniform on (0, 1)
//
// u has 32 random bits and both tails full relative precision: g lies between
// −3.13 and 22.87 and is never infinite. Options: WithSource, WithLoc,
// WithScale. It has no inputs that a gradient could flow to.
//
// Source: E. J. Gumbel, Statistical Theory of Extreme Values (1954).
func Gumbel(g *G.ExprGraph, dt tensor.Dtype, shape tensor.Shape, opts ...Option) (*G.Node, error) {
	const op = "Gumbel"
	if g == nil {
		return nil, fmt.Errorf("ops: %s: the graph is nil", op)
	}
	for _, n := range shape {
		if n < 0 {
			return nil, fmt.Errorf("ops: %s: shape %v has a negative dimension", op, shape)
		}
	}
	if err := checkDtype(op, "the noise", dt); err != nil {
		return nil, err
	}
	c, err := configure(op, opts, gumbelOptions...)
	if err != nil {
		return nil, err
	}
	// Gorgonia applies an op to children only, and compiles no graph that
	// has no inputs.
	anchor := G.NewScalar(g, tensor.Int64, G.WithName(fmt.Sprintf("%s.anchor#%d", op, lastID.Add(1))), G.WithValue(int64(0)))
	return gumbelFrom(anchor, dt, shape, c)
}

// GumbelLike is Gumbel with the graph, the dtype and the shape of a node. No
// gradient flows to that.
func GumbelLike(x *G.Node, opts ...Option) (*G.Node, error) {
	const op = "GumbelLike"
	dt, err := floatType(op, x, "x")
	if err != nil {
		return nil, err
	}
	c, err := configure(op, opts, gumbelOptions...)
	if err != nil {
		return nil, err
	}
	return gumbelFrom(x, dt, x.Shape(), c)
}

var gumbelOptions = []string{"WithSource", "WithLoc", "WithScale"}

func gumbelFrom(anchor *G.Node, dt tensor.Dtype, shape tensor.Shape, c config) (*G.Node, error) {
	most := math.MaxFloat64
	if dt == tensor.Float32 {
		most = math.MaxFloat32
	}
	if reach := math.Abs(c.loc) + 23*c.scale; reach > most {
		return nil, fmt.Errorf("ops: %s: noise of location %v and scale %v leaves the range of %v", c.op, c.loc, c.scale, dt)
	}
	d, s, err := newDraw(c.op, anchor, c)
	if err != nil {
		return nil, err
	}
	b := newBase(c.op, dt, shape, d)
	if dt == tensor.Float32 {
		return apply(&gumbel[float32]{b, s, c.loc, c.scale}, d)
	}
	return apply(&gumbel[float64]{b, s, c.loc, c.scale}, d)
}

// gumbel takes a draw.
type gumbel[T layout.Float] struct {
	base
	stream     *stream
	loc, scale float64
}

func (o *gumbel[T]) Do(in ...G.Value) (G.Value, error) {
	number, err := drawNumber(&o.base, in[0])
	if err != nil {
		return nil, err
	}
	noise := make([]T, layout.Size(o.shape))
	kernel.Gumbel(noise, *o.stream.at(uint64(number)), o.loc, o.scale)
	return layout.Value(o.shape, noise), nil
}
