package layers

import (
	"gonum.org/v1/gonum/blas"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// newLinearNode adds y = act(x·W + b) to the graph of its inputs, whose shapes
// and dtypes match.
func newLinearNode(x, w, b *G.Node, act Activation) (*G.Node, error) {
	batch, in, out := x.Shape()[0], w.Shape()[0], w.Shape()[1]
	size := linearSize{batch, in, out, kernel.Activation(act)}
	s := node.Spec{
		Package: "layers", Name: "Linear", Dtype: x.Dtype(), Shape: tensor.Shape{batch, out},
		Inputs: []node.Input{node.In("x", x, gradX), node.In("W", w, gradW), node.In("b", b, gradB)},
	}
	if act == Identity {
		return node.New(s, linear[float32]{size}, linear[float64]{size})
	}
	return node.New(s, activated[float32]{linear[float32]{size}}, activated[float64]{linear[float64]{size}})
}

// The gradients of Linear.
const (
	gradX = iota
	gradW
	gradB
)

type linearSize struct {
	batch, in, out int
	act            kernel.Activation
}

// linear is x·W + b. Its gradients depend on x, W and dz, the gradient of
// x·W + b.
type linear[T kernel.Float] struct{ linearSize }

func (linear[T]) Saves(func(int) bool) int { return 0 }

func (o linear[T]) Forward(a node.Args[T], y, saved []T) error {
	affine(o.linearSize, a.In("x"), a.In("W"), a.In("b"), y, saved)
	return nil
}

func (o linear[T]) Backward(a node.Args[T], gradient int, dst, _, dz []T) error {
	switch gradient {
	case gradX:
		gemm(blas.NoTrans, blas.Trans, o.batch, o.in, o.out, dz, a.In("W"), dst)
	case gradW:
		gemm(blas.Trans, blas.NoTrans, o.in, o.out, o.batch, a.In("x"), dz, dst)
	default:
		kernel.SumRows(dst, dz)
	}
	return nil
}

func (o linear[T]) Plan(d node.Device, y plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.Linear(plan.FloatOf[T](), y, d.In("x"), d.In("W"), d.In("b"), o.batch, o.in, o.out, o.act)}
}

func (o linear[T]) PlanBackward(d node.Device, gradient int, dst, dz plan.Pointer) []plan.Launch {
	f := plan.FloatOf[T]()
	switch gradient {
	case gradX:
		return []plan.Launch{plan.GradLinearX(f, dst, dz, d.In("W"), o.batch, o.in, o.out)}
	case gradW:
		return []plan.Launch{plan.GradLinearW(f, dst, d.In("x"), dz, o.batch, o.in, o.out)}
	default:
		return []plan.Launch{plan.GradLinearB(f, dst, dz, o.batch, o.out)}
	}
}

// activated is a linear with an activation. It saves y, from which it prepares dz.
type activated[T kernel.Float] struct{ linear[T] }

func (o activated[T]) Saves(wanted func(int) bool) int {
	if wanted(gradX) || wanted(gradW) || wanted(gradB) {
		return o.batch * o.out
	}
	return 0
}

func (o activated[T]) Prepare(dz, y, grad []T) { kernel.GradActivate(o.act, dz, y, grad) }

// PlanPrepare computes the product again. It does not read the output: a Reshape
// of that is no copy, and a node behind the Reshape may have written to it.
func (o activated[T]) PlanPrepare(d node.Device, dz, grad plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.GradLinearZ(plan.FloatOf[T](), dz, d.In("x"), d.In("W"), d.In("b"), grad, o.batch, o.in, o.out, o.act)}
}
