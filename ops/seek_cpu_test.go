//go:build !cuda

package ops_test

import (
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// A LispMachine has the shares of the whole too.
func TestSeekSharesOnLispMachine(t *testing.T) {
	for _, s := range samplers {
		if !s.differentiable {
			continue // Gorgonia's LispMachine stops at a node without a gradient
		}
		l := seekLayouts[1]
		newRowBatch[float32](l.shape, l.option).testShares(t, s, true)
		newRowBatch[float64](l.shape, l.option).testShares(t, s, true)
	}
}

// A backward pass uses the position of its own run, also if another machine of the
// graph has run in between at the same draw and another row.
func TestSeekTwoMachines(t *testing.T) {
	g, src := G.NewGraph(), ops.NewSource(3)
	x := G.NewMatrix(g, tensor.Float64, G.WithShape(3, 4), G.WithName("x"), G.WithInit(G.Zeroes()))
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.5))
	y := G.Must(ops.GumbelSoftmax(x, tau, ops.WithSource(src)))
	grads, err := G.Grad(G.Must(G.Sum(G.Must(G.Square(y)))), x)
	if err != nil {
		t.Fatal(err)
	}
	forward, backward, draw := y.Op(), grads[0].Op(), drawOf(t, y)
	ones := tensor.New(tensor.WithShape(3, 4), tensor.WithBacking([]float64{1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}))
	run := func(row uint64) (gradient func() []float64) {
		src.Seek(0, row)
		d, err := draw.Do(x.Value())
		if err != nil {
			t.Fatal(err)
		}
		out, err := forward.Do(x.Value(), tau.Value(), d)
		if err != nil {
			t.Fatal(err)
		}
		return func() []float64 {
			v, err := backward.Do(x.Value(), tau.Value(), d, out, ones)
			if err != nil {
				t.Fatal(err)
			}
			return elements[float64](v)
		}
	}
	alone, other := run(0)(), run(3)()
	if slices.Equal(alone, other) {
		t.Fatal("rows 0 and 3 have the same gradient")
	}
	first, second := run(0), run(3)
	if !slices.Equal(second(), other) || !slices.Equal(first(), alone) {
		t.Error("the gradient is that of another machine's run")
	}
}

// drawOf returns the op of a sampler's draw.
func drawOf(t *testing.T, y *G.Node) G.Op {
	t.Helper()
	for _, n := range y.Graph().AllNodes() {
		if n.Dtype() == tensor.Int64 && n.Op() != nil {
			return n.Op()
		}
	}
	t.Fatal("no draw")
	return nil
}

// A run without noise has no row: under EvalMode, classes along the first axis are
// fine.
func TestSeekWithDeterministicEval(t *testing.T) {
	g, src := G.NewGraph(), ops.NewSource(3)
	x := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 2), G.WithName("x"),
		G.WithValue(tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]float64{1, 2, 3, 1}))))
	y := G.Must(ops.Categorical(x, ops.WithAxis(0), ops.WithSource(src), ops.WithDeterministicEval()))
	src.Seek(0, 7)
	m := G.NewTapeMachine(g, G.EvalMode())
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	if got := elements[float64](y.Value()); !slices.Equal(got, []float64{0, 1, 1, 0}) {
		t.Errorf("the sample is %v, want the mode", got)
	}
	training := G.NewTapeMachine(g)
	defer training.Close()
	if err := training.RunAll(); err == nil {
		t.Error("no error in training")
	}
}
