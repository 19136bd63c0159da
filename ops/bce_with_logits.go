package ops

import (
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// BCEWithLogits is the binary cross-entropy, in nats, of targets from
// sigmoid(logits), elementwise, of their one shape:
//
//	max(x, 0) − x·z + log(1 + e^−|x|)
//
// finite for every finite logit x and target z, usually in [0, 1]. Its
// gradients are sigmoid(x) − z to the logits and −x to the targets.
//
// The gradients lie in memory that the next run writes again: see Linear.
//
// A run ends with an error where a logit or a target is NaN or infinite.
//
// Source: the negative log-likelihood of Bernoulli(sigmoid(x)) in the form of
// TensorFlow's sigmoid_cross_entropy_with_logits.
func BCEWithLogits(logits, targets *G.Node) (*G.Node, error) {
	const op = "BCEWithLogits"
	dt, err := floatType(op, logits, "logits")
	if err != nil {
		return nil, err
	}
	if err := sameArray(op, targets, "targets", logits, "logits"); err != nil {
		return nil, err
	}
	b := newBase(op, dt, logits.Shape(), logits, targets)
	if dt == tensor.Float32 {
		return apply(&bce[float32]{b}, logits, targets)
	}
	return apply(&bce[float64]{b}, logits, targets)
}

// bce takes logits and targets.
type bce[T layout.Float] struct{ base }

// run reads the inputs and makes dst out of them by f.
func (o *bce[T]) run(dst []T, in []G.Value, f func(dst, logits, targets []T) error) error {
	logits, err := read[T](&o.base, "logits", in[0], o.shape)
	if err != nil {
		return err
	}
	targets, err := read[T](&o.base, "targets", in[1], o.shape)
	if err != nil {
		return err
	}
	if err := f(dst, logits, targets); err != nil {
		return o.inputError(err, layout.Distributions{Shape: o.shape}, "logits", "targets")
	}
	return nil
}

func (o *bce[T]) Do(in ...G.Value) (G.Value, error) {
	out := make([]T, layout.Size(o.shape))
	if err := o.run(out, in, kernel.BCE[T]); err != nil {
		return nil, err
	}
	return layout.Value(o.shape, out), nil
}

// grad sets dst to the gradient to an input, given that to the loss.
func (o *bce[T]) grad(which int, dst []T, in []G.Value, grad []T) error {
	f := [...]func(dst, logits, targets, grad []T) error{kernel.GradBCELogits[T], kernel.GradBCETargets[T]}[which]
	return o.run(dst, in, func(dst, logits, targets []T) error { return f(dst, logits, targets, grad) })
}

func (o *bce[T]) gradients() differentiable[T] { return differentiable[T]{&o.base, o.grad, o} }

func (o *bce[T]) DiffWRT(int) []bool { return []bool{true, true} }

func (o *bce[T]) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	return symDiff(in, grad, o.gradients())
}

// DoDiff is backward on a LispMachine.
func (o *bce[T]) DoDiff(_ G.ExecutionContext, in G.Nodes, out *G.Node) error {
	grad, err := gradient[T](&o.base, out)
	if err != nil {
		return err
	}
	return doDiff(o.gradients(), in, grad)
}
