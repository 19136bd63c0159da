package ops

import (
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// StraightThrough is the one-hot of the argmax of soft, of soft's shape, going
// forward and the identity going backward; the lowest class on a tie. It makes
// any relaxed sample hard. Options: WithAxis, WithClasses.
//
// A run ends with an error where soft is NaN or +Inf, or a distribution is all
// -Inf.
//
// Source: Bengio, Léonard and Courville, Estimating or Propagating Gradients
// Through Stochastic Neurons for Conditional Computation (2013), section 4.
func StraightThrough(soft *G.Node, opts ...Option) (*G.Node, error) {
	const op = "StraightThrough"
	dt, err := floatType(op, soft, "soft")
	if err != nil {
		return nil, err
	}
	c, err := configure(op, opts, "WithAxis", "WithClasses")
	if err != nil {
		return nil, err
	}
	dist, err := c.distributions(soft.Shape())
	if err != nil {
		return nil, err
	}
	b := newBase(op, dt, soft.Shape(), soft)
	if dt == tensor.Float32 {
		return apply(&straightThrough[float32]{b, dist}, soft)
	}
	return apply(&straightThrough[float64]{b, dist}, soft)
}

type straightThrough[T layout.Float] struct {
	base
	dist layout.Distributions
}

func (o *straightThrough[T]) Do(in ...G.Value) (G.Value, error) {
	soft, err := read[T](&o.base, "soft", in[0], o.shape)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(soft))
	if err := (kernel.Sampler[T]{Dims: dims(o.dist), Logits: soft}).Hard(out, nil); err != nil {
		return nil, o.inputError(err, o.dist, "soft", "")
	}
	return layout.Value(o.shape, out), nil
}

func (o *straightThrough[T]) DiffWRT(int) []bool { return []bool{true} }

func (o *straightThrough[T]) SymDiff(_ G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	return G.Nodes{grad}, nil
}

// DoDiff is backward on a LispMachine.
func (o *straightThrough[T]) DoDiff(_ G.ExecutionContext, in G.Nodes, out *G.Node) error {
	grad, err := gradient[T](&o.base, out)
	if err != nil {
		return err
	}
	return accumulate(&o.base, in[0], grad)
}
