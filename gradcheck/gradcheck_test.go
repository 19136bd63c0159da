package gradcheck

import (
	"errors"
	"math"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// builtin builds sum(w ⊙ x ⊙ x).
func builtin(_ *G.ExprGraph, in G.Nodes) (*G.Node, func() error, error) {
	return weighted(G.Must(G.Square(in[0])), in[1]), nil, nil
}

// apply builds sum(w ⊙ f(x)).
func apply(f G.Op) Build {
	return func(_ *G.ExprGraph, in G.Nodes) (*G.Node, func() error, error) {
		return weighted(G.Must(G.ApplyOp(f, in[0])), in[1]), nil, nil
	}
}

func weighted(y, w *G.Node) *G.Node { return G.Must(G.Sum(G.Must(G.HadamardProd(y, w)))) }

// twice builds sum(w ⊙ (f(x) + g(x))), where two gradients must add up.
func twice(f, g G.Op) Build {
	return func(_ *G.ExprGraph, in G.Nodes) (*G.Node, func() error, error) {
		y := G.Must(G.Add(G.Must(G.ApplyOp(f, in[0])), G.Must(G.ApplyOp(g, in[0]))))
		return weighted(y, in[1]), nil, nil
	}
}

func exponential(_ *G.ExprGraph, in G.Nodes) (*G.Node, func() error, error) {
	return weighted(G.Must(G.Exp(in[0])), in[1]), nil, nil
}

func identity(_ *G.ExprGraph, in G.Nodes) (*G.Node, func() error, error) {
	return weighted(in[0], in[1]), nil, nil
}

// drawing builds a cost that each run changes, unless its op is put back.
func drawing(rewinds bool) Build {
	return func(_ *G.ExprGraph, in G.Nodes) (*G.Node, func() error, error) {
		op := &square{random: true}
		cost := weighted(G.Must(G.ApplyOp(op, in[0])), in[1])
		if !rewinds {
			return cost, nil, nil
		}
		return cost, func() error { op.values = 0; return nil }, nil
	}
}

// scaled is x times a scalar that is itself an input.
func scaled(_ *G.ExprGraph, in G.Nodes) (*G.Node, func() error, error) {
	x := G.Must(G.HadamardProd(in[0], in[1]))
	return G.Must(G.Sum(G.Must(G.Mul(x, in[2])))), nil, nil
}

func pair(x ...float64) []Input {
	w := make([]float64, len(x))
	for i := range w {
		w[i] = float64(i) - 0.5
	}
	shape := tensor.Shape{len(x)}
	return []Input{{Name: "x", Shape: shape, Data: x}, {Name: "w", Shape: shape, Data: w, Fixed: true}}
}

func TestRightGradientsPass(t *testing.T) {
	matrix := tensor.Shape{2, 3}
	tests := []struct {
		name             string
		build, surrogate Build
		inputs           []Input
	}{
		{"builtin", builtin, nil, pair(1, -2, 3)},
		{"one element", builtin, nil, pair(1.5)},
		{"own op", apply(&square{}), nil, pair(1, -2, 3)},
		{"added up", twice(&square{id: 1}, &square{id: 2}), nil, pair(1, -2, 3)},
		{"straight through", apply(&square{id: 1, gradient: func(float64) float64 { return 1 }}), identity, pair(1, -2, 3)},
		{"masked", exponential, nil, pair(1, math.Inf(-1), 0.5)},
		{"rewound", drawing(true), nil, pair(1, -2, 3)},
		{"scalar and matrices", scaled, nil, []Input{
			{Name: "x", Shape: matrix, Data: []float64{1, 2, 3, 4, 5, 6}},
			{Name: "w", Shape: matrix, Data: []float64{1, -1, 2, -2, 3, -3}},
			{Name: "s", Data: []float64{0.7}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := Check(tt.build, tt.surrogate, tt.inputs); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWrongGradientsFail(t *testing.T) {
	off := func(x float64) float64 { return 2*x + 1e-5 }
	nan := func(float64) float64 { return math.NaN() }
	one := func(float64) float64 { return 1 }
	tests := []struct {
		name   string
		build  Build
		inputs []Input
		want   string // in the error
	}{
		{"off by 1e-5", apply(&square{gradient: off}), pair(1, -2, 3), "tape machine, dual values: the derivative by x[0] is -1.000005,"},
		{"NaN", apply(&square{gradient: nan}), pair(1, -2, 3), "the derivative by x[0] is NaN"},
		{"wrong on the lisp machine alone", apply(&square{lispFactor: 1}), pair(1, -2, 3), "lisp machine: the derivative by x[1] is -4,"},
		{"set in place of added", twice(&square{id: 1, sets: true}, &square{id: 2, sets: true}), pair(1, -2, 3), "lisp machine: the derivative by x[2]"},
		{"no gradient on the lisp machine", apply(symbolicOnly{&square{}}), pair(1, -2, 3), "lisp machine: the derivative by x[1] is 0,"},
		{"stale in the second run", apply(&square{ages: true}), pair(1, -2, 3), "tape machine, second run: the derivative by x[1] is -4,"},
		{"masked gradient", apply(&square{value: math.Exp, gradient: one}), pair(math.Inf(-1), 0), "x[0], which is -Inf, is -0.5 and not 0"},
		{"draws not rewound", drawing(false), pair(1, -2, 3), "second run: the cost is"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Check(tt.build, nil, tt.inputs)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestBadUse(t *testing.T) {
	failing := func(*G.ExprGraph, G.Nodes) (*G.Node, func() error, error) { return nil, nil, errors.New("no cost") }
	vector := func(_ *G.ExprGraph, in G.Nodes) (*G.Node, func() error, error) { return in[0], nil, nil }
	stuck := func(g *G.ExprGraph, in G.Nodes) (*G.Node, func() error, error) {
		cost, _, err := builtin(g, in)
		return cost, func() error { return errors.New("stuck") }, err
	}
	fixed := pair(1, 2)
	fixed[0].Fixed = true
	short := pair(1, 2)
	short[0].Data = []float64{1}
	tests := []struct {
		name   string
		build  Build
		inputs []Input
		want   string
	}{
		{"data of another size", builtin, short, `input "x": 1 values for shape (2): give 2`},
		{"nothing free", builtin, fixed, "no input to differentiate by"},
		{"build fails", failing, pair(1, 2), "no cost"},
		{"cost not scalar", vector, pair(1, 2), "the cost has shape (2)"},
		{"rewind fails", stuck, pair(1, 2), "rewind: stuck"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Check(tt.build, nil, tt.inputs)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "gradcheck: Check: ") {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}
