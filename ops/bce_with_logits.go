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
		return G.ApplyOp(&bce[float32]{b}, logits, targets)
	}
	return G.ApplyOp(&bce[float64]{b}, logits, targets)
}

// bce takes logits and targets.
type bce[T layout.Float] struct{ base }

// run reads the inputs and makes an array out of them by f.
func (o *bce[T]) run(in []G.Value, f func(dst, logits, targets []T) error) ([]T, error) {
	logits, err := read[T](&o.base, "logits", in[0], o.shape)
	if err != nil {
		return nil, err
	}
	targets, err := read[T](&o.base, "targets", in[1], o.shape)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(logits))
	if err := f(out, logits, targets); err != nil {
		return nil, o.inputError(err, layout.Distributions{Shape: o.shape}, "logits", "targets")
	}
	return out, nil
}

func (o *bce[T]) Do(in ...G.Value) (G.Value, error) {
	out, err := o.run(in, kernel.BCE[T])
	if err != nil {
		return nil, err
	}
	return layout.Value(o.shape, out), nil
}

// grads are the gradients to the two inputs.
func (o *bce[T]) grads() [2]func(dst, logits, targets, grad []T) error {
	return [2]func(dst, logits, targets, grad []T) error{kernel.GradBCELogits[T], kernel.GradBCETargets[T]}
}

// grad returns the gradient to an input, given that to the loss.
func (o *bce[T]) grad(which int, in []G.Value, grad []T) ([]T, error) {
	return o.run(in, func(dst, logits, targets []T) error {
		return o.grads()[which](dst, logits, targets, grad)
	})
}

func (o *bce[T]) DiffWRT(int) []bool { return []bool{true, true} }

func (o *bce[T]) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	return symDiff(in, grad, func(which int, b base) G.Op { return &bceGrad[T]{b, o, which} }, &o.base)
}

// DoDiff is backward on a LispMachine.
func (o *bce[T]) DoDiff(_ G.ExecutionContext, in G.Nodes, out *G.Node) error {
	return doDiff(&o.base, in, out, o.grad)
}

// bceGrad takes what its forward op takes and the gradient to that, and gives
// the gradient to one input.
type bceGrad[T layout.Float] struct {
	base
	forward *bce[T]
	which   int
}

func (o *bceGrad[T]) Do(in ...G.Value) (G.Value, error) {
	return doGrad(&o.base, in, o.forward.shape, func(in []G.Value, grad []T) ([]T, error) {
		return o.forward.grad(o.which, in, grad)
	})
}
