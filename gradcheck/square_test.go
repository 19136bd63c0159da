package gradcheck

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"slices"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/layout"
)

// square is an elementwise op, x² unless it is told otherwise, that can be wrong
// in the ways in which ops go wrong.
type square struct {
	id         int
	rank       int                     // of its input; 0: 1
	scalar     bool                    // its input is a scalar
	value      func(x float64) float64 // nil: x²
	gradient   func(x float64) float64 // nil: 2x
	lispFactor float64                 // times the gradient, added to it on the lisp machine
	sets       bool                    // the lisp machine's gradient is set, not added to
	ages       bool                    // the tape machine's gradient doubles at each run
	random     bool                    // value and gradient are multiplied by the number of runs
	trains     bool                    // the gradient is wrong unless evaluated
	writes     bool                    // overwrites its input
	fails      error                   // what Do returns

	training          bool
	values, gradients int // how many have been computed
}

func (s *square) Arity() int    { return 1 }
func (s *square) Type() hm.Type { return s.arrays(1) }
func (s *square) InferShape(in ...G.DimSizer) (tensor.Shape, error) {
	return in[0].(tensor.Shape).Clone(), nil
}
func (s *square) ReturnsPtr() bool      { return false }
func (s *square) CallsExtern() bool     { return false }
func (s *square) OverwritesInput() int  { return -1 }
func (s *square) WriteHash(h hash.Hash) { fmt.Fprint(h, s) }
func (s *square) Hashcode() uint32      { return hashcode(s) }
func (s *square) String() string        { return fmt.Sprintf("square#%d", s.id) }
func (s *square) DiffWRT(n int) []bool  { return []bool{true} }
func (s *square) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	n, err := G.ApplyOp(&squareDiff{s}, in[0], grad)
	return G.Nodes{n}, err
}

func (s *square) Do(in ...G.Value) (G.Value, error) {
	if s.fails != nil {
		return nil, s.fails
	}
	x := elements(in[0])
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v * v
		if s.value != nil {
			y[i] = s.value(v)
		}
	}
	s.values++
	scale(y, s.factor())
	if s.writes {
		x[0] = 1000
	}
	return layout.Value(in[0].Shape(), y), nil
}

func (s *square) backward(x, grad []float64) []float64 {
	d := make([]float64, len(x))
	for i, v := range x {
		d[i] = 2 * v * grad[i]
		if s.gradient != nil {
			d[i] = s.gradient(v) * grad[i]
		}
	}
	scale(d, s.factor())
	if s.training && s.trains {
		scale(d, 2)
	}
	return d
}

func (s *square) SetTraining(isTraining bool) error {
	s.training = isTraining
	return nil
}

func (s *square) factor() float64 {
	if s.random {
		return float64(s.values)
	}
	return 1
}

func (s *square) DoDiff(_ G.ExecutionContext, in G.Nodes, out *G.Node) error {
	grad, err := out.Grad()
	if err != nil {
		return err
	}
	dx, err := in[0].Grad()
	if err != nil {
		return err
	}
	d := s.backward(elements(in[0].Value()), elements(grad))
	return layout.Accumulate(dx, dx.Shape(), func(into []float64) {
		for i, d := range d {
			if s.sets {
				into[i] = 0
			}
			into[i] += d + s.lispFactor*d
		}
	})
}

// squareDiff is the gradient of square: x, dcost/dy -> dcost/dx.
type squareDiff struct{ s *square }

func (d *squareDiff) Arity() int    { return 2 }
func (d *squareDiff) Type() hm.Type { return d.s.arrays(2) }
func (d *squareDiff) InferShape(in ...G.DimSizer) (tensor.Shape, error) {
	return in[0].(tensor.Shape).Clone(), nil
}
func (d *squareDiff) ReturnsPtr() bool      { return false }
func (d *squareDiff) CallsExtern() bool     { return false }
func (d *squareDiff) OverwritesInput() int  { return -1 }
func (d *squareDiff) WriteHash(h hash.Hash) { fmt.Fprint(h, d) }
func (d *squareDiff) Hashcode() uint32      { return hashcode(d) }
func (d *squareDiff) String() string        { return fmt.Sprintf("squareDiff#%d", d.s.id) }
func (d *squareDiff) DiffWRT(n int) []bool  { return make([]bool, n) }
func (d *squareDiff) SymDiff(G.Nodes, *G.Node, *G.Node) (G.Nodes, error) {
	return nil, errors.New("no second derivative")
}

func (d *squareDiff) Do(in ...G.Value) (G.Value, error) {
	dx := d.s.backward(elements(in[0]), elements(in[1]))
	if d.s.ages {
		scale(dx, float64(int(1)<<d.s.gradients))
	}
	d.s.gradients++
	return layout.Value(in[0].Shape(), dx), nil
}

// symbolicOnly hides DoDiff: the lisp machine then silently passes no gradient on.
type symbolicOnly struct{ G.SDOp }

// arrays is the type of a function of inputs like the op's, to one like them.
func (s *square) arrays(inputs int) hm.Type {
	var t hm.Type = G.TensorType{Dims: max(s.rank, 1), Of: hm.TypeVariable('a')}
	if s.scalar {
		t = hm.TypeVariable('a')
	}
	return hm.NewFnType(slices.Repeat([]hm.Type{t}, inputs+1)...)
}

func scale(x []float64, by float64) {
	for i := range x {
		x[i] *= by
	}
}

func hashcode(op G.Op) uint32 {
	h := fnv.New32a()
	op.WriteHash(h)
	return h.Sum32()
}

func elements(v G.Value) []float64 {
	switch d := v.Data().(type) {
	case []float64:
		return d
	case float64:
		return []float64{d}
	}
	return nil
}
