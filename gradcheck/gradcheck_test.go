package gradcheck

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

var inf = math.Inf(1)

// onVector builds sum(w ⊙ f(x)) for fixed weights w and differentiates it by x.
func onVector(f func(x *G.Node) *G.Node, x ...float64) Build {
	return func(g *G.ExprGraph, _ *ops.Source) (*G.Node, G.Nodes, error) {
		n := vector(g, "x", x...)
		return weighted(f(n)), G.Nodes{n}, nil
	}
}

func vector(g *G.ExprGraph, name string, values ...float64) *G.Node {
	return G.NewVector(g, tensor.Float64, G.WithShape(len(values)), G.WithName(name),
		G.WithValue(tensor.New(tensor.WithShape(len(values)), tensor.WithBacking(slices.Clone(values)))))
}

func matrix(g *G.ExprGraph, name string, rows, columns int, values ...float64) *G.Node {
	return G.NewMatrix(g, tensor.Float64, G.WithShape(rows, columns), G.WithName(name),
		G.WithValue(tensor.New(tensor.WithShape(rows, columns), tensor.WithBacking(slices.Clone(values)))))
}

func scalar(g *G.ExprGraph, name string, v float64) *G.Node {
	return G.NewScalar(g, tensor.Float64, G.WithName(name), G.WithValue(v))
}

// weighted is sum(w ⊙ y) with w = -0.5, 0.5, 1.5, …
func weighted(y *G.Node) *G.Node {
	w := make([]float64, y.Shape().TotalSize())
	for i := range w {
		w[i] = float64(i) - 0.5
	}
	return G.Must(G.Sum(G.Must(G.HadamardProd(y, vector(y.Graph(), "w", w...)))))
}

func apply(op G.Op) func(*G.Node) *G.Node {
	return func(x *G.Node) *G.Node { return G.Must(G.ApplyOp(op, x)) }
}

// twice adds two ops of one input, so that their gradients must add up.
func twice(f, g G.Op) func(*G.Node) *G.Node {
	return func(x *G.Node) *G.Node { return G.Must(G.Add(apply(f)(x), apply(g)(x))) }
}

func squared(x *G.Node) *G.Node     { return G.Must(G.Square(x)) }
func exponential(x *G.Node) *G.Node { return G.Must(G.Exp(x)) }
func identity(x *G.Node) *G.Node    { return x }

// fresh returns a Build that uses a new op in each graph.
func fresh(op func() G.Op, x ...float64) Build {
	return func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
		return onVector(apply(op()), x...)(g, src)
	}
}

// noisy is sum(w ⊙ x ⊙ noise), with noise from the source if that is wanted.
func noisy(seeded bool) Build {
	return func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
		if !seeded {
			src = ops.NewSource(5) // which nobody rewinds
		}
		x := vector(g, "x", 1, -2, 3)
		noise := G.Must(ops.GumbelLike(x, ops.WithSource(src)))
		return weighted(G.Must(G.HadamardProd(x, noise))), G.Nodes{x}, nil
	}
}

// product is sum(s · x ⊙ y), of two matrices and a scalar.
func product(g *G.ExprGraph, _ *ops.Source) (*G.Node, G.Nodes, error) {
	x, y := matrix(g, "x", 2, 3, 1, 2, 3, 4, 5, 6), matrix(g, "y", 2, 3, 1, -1, 2, -2, 3, -3)
	s := scalar(g, "s", 0.7)
	return G.Must(G.Sum(G.Must(G.Mul(G.Must(G.HadamardProd(x, y)), s)))), G.Nodes{x, y, s}, nil
}

// shared is sum((a + b)²): a and b have one node as their gradient.
func shared(g *G.ExprGraph, _ *ops.Source) (*G.Node, G.Nodes, error) {
	a, b := vector(g, "a", 1, 2), vector(g, "b", 3, -4)
	return G.Must(G.Sum(squared(G.Must(G.Add(a, b))))), G.Nodes{a, b}, nil
}

// unseeded has inputs that the clock initialises, in another way in each graph.
func unseeded(g *G.ExprGraph, _ *ops.Source) (*G.Node, G.Nodes, error) {
	x := G.NewMatrix(g, tensor.Float64, G.WithShape(3, 2), G.WithName("x"), G.WithInit(G.Gaussian(0, 1)))
	s := scalar(g, "s", float64(graphs.next()))
	return G.Must(G.Sum(G.Must(G.Mul(squared(x), s)))), G.Nodes{x, s}, nil
}

type counter int

func (c *counter) next() counter { *c++; return *c }

var graphs counter

// model is a small network with a soft sample in it.
func model(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
	x, w := matrix(g, "x", 2, 2, 1, -0.5, 0.3, 2), matrix(g, "w", 2, 3, 0.1, -0.2, 0.7, 1, -1.5, 0.4)
	tau := scalar(g, "tau", 0.7)
	y := G.Must(ops.GumbelSoftmax(G.Must(G.Mul(x, w)), tau, ops.WithSource(src)))
	return G.Must(G.Sum(squared(y))), G.Nodes{w, tau, x}, nil
}

// sample is the cost of a hard sample, or of the soft one that it came from.
func sample(opts ...ops.GumbelSoftmaxOption) Build {
	return func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
		x, tau := vector(g, "x", 1, -2, 3), scalar(g, "tau", 0.7)
		return weighted(G.Must(ops.GumbelSoftmax(x, tau, append(opts, ops.WithSource(src))...))), G.Nodes{x, tau}, nil
	}
}

// readToo leaves a Read in the graph.
func readToo(g *G.ExprGraph, _ *ops.Source) (*G.Node, G.Nodes, error) {
	x := vector(g, "x", 1, 2)
	y := squared(x)
	G.Read(y, new(G.Value))
	cost := weighted(y)
	G.Read(cost, new(G.Value))
	return cost, G.Nodes{x}, nil
}

func one(float64) float64 { return 1 }

func TestRightGradientsPass(t *testing.T) {
	for _, tt := range []struct {
		name  string
		build Build
		opts  []Option
	}{
		{"builtin", onVector(squared, 1, -2, 3), nil},
		{"one element", onVector(squared, 1.5), nil},
		{"own op", onVector(apply(&square{}), 1, -2, 3), nil},
		{"added up", onVector(twice(&square{id: 1}, &square{id: 2}), 1, -2, 3), nil},
		{"straight through", onVector(apply(&square{id: 1, gradient: one}), 1, -2, 3), []Option{WithSurrogate(onVector(identity, 1, -2, 3))}},
		{"masked", onVector(exponential, 1, -inf, 0.5), nil},
		{"rewound", noisy(true), nil},
		{"another seed", noisy(true), []Option{WithSeed(7)}},
		{"scalar and matrices", product, nil},
		{"one gradient for two inputs", shared, nil},
		{"initialised at random", unseeded, nil},
		{"model", model, nil},
		{"hard sample", sample(ops.WithHard()), []Option{WithSurrogate(sample())}},
		{"reads", readToo, nil},
		{"huge values", onVector(squared, 1e6, -3e6), []Option{WithStep(1)}},
		{"coarse tolerance", onVector(apply(&square{gradient: off}), 1, -2, 3), []Option{WithTolerance(1e-4)}},
		{"evaluation", fresh(func() G.Op { return &square{trains: true} }, 1, -2, 3), []Option{WithEvalMode()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := Check(tt.build, tt.opts...); err != nil {
				t.Error(err)
			}
		})
	}
}

func off(x float64) float64 { return 2*x + 1e-5 }

func TestWrongGradientsFail(t *testing.T) {
	nan := func(float64) float64 { return math.NaN() }
	infinite := func(float64) float64 { return inf }
	for _, tt := range []struct {
		name  string
		build Build
		want  Mismatch // Analytic and Numeric to 9 digits
		lisp  bool     // a fault of the lisp machine alone
	}{
		{name: "off by 1e-5", build: onVector(apply(&square{gradient: off}), 1, -2, 3),
			want: Mismatch{Machine: dual, Input: "x", Index: []int{0}, Value: 1, Analytic: -1.000005, Numeric: -1, Tolerance: 1e-6, Wrong: 3, Checked: 3}},
		{name: "NaN", build: onVector(apply(&square{gradient: nan}), 1, -2, 3),
			want: Mismatch{Machine: dual, Input: "x", Index: []int{0}, Value: 1, Analytic: math.NaN(), Numeric: -1, Tolerance: 1e-6, Wrong: 3, Checked: 3}},
		{name: "infinite", build: onVector(apply(&square{gradient: infinite}), 1, -2, 3),
			want: Mismatch{Machine: dual, Input: "x", Index: []int{0}, Value: 1, Analytic: -inf, Numeric: -1, Tolerance: 1e-6, Wrong: 3, Checked: 3}},
		{name: "wrong on the lisp machine alone", lisp: true, build: onVector(apply(&square{lispFactor: 1}), 1, -2, 3),
			want: Mismatch{Machine: onLisp, Input: "x", Index: []int{1}, Value: -2, Analytic: -4, Numeric: -2, Tolerance: 2e-6, Wrong: 3, Checked: 3}},
		{name: "set in place of added", lisp: true, build: onVector(twice(&square{id: 1, sets: true}, &square{id: 2, sets: true}), 1, -2, 3),
			want: Mismatch{Machine: onLisp, Input: "x", Index: []int{2}, Value: 3, Analytic: 9, Numeric: 18, Tolerance: 18e-6, Wrong: 3, Checked: 3}},
		{name: "no gradient on the lisp machine", lisp: true, build: onVector(apply(symbolicOnly{&square{}}), 1, -2, 3),
			want: Mismatch{Machine: onLisp, Input: "x", Index: []int{1}, Value: -2, Analytic: 0, Numeric: -2, Tolerance: 2e-6, Wrong: 3, Checked: 3}},
		{name: "stale in the second run", build: fresh(func() G.Op { return &square{ages: true} }, 1, -2, 3),
			want: Mismatch{Machine: second, Input: "x", Index: []int{1}, Value: -2, Analytic: -4, Numeric: -2, Tolerance: 2e-6, Wrong: 3, Checked: 3}},
		{name: "masked gradient", build: onVector(apply(&square{value: math.Exp, gradient: one}), -inf, 0),
			want: Mismatch{Machine: dual, Input: "x", Index: []int{0}, Value: -inf, Analytic: -0.5}},
		{name: "one element of a matrix", build: wrongMatrix,
			want: Mismatch{Machine: dual, Input: "m", Index: []int{1, 2}, Value: 6, Analytic: 13, Numeric: 12, Tolerance: 12e-6, Wrong: 1, Checked: 6}},
		{name: "in training alone", build: fresh(func() G.Op { return &square{trains: true} }, 1, -2, 3),
			want: Mismatch{Machine: dual, Input: "x", Index: []int{1}, Value: -2, Analytic: -4, Numeric: -2, Tolerance: 2e-6, Wrong: 3, Checked: 3}},
		{name: "scalar", build: wrongScalar,
			want: Mismatch{Machine: dual, Input: "s", Index: []int{}, Value: 3, Analytic: 7, Numeric: 6, Tolerance: 6e-6, Wrong: 1, Checked: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if G.CUDA && (tt.lisp || tt.want.Machine == second) {
				t.Skip("takes a single run on CUDA")
			}
			if G.CUDA {
				tt.want.Machine = second
			}
			wantMismatch(t, Check(tt.build), tt.want)
			if tt.lisp {
				if err := Check(tt.build, WithoutLispMachine()); err != nil {
					t.Errorf("without the lisp machine: %v", err)
				}
			}
		})
	}
}

const (
	dual   = onTape + ", dual values"
	second = onTape + ", second run"
)

// wrongMatrix and wrongScalar are right but for the derivative by one element.
func wrongMatrix(g *G.ExprGraph, _ *ops.Source) (*G.Node, G.Nodes, error) {
	m := matrix(g, "m", 2, 3, 1, 2, 3, 4, 5, 6)
	return G.Must(G.Sum(apply(&square{rank: 2, gradient: wrongAt(6)})(m))), G.Nodes{m}, nil
}

func wrongScalar(g *G.ExprGraph, _ *ops.Source) (*G.Node, G.Nodes, error) {
	x, s := vector(g, "x", 1, 2), scalar(g, "s", 3)
	y := G.Must(G.ApplyOp(&square{scalar: true, gradient: wrongAt(3)}, s))
	return G.Must(G.Add(G.Must(G.Sum(x)), y)), G.Nodes{x, s}, nil
}

func wrongAt(at float64) func(float64) float64 {
	return func(x float64) float64 {
		if x == at {
			return 2*x + 1
		}
		return 2 * x
	}
}

func wantMismatch(t *testing.T, err error, want Mismatch) {
	t.Helper()
	var got *Mismatch
	if !errors.As(err, &got) {
		t.Fatalf("error %v, want a Mismatch", err)
	}
	same := func(a, b float64) bool {
		return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*math.Abs(b)
	}
	if !same(got.Analytic, want.Analytic) || !same(got.Numeric, want.Numeric) || !same(got.Tolerance, want.Tolerance) {
		t.Errorf("derivative %v and %v, tolerance %v, want %v and %v, %v",
			got.Analytic, got.Numeric, got.Tolerance, want.Analytic, want.Numeric, want.Tolerance)
	}
	if got.Machine != want.Machine || got.Input != want.Input || !slices.Equal(got.Index, want.Index) || got.Value != want.Value ||
		got.Wrong != want.Wrong || got.Checked != want.Checked {
		t.Errorf("got %+v, want %+v", *got, want)
	}
}

func TestMismatchText(t *testing.T) {
	for want, m := range map[string]Mismatch{
		"lisp machine: the derivative by w[1,0] is 4, but finite differences give 2 (tolerance 2e-06); wrong in 3 of the 6 elements checked of w": {
			Machine: onLisp, Input: "w", Index: []int{1, 0}, Value: 0.5, Analytic: 4, Numeric: 2, Tolerance: 2e-6, Wrong: 3, Checked: 6},
		"tape machine, second run: the derivative by tau is NaN, but finite differences give 1.5 (tolerance 1.5e-06); wrong in 1 of the 1 elements checked of tau": {
			Machine: second, Input: "tau", Analytic: math.NaN(), Numeric: 1.5, Tolerance: 1.5e-6, Wrong: 1, Checked: 1},
		"tape machine, dual values: the derivative by x[3] is 0.1, want exactly 0 because x[3] is -Inf": {
			Machine: dual, Input: "x", Index: []int{3}, Value: -inf, Analytic: 0.1},
	} {
		if got := m.Error(); got != want {
			t.Errorf("got\n\t%s\nwant\n\t%s", got, want)
		}
	}
}

// wantError wants an error with a text that is no Mismatch.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "gradcheck: Check: ") {
		t.Errorf("got %v, want an error with %q", err, want)
	}
	if m := (*Mismatch)(nil); errors.As(err, &m) {
		t.Errorf("%v is a Mismatch", err)
	}
}

func TestVaryingCosts(t *testing.T) {
	clock := 0.0
	for _, tt := range []struct {
		name  string
		build Build
		want  string
	}{
		{"draws not rewound", noisy(false), "finite differences, last run: the cost is"},
		{"data differ", func(g *G.ExprGraph, _ *ops.Source) (*G.Node, G.Nodes, error) {
			clock++
			x := vector(g, "x", 1, 2)
			return G.Must(G.Sum(G.Must(G.HadamardProd(x, vector(g, "data", clock, 1))))), G.Nodes{x}, nil
		}, "in finite differences, first run: give the source to every random node with ops.WithSource, and use the same data"},
		{"varies from run to run", fresh(func() G.Op { return &square{random: true} }, 1, -2, 3), "the cost is"},
		{"NaN", onVector(func(x *G.Node) *G.Node { return G.Must(G.Log(x)) }, -1, 2), "finite differences, first run: the cost is NaN, want a finite number"},
	} {
		t.Run(tt.name, func(t *testing.T) { wantError(t, Check(tt.build), tt.want) })
	}
}

func TestBadUse(t *testing.T) {
	cause := errors.New("no cost")
	failing := func(*G.ExprGraph, *ops.Source) (*G.Node, G.Nodes, error) { return nil, nil, cause }
	good := onVector(squared, 1, 2)
	// with changes what a good build returns.
	with := func(change func(g *G.ExprGraph, cost *G.Node, wrt G.Nodes) (*G.Node, G.Nodes)) Build {
		return func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
			cost, wrt, err := good(g, src)
			cost, wrt = change(g, cost, wrt)
			return cost, wrt, err
		}
	}
	inputs := func(list func(g *G.ExprGraph, cost *G.Node, wrt G.Nodes) G.Nodes) Build {
		return with(func(g *G.ExprGraph, cost *G.Node, wrt G.Nodes) (*G.Node, G.Nodes) { return cost, list(g, cost, wrt) })
	}
	calls := 0
	later := func(change func(g *G.ExprGraph) G.Nodes) Build {
		calls = 0
		return inputs(func(g *G.ExprGraph, _ *G.Node, wrt G.Nodes) G.Nodes {
			if calls++; calls > 1 {
				return change(g)
			}
			return wrt
		})
	}
	for _, tt := range []struct {
		name  string
		build Build
		opts  []Option
		want  string
	}{
		{"no build", nil, nil, "build is nil"},
		{"nil option", good, []Option{nil}, "option 0 is nil"},
		{"tolerance 0", good, []Option{WithTolerance(0)}, "WithTolerance: 0, want a finite number above 0"},
		{"tolerance NaN", good, []Option{WithTolerance(math.NaN())}, "WithTolerance: NaN, want"},
		{"step below 0", good, []Option{WithStep(-1)}, "WithStep: -1, want"},
		{"infinite step", good, []Option{WithStep(inf)}, "WithStep: +Inf, want"},
		{"no elements", good, []Option{WithMaxElements(0)}, "WithMaxElements: 0, want at least 1"},
		{"nil surrogate", good, []Option{WithSurrogate(nil)}, "WithSurrogate: build is nil"},
		{"build fails", failing, nil, "tape machine: no cost"},
		{"surrogate fails", good, []Option{WithSurrogate(failing)}, "finite differences: no cost"},
		{"build panics with an error", func(*G.ExprGraph, *ops.Source) (*G.Node, G.Nodes, error) { panic(cause) }, nil, "tape machine: no cost"},
		{"build panics", func(*G.ExprGraph, *ops.Source) (*G.Node, G.Nodes, error) { panic("out") }, nil, "tape machine: panic: out"},
		{"build has a bug", func(*G.ExprGraph, *ops.Source) (*G.Node, G.Nodes, error) {
			return (*G.Node)(nil).Graph().Inputs()[0], nil, nil
		}, nil, "gradcheck_test.go"},
		{"no cost", with(func(_ *G.ExprGraph, _ *G.Node, wrt G.Nodes) (*G.Node, G.Nodes) { return nil, wrt }), nil, "build returned no cost"},
		{"cost not scalar", with(func(_ *G.ExprGraph, _ *G.Node, wrt G.Nodes) (*G.Node, G.Nodes) { return wrt[0], wrt }), nil, "the cost has shape (2), want a scalar"},
		{"cost elsewhere", with(func(_ *G.ExprGraph, _ *G.Node, wrt G.Nodes) (*G.Node, G.Nodes) {
			return scalar(G.NewGraph(), "c", 1), wrt
		}), nil, "the cost is in another graph"},
		{"float32 cost", with(func(g *G.ExprGraph, _ *G.Node, wrt G.Nodes) (*G.Node, G.Nodes) {
			return G.NewScalar(g, tensor.Float32, G.WithName("c")), wrt
		}), nil, "the cost has dtype float32, want float64"},
		{"no inputs", inputs(func(*G.ExprGraph, *G.Node, G.Nodes) G.Nodes { return nil }), nil, "build returned no inputs"},
		{"nil input", inputs(func(_ *G.ExprGraph, _ *G.Node, wrt G.Nodes) G.Nodes { return append(wrt, nil) }), nil, "input 1 is nil"},
		{"not an input", inputs(func(_ *G.ExprGraph, cost *G.Node, wrt G.Nodes) G.Nodes { return append(wrt, cost) }), nil, "is not an input"},
		{"input elsewhere", inputs(func(*G.ExprGraph, *G.Node, G.Nodes) G.Nodes {
			return G.Nodes{vector(G.NewGraph(), "y", 1)}
		}), nil, "the input y is in another graph"},
		{"input twice", inputs(func(_ *G.ExprGraph, _ *G.Node, wrt G.Nodes) G.Nodes { return append(wrt, wrt...) }), nil, "the input x is listed twice"},
		{"float32 input", inputs(func(g *G.ExprGraph, _ *G.Node, _ G.Nodes) G.Nodes {
			return G.Nodes{G.NewVector(g, tensor.Float32, G.WithShape(1), G.WithName("half"))}
		}), nil, "the input half has dtype float32, want float64"},
		{"input without value", inputs(func(g *G.ExprGraph, _ *G.Node, _ G.Nodes) G.Nodes {
			return G.Nodes{G.NewVector(g, tensor.Float64, G.WithShape(1), G.WithName("empty"))}
		}), nil, "the input empty has no value"},
		{"nameless input without value", inputs(func(g *G.ExprGraph, _ *G.Node, wrt G.Nodes) G.Nodes {
			return append(wrt, G.NewVector(g, tensor.Float64, G.WithShape(1)))
		}), nil, "the input number 1 has no value"},
		{"NaN input", onVector(squared, 1, math.NaN()), nil, "the input x is NaN at [1]"},
		{"nothing finite", onVector(exponential, -inf, -inf), nil, "no input has a finite element"},
		{"unused input", inputs(func(g *G.ExprGraph, _ *G.Node, wrt G.Nodes) G.Nodes {
			return append(wrt, vector(g, "unused", 1))
		}), nil, "tape machine: "},
		{"fewer inputs later", later(func(*G.ExprGraph) G.Nodes { return G.Nodes{} }), nil, "build returned no inputs"},
		{"other inputs later", later(func(g *G.ExprGraph) G.Nodes { return G.Nodes{vector(g, "y", 1)} }), nil, "the input y has shape (1), want (2) as in the first call"},
		{"more inputs later", later(func(g *G.ExprGraph) G.Nodes {
			return G.Nodes{vector(g, "y", 1), vector(g, "z", 1)}
		}), nil, "build returned 2 inputs, want 1 as in the first call"},
		{"op fails", onVector(apply(&square{fails: cause}), 1, 2), nil, "finite differences: "},
		{"input overwritten", onVector(apply(&square{writes: true}), 1, 2), nil, "finite differences: a run changed the input x[0] from 1 to 1000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls = 0
			err := Check(tt.build, tt.opts...)
			wantError(t, err, tt.want)
			if strings.Contains(tt.name, "fails") && !errors.Is(err, cause) {
				t.Errorf("%v does not wrap its cause", err)
			}
		})
	}
}

// Gorgonia mostly hides a gradient of another shape or fails at it, so what a
// machine left is made up here.
func TestBadGradientValues(t *testing.T) {
	p := &point{[]*input{{name: "m", shape: tensor.Shape{2, 3}}}}
	for _, tt := range []struct {
		value G.Value
		err   error
		want  string
	}{
		{nil, nil, "the gradient of m has no value"},
		{nil, errors.New("lost"), "the gradient of m: lost"},
		{G.NewF64(1), nil, "the gradient of m is a scalar, want an array of shape (2, 3)"},
		{tensor.New(tensor.WithShape(3, 2), tensor.Of(tensor.Float64)), nil, "the gradient of m has shape (3, 2), want (2, 3)"},
		{tensor.New(tensor.WithShape(2, 3), tensor.Of(tensor.Float32)), nil, "the gradient of m holds float32, want float64"},
	} {
		_, err := new(graph).gradients(p, func(int) (G.Value, error) { return tt.value, tt.err })
		if err == nil || err.Error() != tt.want {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}

// A LispMachine differentiates all outputs, and writes a file where it refuses.
func TestOutputsBesidesTheCost(t *testing.T) {
	if G.CUDA {
		t.Skip("no lisp machine on CUDA")
	}
	beside := func(more func(x, cost *G.Node)) Build {
		return func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
			cost, wrt, err := onVector(squared, 1, 2)(g, src)
			more(wrt[0], cost)
			return cost, wrt, err
		}
	}
	t.Chdir(t.TempDir())
	for _, tt := range []struct {
		name  string
		build Build
		want  string // of the lisp machine; none if it takes the graph
	}{
		{"vector", beside(func(x, _ *G.Node) { G.Must(G.Exp(x)) }), "is an output besides the cost"},
		{"scalar", beside(func(x, _ *G.Node) { G.Must(G.Sum(x)) }), "is an output besides the cost"},
		{"read", beside(func(x, _ *G.Node) { G.Read(G.Must(G.Exp(x)), new(G.Value)) }), "is an output besides the cost"},
		{"unused input", beside(func(x, _ *G.Node) { vector(x.Graph(), "unused", 1) }), "is an output besides the cost"},
		{"unused scalar", beside(func(x, _ *G.Node) { scalar(x.Graph(), "unused", 1) }), ""},
		{"cost used", beside(func(_, cost *G.Node) { G.Must(G.Neg(cost)) }), "is an output besides the cost"},
		{"cost read", beside(func(_, cost *G.Node) { G.Read(cost, new(G.Value)) }), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Check(tt.build)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, "lisp machine: ")
			wantError(t, err, tt.want)
			wantError(t, err, "WithoutLispMachine")
			if err := Check(tt.build, WithoutLispMachine()); err != nil {
				t.Errorf("without the lisp machine: %v", err)
			}
		})
	}
	if files, err := os.ReadDir("."); err != nil || len(files) > 0 {
		t.Errorf("files are left: %v, %v", files, err)
	}
}

// The caller's tensors stay as they are, even if an op writes to its input.
func TestDataUntouched(t *testing.T) {
	data := []float64{1, -2, 3}
	backing := tensor.New(tensor.WithBacking(data))
	for _, op := range []G.Op{&square{}, &square{writes: true}} {
		Check(func(g *G.ExprGraph, _ *ops.Source) (*G.Node, G.Nodes, error) {
			x := G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("x"), G.WithValue(backing))
			return weighted(apply(op)(x)), G.Nodes{x}, nil
		})
		if !slices.Equal(data, []float64{1, -2, 3}) {
			t.Fatalf("the data are now %v", data)
		}
	}
}

// Values are copied from any layout.
func TestTransposedInput(t *testing.T) {
	if err := Check(func(g *G.ExprGraph, _ *ops.Source) (*G.Node, G.Nodes, error) {
		turned := tensor.New(tensor.WithShape(3, 2), tensor.WithBacking([]float64{1, 2, 3, 4, 5, 6}))
		if err := turned.T(); err != nil {
			return nil, nil, err
		}
		x := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("x"), G.WithValue(turned))
		w := matrix(g, "w", 2, 3, 1, 2, 3, 4, 5, 6)
		return G.Must(G.Sum(G.Must(G.HadamardProd(squared(x), w)))), G.Nodes{x}, nil
	}); err != nil {
		t.Error(err)
	}
}

// WithMaxElements takes the elements that it says and misses faults elsewhere.
func TestMaxElements(t *testing.T) {
	const size, wrong = 1000, 617.0
	values := make([]float64, size)
	for i := range values {
		values[i] = float64(i)
	}
	values[3] = -inf
	evaluations := 0
	build := func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
		op := &square{value: func(x float64) float64 {
			if x == 1 {
				evaluations++
			}
			if math.IsInf(x, 0) {
				return 0
			}
			return x * x
		}, gradient: func(x float64) float64 {
			if math.IsInf(x, 0) {
				return 0
			}
			return wrongAt(wrong)(x)
		}}
		x := vector(g, "x", values...)
		return G.Must(G.Sum(apply(op)(x))), G.Nodes{x}, nil
	}
	wide := WithStep(0.5) // the cost is a large sum of squares
	if err := Check(build, wide, WithMaxElements(10)); err != nil {
		t.Error(err)
	}
	if evaluations > 30 {
		t.Errorf("10 elements took %d runs", evaluations)
	}
	err := Check(build, wide)
	var m *Mismatch
	if !errors.As(err, &m) || m.Value != wrong || m.Checked != size-1 {
		t.Errorf("all elements: error %v", err)
	}
}

// Check builds one graph per machine, however many elements it checks.
func TestBuildsPerCheck(t *testing.T) {
	for _, tt := range []struct {
		opts  []Option
		tapes int
		lisp  bool
	}{
		{nil, 2, true},
		{[]Option{WithoutLispMachine()}, 2, false},
		{[]Option{WithSurrogate(model)}, 1, true},
	} {
		builds := 0
		if err := Check(func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
			builds++
			return model(g, src)
		}, tt.opts...); err != nil {
			t.Error(err)
		}
		want := tt.tapes
		if tt.lisp && !G.CUDA {
			want++
		}
		if builds != want {
			t.Errorf("%d builds, want %d", builds, want)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, tt := range []struct{ n, m int }{{1, 1}, {5, 5}, {7, 3}, {100, 99}, {1000, 10}, {1 << 20, 512}} {
		last := -1
		columns := map[int]bool{}
		for k := range tt.m {
			at := spread(k, tt.n, tt.m)
			if at <= last || at < k*tt.n/tt.m || at >= (k+1)*tt.n/tt.m {
				t.Fatalf("%d of %d: element %d is %d, after %d", tt.m, tt.n, k, at, last)
			}
			last = at
			columns[at%2048] = true
		}
		if tt.n == 1<<20 && len(columns) < 400 {
			t.Errorf("512 elements lie in %d columns", len(columns))
		}
	}
}
