package ops

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// StraightThrough is the one-hot of the argmax of soft in the forward pass, the
// lowest class on a tie, and the identity in the backward pass. It has the shape
// of soft and makes any relaxed sample hard. Options: WithAxis, WithClasses.
//
// A run returns an InputError if an element of soft is NaN or +Inf, or if a
// distribution is all -Inf.
//
// Source: Bengio, Léonard and Courville, Estimating or Propagating Gradients
// Through Stochastic Neurons for Conditional Computation (2013), section 4.
func StraightThrough(soft *G.Node, opts ...DistributionOption) (*G.Node, error) {
	const op = "StraightThrough"
	dt, err := node.FloatType(soft, "soft")
	if err != nil {
		return nil, fmt.Errorf("ops: %s: %w", op, err)
	}
	c, err := configure(op, opts)
	if err != nil {
		return nil, err
	}
	dist, err := c.distributions(soft.Shape())
	if err != nil {
		return nil, err
	}
	return add(node.Spec{
		Name: op, Dtype: dt, Shape: soft.Shape(), Distributions: dist,
		Inputs: []node.Input{node.In("soft", soft, 0)}, PassesGradient: true,
	}, straightThrough[float32]{dist.Dims}, straightThrough[float64]{dist.Dims})
}

type straightThrough[T kernel.Float] struct{ dims kernel.Dims }

func (o straightThrough[T]) Forward(a node.Args[T], out, _ []T) error {
	return kernel.Sampler[T]{Dims: o.dims, Logits: a.In("soft")}.Hard(out, nil)
}

func (o straightThrough[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{planSample[T](d, out, "soft", o.dims, nil).Hard()}
}
