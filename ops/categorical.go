package ops

import (
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// Categorical is an exact sample of Categorical(softmax(logits)), one-hot, of
// the logits' shape:
//
//	y = onehot(argmaxᵢ(logitsᵢ + gᵢ)),  g Gumbel noise
//
// It has no gradient: see GumbelSoftmax with WithHard for one. Bad logits and
// masks are as there. Options: WithSource, WithAxis, WithClasses, WithNoise,
// WithDeterministicEval, under which it gives the mode.
//
// Source: the Gumbel-max trick; Maddison, Tarlow and Minka, A* Sampling (NIPS
// 2014), section 2.
func Categorical(logits *G.Node, opts ...Option) (*G.Node, error) {
	const op = "Categorical"
	dt, err := floatType(op, logits, "logits")
	if err != nil {
		return nil, err
	}
	c, err := configure(op, opts, "WithSource", "WithAxis", "WithClasses", "WithNoise", "WithDeterministicEval")
	if err != nil {
		return nil, err
	}
	if dt == tensor.Float32 {
		return newCategorical[float32](logits, c)
	}
	return newCategorical[float64](logits, c)
}

func newCategorical[T layout.Float](logits *G.Node, c config) (*G.Node, error) {
	dist, err := c.distributions(logits.Shape())
	if err != nil {
		return nil, err
	}
	noise, s, err := noiseNodes(logits, c)
	if err != nil {
		return nil, err
	}
	children := append(G.Nodes{logits}, noise...)
	o := &categorical[T]{newBase(c.op, logits.Dtype(), logits.Shape(), children...), dist, s}
	return apply(o, children...)
}

// categorical takes logits, a draw and, where it is given its noise, that.
type categorical[T layout.Float] struct {
	base
	dist   layout.Distributions
	stream *stream // nil where the noise is given
}

func (o *categorical[T]) Do(in ...G.Value) (G.Value, error) {
	logits, err := read[T](&o.base, "logits", in[0], o.shape)
	if err != nil {
		return nil, err
	}
	noise, _, err := readNoise[T](&o.base, o.stream, in[1:])
	if err != nil {
		return nil, err
	}
	s := kernel.Sampler[T]{Dims: dims(o.dist), Logits: logits, Noise: noise}
	out := make([]T, len(logits))
	if err := s.Hard(out, nil); err != nil {
		return nil, o.inputError(err, o.dist, "logits", "noise")
	}
	return layout.Value(o.shape, out), nil
}
