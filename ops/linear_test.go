package ops

import (
	"math"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/layout"
)

// Backward uses the activations of its own run, also when another has come in
// between.
func TestLinearKeepsRunsApart(t *testing.T) {
	g := G.NewGraph()
	node := func(name string, shape ...int) *G.Node {
		return G.NewTensor(g, tensor.Float64, len(shape), G.WithName(name), G.WithShape(shape...))
	}
	value := func(x ...float64) G.Value { return layout.Value(tensor.Shape{1, len(x)}, x) }
	o := newLinear[float64](newBase("Linear", tensor.Float64, tensor.Shape{1, 1}, node("x", 1, 1), node("W", 1, 1), node("b", 1)), 1, Tanh)
	o.keeps = true
	var runs [2]struct {
		in  []G.Value
		out G.Value
	}
	for i, x := range []float64{0.5, -2} {
		r := &runs[i]
		r.in = []G.Value{value(x), value(1), layout.Value(tensor.Shape{1}, []float64{0})}
		var err error
		if r.out, err = o.Do(r.in...); err != nil {
			t.Fatal(err)
		}
	}
	for i, x := range []float64{0.5, -2} {
		var dz [1]float64
		if err := o.gradZ(dz[:], runs[i].in, runs[i].out, []float64{3}); err != nil {
			t.Fatal(err)
		}
		if want := 3 / (math.Cosh(x) * math.Cosh(x)); math.Abs(dz[0]-want) > 1e-15 {
			t.Errorf("run %d: the gradient is %v, want %v", i, dz[0], want)
		}
	}
}
