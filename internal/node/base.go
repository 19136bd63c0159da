package node

import (
	"fmt"
	"hash"
	"hash/fnv"
	"sync/atomic"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

var lastID atomic.Uint64

// NewID returns a number that no other node of this process has.
func NewID() uint64 { return lastID.Add(1) }

// base holds what all ops share. The id makes every hash unique, because
// Gorgonia merges nodes with equal hashes. It never changes, because Gorgonia
// hashes an op more than once. A base has no gradient.
type base struct {
	pkg, name string
	id        uint64
	inputs    []hm.Type
	dtype     tensor.Dtype
	shape     tensor.Shape
}

func newBase(pkg, name string, dt tensor.Dtype, shape tensor.Shape, children G.Nodes) base {
	b := base{pkg: pkg, name: name, id: NewID(), dtype: dt, shape: shape.Clone()}
	for _, child := range children {
		b.inputs = append(b.inputs, child.Type())
	}
	return b
}

func (b *base) Arity() int { return len(b.inputs) }

func (b *base) Type() hm.Type {
	types := append([]hm.Type{}, b.inputs...)
	if len(b.shape) == 0 {
		return hm.NewFnType(append(types, b.dtype)...)
	}
	return hm.NewFnType(append(types, G.TensorType{Dims: len(b.shape), Of: b.dtype})...)
}

func (b *base) InferShape(...G.DimSizer) (tensor.Shape, error) { return b.shape.Clone(), nil }

// With other values of these three, Do might be given a used buffer that has the
// shape of an input.
func (b *base) ReturnsPtr() bool     { return false }
func (b *base) CallsExtern() bool    { return false }
func (b *base) OverwritesInput() int { return -1 }

func (b *base) WriteHash(h hash.Hash) { fmt.Fprint(h, b.String()) }

func (b *base) Hashcode() uint32 {
	h := fnv.New32a()
	b.WriteHash(h)
	return h.Sum32()
}

// String appears in the names of nodes and in Gorgonia's errors.
func (b *base) String() string { return fmt.Sprintf("%s#%d", b.name, b.id) }

func (b *base) DiffWRT(inputs int) []bool { return make([]bool, inputs) }

// SymDiff exists because Grad panics at an op without it that feeds the cost.
// Gorgonia does not call it where DiffWRT is false throughout.
func (b *base) SymDiff(G.Nodes, *G.Node, *G.Node) (G.Nodes, error) {
	return nil, b.errorf("has no gradient")
}

// errorf returns an error that names the op.
func (b *base) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %v: "+format, append([]any{b.pkg, b}, args...)...)
}

// apply adds the node of an op to its children's graph.
func apply(o operation, children G.Nodes) (*G.Node, error) {
	op, err := place(o, children)
	if err != nil {
		return nil, err
	}
	return G.ApplyOp(op, children...)
}
