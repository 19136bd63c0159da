package vm_test

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"strings"
	"testing"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/vm"
)

// refusal is a typed error of an op.
type refusal struct{ element int }

func (e *refusal) Error() string { return fmt.Sprintf("element %d is refused", e.element) }

// picky is an op that returns its input's copy, or its error.
type picky struct{ err error }

func (o *picky) Arity() int                                        { return 1 }
func (o *picky) Type() hm.Type                                     { a := hm.TypeVariable('a'); return hm.NewFnType(a, a) }
func (o *picky) InferShape(in ...G.DimSizer) (tensor.Shape, error) { return in[0].(tensor.Shape), nil }
func (o *picky) ReturnsPtr() bool                                  { return false }
func (o *picky) CallsExtern() bool                                 { return false }
func (o *picky) OverwritesInput() int                              { return -1 }
func (o *picky) WriteHash(h hash.Hash)                             { fmt.Fprint(h, o) }
func (o *picky) String() string                                    { return "Picky" }
func (o *picky) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

func (o *picky) Do(in ...G.Value) (G.Value, error) {
	if o.err != nil {
		return nil, o.err
	}
	return G.CloneValue(in[0])
}

// An error of RunAll has Gorgonia's message and unwraps to the op's error and to
// Gorgonia's, which knows the node.
func TestNodeError(t *testing.T) {
	g := G.NewGraph()
	x := G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("x"), G.WithInit(G.Ones()))
	op := &picky{err: fmt.Errorf("picky: %w", &refusal{2})}
	y := G.Must(G.ApplyOp(op, G.Must(G.Square(x))))
	m := open(t, g)
	for range 2 {
		err := m.RunAll()
		var cause *refusal
		if !errors.As(err, &cause) || cause.element != 2 {
			t.Fatalf("%v does not unwrap to the op's error", err)
		}
		var context interface{ Node() *G.Node }
		if !errors.As(err, &context) || context.Node() != y {
			t.Errorf("%v does not unwrap to Gorgonia's error", err)
		}
		for _, part := range []string{"PC ", "Failed to execute instruction Picky", "picky: element 2 is refused"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %v, want %q in it", err, part)
			}
		}
		if device := (*vm.DeviceError)(nil); errors.As(err, &device) {
			t.Errorf("%v is a DeviceError", err)
		}
		m.Reset()
	}
	op.err = nil
	run(t, m)
}

func TestDeviceErrorText(t *testing.T) {
	cause := errors.New("out of memory")
	err := fmt.Errorf("vm: New: %w", &vm.DeviceError{Problem: "the device did not start", Err: cause})
	if want := "vm: New: the device did not start: out of memory"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	var device *vm.DeviceError
	if !errors.As(err, &device) || !errors.Is(err, cause) {
		t.Errorf("%v does not unwrap", err)
	}
}
