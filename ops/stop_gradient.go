package ops

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// StopGradient is x in the forward pass, and no gradient flows through it. It makes a
// factor that depends on parameters constant for differentiation, such as the reward
// of a score-function estimator. It takes any shape, and copies every element, also
// NaN and infinities.
func StopGradient(x *G.Node) (*G.Node, error) {
	const op = "StopGradient"
	dt, err := node.FloatType(x, "x")
	if err != nil {
		return nil, fmt.Errorf("ops: %s: %w", op, err)
	}
	return add(node.Spec{
		Name: op, Dtype: dt, Shape: x.Shape(),
		Inputs: []node.Input{node.In("x", x, node.NoGradient)},
	}, stopGradient[float32]{}, stopGradient[float64]{})
}

type stopGradient[T kernel.Float] struct{}

func (stopGradient[T]) Forward(a node.Args[T], out, _ []T) error {
	copy(out, a.In("x"))
	return nil
}

func (stopGradient[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.Copy(plan.FloatOf[T](), out, d.In("x"), d.Size())}
}
