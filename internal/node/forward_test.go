//go:build !cuda

package node

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/layout"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// cube is x³ and saves x. It counts how often it runs.
type cube struct{ forwards, backwards *int }

func (c cube) Saves(func(int) bool) int { return 2 }

func (c cube) Forward(a Args[float64], out, saved []float64) error {
	*c.forwards++
	for i, x := range a.In("x") {
		if math.IsNaN(x) {
			return &Problem{Input: "x", Index: i, Value: x, Text: "x is NaN"}
		}
		out[i] = x * x * x
	}
	copy(saved, a.In("x"))
	return nil
}

func (c cube) Backward(_ Args[float64], _ int, dst, saved, grad []float64) error {
	*c.backwards++
	for i, x := range saved {
		dst[i] = 3 * x * x * grad[i]
	}
	return nil
}

func (cube) Plan(Device, plan.Pointer) []plan.Launch { return nil }

func (cube) PlanBackward(Device, int, plan.Pointer, plan.Pointer) []plan.Launch { return nil }

// cubed builds the node of a cube, and the gradient of its sum.
func cubed(t *testing.T) (c cube, x, y, dx *G.Node) {
	t.Helper()
	c = cube{new(int), new(int)}
	g := G.NewGraph()
	x = G.NewVector(g, tensor.Float64, G.WithShape(2), G.WithName("x"))
	y, err := New(Spec{Package: "test", Name: "Cube", Dtype: tensor.Float64, Shape: x.Shape(), Inputs: []Input{In("x", x, 0)}}, nil, c)
	if err != nil {
		t.Fatal(err)
	}
	grads, err := G.Grad(G.Must(G.Sum(y)), x)
	if err != nil {
		t.Fatal(err)
	}
	return c, x, y, grads[0]
}

func vector(x ...float64) G.Value { return layout.Value(tensor.Shape{len(x)}, x) }

// A backward pass uses what its own run saved, also where another machine has run
// in between, and computes it again only then.
func TestRunsStayApart(t *testing.T) {
	c, _, y, dx := cubed(t)
	forward, backward := y.Op(), dx.Op()
	first, err := forward.Do(vector(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	check := func(x, out G.Value, want ...float64) {
		t.Helper()
		got, err := backward.Do(x, out, vector(1, 1))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Data().([]float64), want) {
			t.Errorf("the gradient is %v, want %v", got, want)
		}
	}
	check(vector(1, 2), first, 3, 12)
	if *c.forwards != 1 {
		t.Errorf("%d forward passes for one run, want 1", *c.forwards)
	}
	second, err := forward.Do(vector(3, 4))
	if err != nil {
		t.Fatal(err)
	}
	check(vector(1, 2), first, 3, 12)
	check(vector(3, 4), second, 27, 48)
	if *c.forwards != 3 {
		t.Errorf("%d forward passes, want one again for the run that was overtaken", *c.forwards)
	}
	if _, err := forward.Do(vector(5, math.NaN())); err == nil {
		t.Fatal("no error")
	}
	check(vector(3, 4), second, 27, 48)
}

// A gradient that nobody requested costs nothing.
func TestUnwantedGradient(t *testing.T) {
	c := cube{new(int), new(int)}
	g := G.NewGraph()
	x := G.NewVector(g, tensor.Float64, G.WithShape(2), G.WithName("x"), G.WithValue(vector(1, 2)))
	w := G.NewVector(g, tensor.Float64, G.WithShape(2), G.WithName("w"), G.WithValue(vector(3, 4)))
	y, err := New(Spec{Package: "test", Name: "Cube", Dtype: tensor.Float64, Shape: x.Shape(), Inputs: []Input{In("x", x, 0)}}, nil, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := G.Grad(G.Must(G.Sum(G.Must(G.HadamardProd(y, w)))), w); err != nil {
		t.Fatal(err)
	}
	m := G.NewTapeMachine(g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	if *c.forwards != 1 || *c.backwards != 0 {
		t.Errorf("%d forward and %d backward passes, want 1 and 0", *c.forwards, *c.backwards)
	}
}

func TestErrors(t *testing.T) {
	_, _, y, _ := cubed(t)
	_, err := y.Op().Do(vector(1, math.NaN()))
	var p *Problem
	if !errors.As(err, &p) || p.Op != "Cube" || p.Input != "x" || p.Index != 1 || !math.IsNaN(p.Value) {
		t.Errorf("error %v of problem %+v", err, p)
	}
	if !strings.HasPrefix(err.Error(), "test: Cube#") || !strings.HasSuffix(err.Error(), ": x is NaN") {
		t.Errorf("error %v", err)
	}
	if _, err := y.Op().Do(vector(1)); err == nil || !strings.Contains(err.Error(), "x has shape (1), want (2)") {
		t.Errorf("a wrong shape: error %v", err)
	}
}

// Constants are in no graph. One beside an input of a graph is fine; alone, or
// with an input of a second graph, the error names the op.
func TestGraphs(t *testing.T) {
	constant := G.NewConstant(tensor.New(tensor.WithBacking([]float64{1, 2})))
	input := func() *G.Node {
		return G.NewVector(G.NewGraph(), tensor.Float64, G.WithShape(2), G.WithName("x"), G.WithValue(vector(1, 2)))
	}
	build := func(inputs ...*G.Node) error {
		s := Spec{Package: "test", Name: "Cube", Dtype: tensor.Float64, Shape: tensor.Shape{2}, Draw: &Draw{}}
		for i, n := range inputs {
			s.Inputs = append(s.Inputs, In([]string{"x", "y"}[i], n, NoGradient))
		}
		_, err := New(s, nil, cube{new(int), new(int)})
		return err
	}
	for _, test := range []struct {
		inputs []*G.Node
		want   string // in the error; empty: none
	}{
		{G.Nodes{constant, input()}, ""},
		{G.Nodes{input(), constant}, ""},
		{G.Nodes{constant}, "test: Cube: x is a constant, which is in no graph"},
		{G.Nodes{input(), input()}, "test: Cube: y is in another graph than x"},
	} {
		err := build(test.inputs...)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%v: error %v, want %q", test.inputs, err, test.want)
		}
	}
}
