package ops

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"sync/atomic"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

var lastID atomic.Uint64

// base is what every op here has in common. Its id makes the op unlike any
// other, for Gorgonia merges nodes whose hashes are equal. Its flags are those
// under which Do runs each time, into a register of its own, on no input's
// memory. It has no gradient; ops that have one define DiffWRT and SymDiff.
type base struct {
	name   string
	id     uint64
	inputs []hm.Type
	dt     tensor.Dtype
	shape  tensor.Shape
}

// newBase makes the base of an op of that name, which takes the children and
// gives an array of that shape.
func newBase(name string, dt tensor.Dtype, shape tensor.Shape, children ...*G.Node) base {
	b := base{name: name, id: lastID.Add(1), dt: dt, shape: shape.Clone()}
	for _, child := range children {
		b.inputs = append(b.inputs, child.Type())
	}
	return b
}

// apply adds the node of an op to its children's graph.
func apply(o operation, children ...*G.Node) (*G.Node, error) {
	op, err := placed(o, children)
	if err != nil {
		return nil, err
	}
	return G.ApplyOp(op, children...)
}

func (b *base) Arity() int { return len(b.inputs) }

func (b *base) Type() hm.Type {
	types := append([]hm.Type{}, b.inputs...)
	if len(b.shape) == 0 {
		return hm.NewFnType(append(types, b.dt)...)
	}
	return hm.NewFnType(append(types, G.TensorType{Dims: len(b.shape), Of: b.dt})...)
}

func (b *base) InferShape(...G.DimSizer) (tensor.Shape, error) { return b.shape.Clone(), nil }
func (b *base) ReturnsPtr() bool                               { return false }
func (b *base) CallsExtern() bool                              { return false }
func (b *base) OverwritesInput() int                           { return -1 }
func (b *base) WriteHash(h hash.Hash)                          { fmt.Fprint(h, b.String()) }
func (b *base) String() string                                 { return fmt.Sprintf("%s#%d", b.name, b.id) }
func (b *base) DiffWRT(inputs int) []bool                      { return make([]bool, inputs) }

func (b *base) Hashcode() uint32 {
	h := fnv.New32a()
	b.WriteHash(h)
	return h.Sum32()
}

// SymDiff is there because Gorgonia wants it of every op in front of a cost;
// it is not called where DiffWRT is false throughout.
func (b *base) SymDiff(G.Nodes, *G.Node, *G.Node) (G.Nodes, error) {
	return nil, b.errorf("has no gradient")
}

// errorf makes an error that names the op.
func (b *base) errorf(format string, args ...any) error {
	return fmt.Errorf("ops: %s: "+format, append([]any{b}, args...)...)
}

// inputError words a kernel's error about an input. first and second are what
// the op calls the kernel's two arrays.
func (b *base) inputError(err error, d layout.Distributions, first, second string) error {
	var bad *kernel.InputError
	if !errors.As(err, &bad) {
		return err
	}
	switch at := d.Element(bad.Index); bad.Problem {
	case kernel.BadFirst:
		return b.errorf("%s%s is %v", first, at, bad.Value)
	case kernel.BadSecond:
		return b.errorf("%s%s is %v", second, at, bad.Value)
	case kernel.Overflow:
		return b.errorf("%s%s + %s%s is out of the range of %v", first, at, second, at, b.dt)
	case kernel.AllMasked:
		return b.errorf("%s%s are all -Inf: leave one class unmasked", first, d.Whole(bad.Index))
	case kernel.AllMaskedSecond:
		return b.errorf("%s%s are all -Inf: leave one class unmasked", second, d.Whole(bad.Index))
	default:
		return b.errorf("%s%s is %v where %s is not so low: the divergence is infinite; mask the class in both", second, at, bad.Value, first)
	}
}

// read returns the elements of an input.
func read[T layout.Float](b *base, name string, v G.Value, shape tensor.Shape) ([]T, error) {
	data, err := layout.Slice[T](v, shape)
	if err != nil {
		return nil, b.errorf("%s %w", name, err)
	}
	return data, nil
}

// accumulate adds src to the gradient of a node, as a LispMachine keeps it.
func accumulate[T layout.Float](b *base, n *G.Node, src []T) error {
	v, err := n.Grad()
	if err != nil {
		return b.errorf("the gradient of %v: %w", n, err)
	}
	if err := layout.Accumulate(v, n.Shape(), func(sum []T) { kernel.Add(sum, src) }); err != nil {
		return b.errorf("the gradient of %v %w", n, err)
	}
	return nil
}

// gradient returns the gradient that a LispMachine has brought to a node.
func gradient[T layout.Float](b *base, n *G.Node) ([]T, error) {
	v, err := n.Grad()
	if err != nil {
		return nil, b.errorf("its gradient: %w", err)
	}
	return read[T](b, "its gradient", v, n.Shape())
}

// floatType returns a node's dtype, which has to be a float.
func floatType(op string, n *G.Node, name string) (tensor.Dtype, error) {
	if n == nil {
		return tensor.Dtype{}, fmt.Errorf("ops: %s: %s is nil", op, name)
	}
	dt, err := dtypeOf(n)
	if err != nil {
		return tensor.Dtype{}, fmt.Errorf("ops: %s: %s: %w", op, name, err)
	}
	return dt, checkDtype(op, name, dt)
}

func checkDtype(op, name string, dt tensor.Dtype) error {
	if dt != tensor.Float32 && dt != tensor.Float64 {
		return fmt.Errorf("ops: %s: %s has dtype %v, not float32 or float64", op, name, dt)
	}
	return nil
}

// dtypeOf is Node.Dtype without its panic.
func dtypeOf(n *G.Node) (tensor.Dtype, error) {
	switch t := n.Type().(type) {
	case tensor.Dtype:
		return t, nil
	case G.TensorType:
		if dt, ok := t.Of.(tensor.Dtype); ok {
			return dt, nil
		}
	}
	return tensor.Dtype{}, fmt.Errorf("a node of type %v has no dtype", n.Type())
}

// sameArray checks that another input has the first one's dtype and shape.
func sameArray(op string, n *G.Node, name string, first *G.Node, firstName string) error {
	dt, err := floatType(op, n, name)
	if err != nil {
		return err
	}
	if dt != first.Dtype() {
		return fmt.Errorf("ops: %s: %s has dtype %v, %s %v: make them one", op, name, dt, firstName, first.Dtype())
	}
	if !n.Shape().Eq(first.Shape()) || n.Dims() != first.Dims() {
		return fmt.Errorf("ops: %s: %s has shape %v, %s %v: make them one", op, name, n.Shape(), firstName, first.Shape())
	}
	return nil
}
