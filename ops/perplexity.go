package ops

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// Perplexity is the perplexity of the mean distribution p̄ of a batch, which says how
// many of the classes the batch uses:
//
//	PP = e^H,  H = −Σᵢ p̄ᵢ log p̄ᵢ,  p̄ = (1/B) Σ p over the batch,  p = softmax(logits)
//
// It is 1 if all distributions are certain of the same class, and k if the mean of
// distributions over k classes is uniform; rounding never takes it out of these bounds.
// A loss that raises PP spreads the batch over the classes. Each distribution may still be
// certain of one class. A class that is masked in the whole batch adds nothing.
//
// Without WithClasses there is one perplexity, a scalar, and the mean is over every axis
// but that of the classes. With WithClasses(k) the last axis has N blocks of k classes,
// there is one perplexity per block, a vector of N, and the mean is over every axis but
// the last:
//
//	logits        options           perplexity   B
//	(k)                             ()           1
//	(B, k)                          ()           B
//	(B, T, k)                       ()           B·T
//	(B, k, T)     WithAxis(1)       ()           B·T
//	(B, N·k)      WithClasses(k)    (N)          B
//	(B, T, N·k)   WithClasses(k)    (N)          B·T
//
// The mean is accumulated in float64, in an order that depends on the shape alone. The
// gradient to the logits of each of the B distributions is
//
//	dPP/dlᵢ = −(PP/B) pᵢ (log p̄ᵢ − Σⱼ pⱼ log p̄ⱼ)
//
// and exactly 0 for a masked class.
//
// Options: WithAxis, WithClasses.
//
// The constructor returns an error for an empty batch, because the mean of no
// distributions is undefined. A run returns an InputError if a logit is NaN or +Inf, or
// if every class of a distribution is masked.
//
// Source: Baevski et al., wav2vec 2.0 (2020), section 3.2. The diversity loss of N
// codebooks of k codes is (N·k − Σ PP)/(N·k), without noise or temperature in p.
func Perplexity(logits *G.Node, opts ...DistributionOption) (*G.Node, error) {
	const op = "Perplexity"
	dt, err := node.FloatType(logits, "logits")
	if err != nil {
		return nil, fmt.Errorf("ops: %s: %w", op, err)
	}
	c, err := configure(op, opts)
	if err != nil {
		return nil, err
	}
	dist, err := c.reduced(logits.Shape(), "logits")
	if err != nil {
		return nil, err
	}
	blocks := dist.Blocks()
	if blocks > 0 && dist.Rows() == 0 {
		return nil, c.errorf("logits has shape %v, want at least one distribution: the mean of none is undefined", logits.Shape())
	}
	return add(node.Spec{
		Name: op, Dtype: dt, Shape: dist.PerBlock(), Distributions: dist,
		Inputs: []node.Input{node.In("logits", logits, 0)},
	}, perplexity[float32]{dist.Dims, blocks}, perplexity[float64]{dist.Dims, blocks})
}

type perplexity[T kernel.Float] struct {
	dims   kernel.Dims
	blocks int
}

// Saves asks for the slopes, one per block and class.
func (o perplexity[T]) Saves(wanted func(gradient int) bool) int {
	if wanted(0) {
		return o.blocks * o.dims.Classes
	}
	return 0
}

func (o perplexity[T]) Forward(a node.Args[T], out, saved []T) error {
	return kernel.Perplexity(out, saved, a.In("logits"), o.dims, o.blocks)
}

func (o perplexity[T]) Backward(a node.Args[T], _ int, dst, saved, grad []T) error {
	kernel.GradPerplexity(dst, a.In("logits"), saved, grad, o.dims, o.blocks)
	return nil
}

func (o perplexity[T]) plan(d node.Device, out, grad plan.Pointer) plan.Perplexity {
	p := plan.Perplexity{
		Dims: o.dims, Float: plan.FloatOf[T](), Blocks: o.blocks,
		Out: out, Logits: d.In("logits"), Grad: grad, Status: d.Status(),
	}
	if n := p.ScratchSize(); n > 0 {
		p.Scratch = d.Scratch(n)
	}
	return p
}

func (o perplexity[T]) Plan(d node.Device, out plan.Pointer) []plan.Launch {
	return o.plan(d, out, 0).Value()
}

func (o perplexity[T]) PlanBackward(d node.Device, _ int, dst, grad plan.Pointer) []plan.Launch {
	return o.plan(d, dst, grad).GradLogits()
}
