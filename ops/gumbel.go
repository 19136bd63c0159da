package ops

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// Gumbel is Gumbel noise of a dtype and a shape, drawn anew in each run:
//
//	x = loc + scale·g,  g = −log(−log u),  u uniform on (0, 1)
//
// u has 32 random bits and full relative precision in both tails: g lies between
// −3.13 and 22.87 and is never infinite. The node has no inputs that a gradient
// could reach. Options: WithLoc, WithScale, WithSource.
//
// Source: E. J. Gumbel, Statistical Theory of Extreme Values (1954).
func Gumbel(g *G.ExprGraph, dt tensor.Dtype, shape tensor.Shape, opts ...NoiseOption) (*G.Node, error) {
	const op = "Gumbel"
	if g == nil {
		return nil, fmt.Errorf("ops: %s: the graph is nil", op)
	}
	for _, n := range shape {
		if n < 0 {
			return nil, fmt.Errorf("ops: %s: shape %v has a negative dimension", op, shape)
		}
	}
	if err := node.CheckFloat(dt, "the noise"); err != nil {
		return nil, fmt.Errorf("ops: %s: %w", op, err)
	}
	c, err := configure(op, opts)
	if err != nil {
		return nil, err
	}
	// Gorgonia applies an op to children only, and compiles no graph without
	// inputs.
	anchor := G.NewScalar(g, tensor.Int64, G.WithName(fmt.Sprintf("%s.anchor#%d", op, node.NewID())), G.WithValue(int64(0)))
	return c.gumbel(anchor, dt, shape)
}

// GumbelLike is Gumbel with the graph, the dtype and the shape of x. No gradient
// flows to x.
func GumbelLike(x *G.Node, opts ...NoiseOption) (*G.Node, error) {
	const op = "GumbelLike"
	dt, err := node.FloatType(x, "x")
	if err != nil {
		return nil, fmt.Errorf("ops: %s: %w", op, err)
	}
	c, err := configure(op, opts)
	if err != nil {
		return nil, err
	}
	return c.gumbel(x, dt, x.Shape())
}

func (c config) gumbel(anchor *G.Node, dt tensor.Dtype, shape tensor.Shape) (*G.Node, error) {
	if reach := math.Abs(c.loc) + 23*c.scale; reach > greatest(dt) {
		return nil, c.errorf("noise of location %v and scale %v leaves the range of %v", c.loc, c.scale, dt)
	}
	s := node.Spec{Name: c.op, Dtype: dt, Shape: shape, Anchor: anchor}
	n := c.addStream(&s)
	return add(s, gumbel[float32]{n, c.loc, c.scale}, gumbel[float64]{n, c.loc, c.scale})
}

type gumbel[T kernel.Float] struct {
	stream     *stream
	loc, scale float64
}

func (o gumbel[T]) Forward(a node.Args[T], out, _ []T) error {
	kernel.Gumbel(out, *o.stream.at(a.Draw(), a.First()), o.loc, o.scale)
	return nil
}

func (o gumbel[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.Gumbel(plan.FloatOf[T](), out, d.In("draw"), o.stream.key(), d.Size(), o.loc, o.scale)}
}
