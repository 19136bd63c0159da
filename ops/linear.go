package ops

import (
	"fmt"
	"sync"

	"gonum.org/v1/gonum/blas"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// Linear is a fully connected layer as one node,
//
//	y = act(x·W + b)    x (batch, in), W (in, out), b (out), y (batch, out)
//
// With dz = dL/dy ⊙ act′(x·W + b), computed once a run, its gradients are
//
//	dL/dx = dz·Wᵀ    dL/dW = xᵀ·dz    dL/db = Σᵢ dzᵢ
//
// A gradient that nobody asked G.Grad for, as that to a batch of data, costs
// nothing. The matrix products are those of the BLAS that G.Use sets.
//
// A NaN or an infinity goes through, as it does in Gorgonia's own products;
// multiplied by 0 it may vanish, since gonum's BLAS passes zeros by. The gradients
// lie in memory that the next run writes again: copy one that has to outlast
// it, as G.Read and G.BindDualValues do.
func Linear(x, w, b *G.Node, act Activation) (*G.Node, error) {
	const op = "Linear"
	dt, err := floatType(op, x, "x")
	if err != nil {
		return nil, err
	}
	for _, n := range []struct {
		*G.Node
		name string
	}{{w, "W"}, {b, "b"}} {
		got, err := floatType(op, n.Node, n.name)
		if err != nil {
			return nil, err
		}
		if got != dt {
			return nil, fmt.Errorf("ops: %s: %s has dtype %v, x %v: make them one", op, n.name, got, dt)
		}
	}
	if err := act.Check(); err != nil {
		return nil, fmt.Errorf("ops: %s: %w", op, err)
	}
	xs, ws, bs := x.Shape(), w.Shape(), b.Shape()
	switch {
	case len(xs) != 2:
		return nil, fmt.Errorf("ops: %s: x has shape %v: want (batch, in)", op, xs)
	case len(ws) != 2 || ws[0] != xs[1]:
		return nil, fmt.Errorf("ops: %s: W has shape %v, x %v: want (%d, out)", op, ws, xs, xs[1])
	case len(bs) != 1 || bs[0] != ws[1]:
		return nil, fmt.Errorf("ops: %s: b has shape %v, W %v: want (%d)", op, bs, ws, ws[1])
	}
	common := newBase(op, dt, tensor.Shape{xs[0], ws[1]}, x, w, b)
	if dt == tensor.Float32 {
		return apply(newLinear[float32](common, xs[1], act), x, w, b)
	}
	return apply(newLinear[float64](common, xs[1], act), x, w, b)
}

// linear takes x, W and b.
type linear[T layout.Float] struct {
	base
	batch, in, out int
	act            kernel.Activation

	// What backward wants of the output is kept apart from it, for later ops
	// may overwrite that. It is the run's own if the value that it was kept
	// with is, else another machine has run in between.
	mu    sync.Mutex
	keeps bool // something will want it
	kept  room[T]
	value G.Value
}

func newLinear[T layout.Float](b base, in int, act Activation) *linear[T] {
	return &linear[T]{base: b, batch: b.shape[0], in: in, out: b.shape[1], act: kernel.Activation(act)}
}

// inputs reads x, W and b.
func (o *linear[T]) inputs(in []G.Value) (x, w, b []T, err error) {
	if x, err = read[T](&o.base, "x", in[0], tensor.Shape{o.batch, o.in}); err != nil {
		return nil, nil, nil, err
	}
	if w, err = read[T](&o.base, "W", in[1], tensor.Shape{o.in, o.out}); err != nil {
		return nil, nil, nil, err
	}
	b, err = read[T](&o.base, "b", in[2], tensor.Shape{o.out})
	return x, w, b, err
}

// forward sets y, and kept where it is not nil.
func (o *linear[T]) forward(in []G.Value, y, kept []T) error {
	x, w, b, err := o.inputs(in)
	if err != nil {
		return err
	}
	gemm(blas.NoTrans, blas.NoTrans, o.batch, o.out, o.in, x, w, y)
	kernel.Activate(o.act, y, b, kept)
	return nil
}

func (o *linear[T]) Do(in ...G.Value) (G.Value, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var kept []T
	if o.keeps {
		kept = o.kept.of(o.shape)
	}
	y := make([]T, layout.Size(o.shape))
	if err := o.forward(in, y, kept); err != nil {
		return nil, err
	}
	value := layout.Value(o.shape, y)
	if o.keeps {
		o.value = value
	}
	return value, nil
}

// gradZ sets dz to the gradient to x·W + b, given that to the output.
func (o *linear[T]) gradZ(dz []T, in []G.Value, out G.Value, grad []T) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	y := o.kept.data
	if o.value == nil || o.value != out {
		y = make([]T, len(grad))
		if err := o.forward(in, y, nil); err != nil {
			return err
		}
	}
	kernel.GradActivate(o.act, dz, y, grad)
	return nil
}

// grad sets dst to the gradient to input which, given that to x·W + b.
func (o *linear[T]) grad(which int, dst []T, in []G.Value, dz []T) error {
	x, w, _, err := o.inputs(in)
	if err != nil {
		return err
	}
	switch which {
	case 0:
		gemm(blas.NoTrans, blas.Trans, o.batch, o.in, o.out, dz, w, dst)
	case 1:
		gemm(blas.Trans, blas.NoTrans, o.in, o.out, o.batch, x, dz, dst)
	default:
		kernel.SumRows(dst, dz)
	}
	return nil
}

func (o *linear[T]) gradients() differentiable[T] { return differentiable[T]{&o.base, o.grad, o} }

func (o *linear[T]) DiffWRT(int) []bool { return []bool{true, true, true} }

func (o *linear[T]) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	dz := grad
	if o.act != kernel.Identity {
		o.mu.Lock()
		o.keeps = true
		o.mu.Unlock()
		var err error
		children := append(append(G.Nodes{}, in...), out, grad)
		if dz, err = apply(&linearGradZ[T]{base: newBase(o.name+".gradZ", o.dt, o.shape, children...), forward: o}, children...); err != nil {
			return nil, err
		}
	}
	return symDiff(in, dz, o.gradients())
}

// DoDiff is backward on a LispMachine.
func (o *linear[T]) DoDiff(_ G.ExecutionContext, in G.Nodes, out *G.Node) error {
	grad, err := gradient[T](&o.base, out)
	if err != nil {
		return err
	}
	dz := grad
	if o.act != kernel.Identity {
		dz = make([]T, len(grad))
		if err := o.gradZ(dz, nodeValues(in), out.Value(), grad); err != nil {
			return err
		}
	}
	return doDiff(o.gradients(), in, dz)
}

// linearGradZ takes what its forward op takes, the output and the gradient to
// that, and gives the gradient to x·W + b.
type linearGradZ[T layout.Float] struct {
	base
	forward *linear[T]
	dz      room[T]
}

func (o *linearGradZ[T]) Do(in ...G.Value) (G.Value, error) {
	last := len(in) - 1
	grad, err := read[T](&o.base, "its gradient", in[last], o.shape)
	if err != nil {
		return nil, err
	}
	dz := o.dz.of(o.shape)
	if err := o.forward.gradZ(dz, in[:last-1], in[last-1], grad); err != nil {
		return nil, err
	}
	return layout.Value(o.shape, dz), nil
}
