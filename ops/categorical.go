package ops

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// Categorical is an exact sample of Categorical(softmax(logits)), one-hot, of
// the logits' shape:
//
//	y = onehot(argmaxᵢ(logitsᵢ + gᵢ)),  g Gumbel noise
//
// It has no gradient: use GumbelSoftmax with WithHard for one. Bad logits and
// masks are treated as there. Options: WithAxis, WithClasses, WithSource,
// WithNoise, WithDeterministicEval, which makes the sample the mode.
//
// Source: the Gumbel-max trick; Maddison, Tarlow and Minka, A* Sampling (NIPS
// 2014), section 2.
func Categorical(logits *G.Node, opts ...CategoricalOption) (*G.Node, error) {
	const op = "Categorical"
	dt, err := node.FloatType(logits, "logits")
	if err != nil {
		return nil, fmt.Errorf("ops: %s: %w", op, err)
	}
	c, err := configure(op, opts)
	if err != nil {
		return nil, err
	}
	dist, err := c.distributions(logits.Shape())
	if err != nil {
		return nil, err
	}
	s := node.Spec{
		Name: op, Dtype: dt, Shape: logits.Shape(), Distributions: dist, Arrays: []string{"logits", "noise"},
		Inputs: []node.Input{node.In("logits", logits, node.NoGradient)},
	}
	stream, err := c.addNoise(&s, logits, node.NoGradient)
	if err != nil {
		return nil, err
	}
	return add(s, categorical[float32]{dist.Dims, stream}, categorical[float64]{dist.Dims, stream})
}

type categorical[T kernel.Float] struct {
	dims   kernel.Dims
	stream *stream // nil if the noise is given
}

func (o categorical[T]) Forward(a node.Args[T], out, _ []T) error {
	return kernel.Sampler[T]{Dims: o.dims, Logits: a.In("logits"), Noise: noiseOf(o.stream, a)}.Hard(out, nil)
}

func (o categorical[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return []plan.Launch{planSample[T](d, out, "logits", o.dims, o.stream).Hard()}
}
