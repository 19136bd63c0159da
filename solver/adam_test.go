package solver

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/anneal"
	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
	"github.com/gumbel-go/gumbel/vm"
)

var _ G.Solver = (*Adam)(nil)

// param is a tensor with its gradient, as a solver sees them.
type param struct {
	name        string
	value, grad G.Value
}

func (p *param) Name() string           { return p.name }
func (p *param) Value() G.Value         { return p.value }
func (p *param) Grad() (G.Value, error) { return p.grad, nil }

// fresh is a param whose gradient each run overwrites.
type fresh struct{ *param }

func (fresh) FreshGradient() bool { return true }

func vector[T kernel.Float](values ...T) *tensor.Dense {
	return tensor.New(tensor.WithShape(len(values)), tensor.WithBacking(slices.Clone(values)))
}

// newParam has weights and a gradient of 0.
func newParam[T kernel.Float](weights ...T) *param {
	return &param{"w", vector(weights...), vector(make([]T, len(weights))...)}
}

func elementsOf[T kernel.Float](t testing.TB, v G.Value) []T {
	t.Helper()
	x, err := layout.Slice[T](v, v.Shape())
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func newAdam(t testing.TB, opts ...Option) *Adam {
	t.Helper()
	a, err := NewAdam(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func step(t testing.TB, s G.Solver, model ...G.ValueGrad) {
	t.Helper()
	if err := s.Step(model); err != nil {
		t.Fatal(err)
	}
}

func eachFloat(t *testing.T, single, double func(t *testing.T)) {
	t.Run("float32", single)
	t.Run("float64", double)
}

// gradients are n numbers from tiny to large, with zeros among them.
func gradients[T kernel.Float](r *rand.Rand, n int) []T {
	g := make([]T, n)
	for i := range g {
		g[i] = T(r.NormFloat64()*math.Pow(10, float64(i%9)-6)) * T(min(i%11, 1))
	}
	return g
}

func normal[T kernel.Float](r *rand.Rand, n int) []T {
	w := make([]T, n)
	for i := range w {
		w[i] = T(r.NormFloat64())
	}
	return w
}

// Steps have the bits of algorithm 1, with each operation rounded to T, in the
// order in which checkpoints of earlier versions were trained.
func TestBits(t *testing.T) {
	eachFloat(t, testBits[float32], testBits[float64])
}

func testBits[T kernel.Float](t *testing.T) {
	const n, steps, beta1, beta2, epsilon = 1003, 50, 0.9, 0.999, 1e-8
	r := rand.New(rand.NewPCG(1, 2))
	w := normal[T](r, n)
	mean, square := make([]T, n), make([]T, n)
	p := newParam(w...)
	a := newAdam(t)
	for s := range steps {
		rate := 1e-3 / float64(s+1)
		if err := a.SetLearningRate(rate); err != nil {
			t.Fatal(err)
		}
		g := gradients[T](r, n)
		copy(elementsOf[T](t, p.grad), g)
		step(t, a, p)
		unbiasMean := 1 / T(1-math.Pow(beta1, float64(s+1)))
		unbiasSquare := 1 / T(1-math.Pow(beta2, float64(s+1)))
		for i := range w {
			mean[i] = T(T(beta1)*mean[i]) + T((1-T(beta1))*g[i])
			square[i] = T(T(beta2)*square[i]) + T((1-T(beta2))*T(g[i]*g[i]))
			root := T(math.Sqrt(float64(T(square[i] * unbiasSquare))))
			w[i] -= T(T(rate)*T(mean[i]*unbiasMean)) / (root + T(epsilon))
		}
		if !slices.Equal(elementsOf[T](t, p.value), w) {
			t.Fatalf("step %d: not the bits of the formula", s+1)
		}
	}
}

// Gorgonia's solver does the same operations in the same order, so the two
// differ only where a compiler fuses a multiplication with an addition: by a few
// roundings per step, of the weight or, while moments of opposite sign cancel,
// of the update.
func TestAgainstGorgonia(t *testing.T) {
	eachFloat(t,
		func(t *testing.T) { testAgainstGorgonia[float32](t, 0x1p-24) },
		func(t *testing.T) { testAgainstGorgonia[float64](t, 0x1p-53) })
}

func testAgainstGorgonia[T kernel.Float](t *testing.T, rounding float64) {
	const n, steps, rate = 1000, 50, 0.01
	r := rand.New(rand.NewPCG(1, 2))
	values := normal[T](r, n)
	scalar := layout.Value(nil, []T{0.5})
	zero := layout.Value(nil, []T{0})
	models := [2][]*param{}
	for i := range models {
		value, err := G.CloneValue(scalar)
		if err != nil {
			t.Fatal(err)
		}
		grad, err := G.CloneValue(zero)
		if err != nil {
			t.Fatal(err)
		}
		models[i] = []*param{newParam(values...), {"s", value, grad}}
	}
	solvers := [2]G.Solver{
		newAdam(t, WithLearningRate(rate), WithBetas(0.8, 0.99), WithEpsilon(1e-6)),
		G.NewAdamSolver(G.WithLearnRate(rate), G.WithBeta1(0.8), G.WithBeta2(0.99), G.WithEps(1e-6)),
	}
	for s := range steps {
		g, gs := gradients[T](r, n), T(r.NormFloat64())
		for i, m := range models {
			copy(elementsOf[T](t, m[0].grad), g)
			m[1].grad = layout.Value(nil, []T{gs})
			step(t, solvers[i], m[0], m[1])
		}
		tolerance := float64(s+1) * 4 * rounding
		for i := range models[0] {
			got, want := elementsOf[T](t, models[0][i].value), elementsOf[T](t, models[1][i].value)
			for e := range got {
				if d := math.Abs(float64(got[e] - want[e])); !(d <= tolerance*math.Max(1, math.Abs(float64(want[e])))) {
					t.Fatalf("step %d: tensor %d, element %d is %v, Gorgonia's %v", s+1, i, e, got[e], want[e])
				}
			}
		}
	}
}

// The first step moves each weight by rate·g/(|g| + ε).
func TestFirstStep(t *testing.T) {
	p := newParam[float32](1, 1, 1)
	copy(elementsOf[float32](t, p.grad), []float32{3, -0.25, 0})
	step(t, newAdam(t, WithLearningRate(0.5)), p)
	for i, want := range []float64{0.5, 1.5, 1} {
		if got := elementsOf[float32](t, p.value)[i]; math.Abs(float64(got)-want) > 1e-5 {
			t.Errorf("weight %d is %v, want %v", i, got, want)
		}
	}
}

// The same numbers come from a float, a tensor without axes, vectors and
// matrices, and from a gradient that is a float or is not row-major.
func TestKindsOfValues(t *testing.T) {
	eachFloat(t, testKinds[float32], testKinds[float64])
}

func testKinds[T kernel.Float](t *testing.T) {
	numbers := []T{1, -2, 3, 4, -5, 6}
	shaped := func(shape ...int) func() G.Value {
		n := tensor.Shape(shape).TotalSize()
		return func() G.Value {
			return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(numbers[:n])))
		}
	}
	transposed := func() G.Value { // numbers, as (2, 3)
		d := tensor.New(tensor.WithShape(3, 2), tensor.WithBacking([]T{1, 4, -2, -5, 3, 6}))
		if err := d.T(); err != nil {
			t.Fatal(err)
		}
		return d
	}
	float := func() G.Value { return layout.Value(nil, numbers[:1]) }
	noAxes := func() G.Value { return tensor.New(tensor.FromScalar(numbers[0])) }
	empty := func() G.Value { return tensor.New(tensor.WithShape(0, 3), tensor.Of(layout.Dtype[T]())) }

	rows := []struct {
		name            string
		value, gradient func() G.Value
	}{
		{"vector", shaped(6), shaped(6)},
		{"matrix", shaped(2, 3), shaped(2, 3)},
		{"matrix, gradient transposed", shaped(2, 3), transposed},
		{"column", shaped(6, 1), shaped(6, 1)},
		{"one element", shaped(1), shaped(1)},
		{"float", float, float},
		{"no axes", noAxes, noAxes},
		{"no axes, gradient a float", noAxes, float},
		{"float, gradient without axes", float, noAxes},
		{"empty", empty, empty},
	}
	var params []*param
	var model []G.ValueGrad
	for _, r := range rows {
		p := &param{name: r.name, value: r.value()}
		params, model = append(params, p), append(model, p)
	}
	a := newAdam(t, WithLearningRate(0.1))
	for range 3 {
		for i, r := range rows {
			params[i].grad = r.gradient()
		}
		step(t, a, model...)
		want := elementsOf[T](t, params[0].value)
		for _, p := range params {
			if got := elementsOf[T](t, p.value); !slices.Equal(got, want[:len(got)]) {
				t.Errorf("%s: weights %v, want %v", p.name, got, want)
			}
			for i, g := range elementsOf[T](t, p.grad) {
				if g != 0 {
					t.Errorf("%s: gradient %d is %v after the step, want 0", p.name, i, g)
				}
			}
		}
	}
	if w := elementsOf[T](t, params[0].value); w[0] == 1 {
		t.Error("the weights have not changed")
	}
}

// Two tensors that share a gradient, as those of a + b do, both use it before it
// is cleared.
func TestSharedGradient(t *testing.T) {
	a, b := newParam[float64](1, 2), newParam[float64](1, 2)
	b.grad = a.grad
	copy(elementsOf[float64](t, a.grad), []float64{3, -4})
	step(t, newAdam(t), a, b)
	if x, y := elementsOf[float64](t, a.value), elementsOf[float64](t, b.value); !slices.Equal(x, y) || x[0] == 1 {
		t.Errorf("the weights are %v and %v", x, y)
	}
}

func TestFreshGradientIsKept(t *testing.T) {
	p := newParam[float32](1, 2)
	copy(elementsOf[float32](t, p.grad), []float32{3, -4})
	step(t, newAdam(t), fresh{p})
	if got := elementsOf[float32](t, p.grad); !slices.Equal(got, []float32{3, -4}) {
		t.Errorf("the gradient is %v", got)
	}
}

// Learning with vm.Gradients is the same as with BindDualValues, whose gradients
// add up unless they are cleared.
func TestInGraphs(t *testing.T) {
	if G.CUDA {
		t.Skip("BindDualValues does not work on CUDA")
	}
	build := func() (g *G.ExprGraph, learnables G.Nodes) {
		g = G.NewGraph()
		w := G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("w"), G.WithValue(vector(1.0, -2, 3)))
		s := G.NewScalar(g, tensor.Float64, G.WithName("s"), G.WithValue(0.5))
		cost := G.Must(G.Sum(G.Must(G.Square(G.Must(G.Mul(w, s))))))
		if _, err := G.Grad(cost, w, s); err != nil {
			t.Fatal(err)
		}
		return g, G.Nodes{w, s}
	}
	train := func(g *G.ExprGraph, model func() []G.ValueGrad, opts ...G.VMOpt) {
		m, err := vm.New(g, opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		a := newAdam(t, WithLearningRate(0.05))
		for range 20 {
			if err := m.RunAll(); err != nil {
				t.Fatal(err)
			}
			step(t, a, model()...)
			m.Reset()
		}
	}
	g1, bound := build()
	train(g1, func() []G.ValueGrad { return G.NodesToValueGrads(bound) }, G.BindDualValues(bound...))
	g2, read := build()
	gradients, err := vm.ReadGradients(read...)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range gradients.ValueGrads() {
		if f, ok := p.(FreshGradient); !ok || !f.FreshGradient() {
			t.Errorf("the gradient %d of vm is not fresh", i)
		}
	}
	train(g2, gradients.ValueGrads)
	for i, n := range bound {
		a, b := elementsOf[float64](t, n.Value()), elementsOf[float64](t, read[i].Value())
		if !slices.Equal(a, b) {
			t.Errorf("%s: %v with BindDualValues, %v with vm.Gradients", n.Name(), a, b)
		}
	}
	if s := elementsOf[float64](t, bound[1].Value())[0]; s > 0.2 {
		t.Errorf("s is %v after 20 steps, from 0.5", s)
	}
}

func TestStepErrors(t *testing.T) {
	cause := errors.New("no gradient here")
	column := tensor.New(tensor.WithShape(2, 1), tensor.WithBacking([]float64{1, 2}))
	turned := tensor.New(tensor.WithShape(2, 3), tensor.WithBacking(make([]float64, 6)))
	if err := turned.T(); err != nil {
		t.Fatal(err)
	}
	good := func() *param { return newParam(1.0, 2) }
	nan := good()
	elementsOf[float64](t, nan.grad)[1] = math.NaN()
	infinite := good()
	elementsOf[float64](t, infinite.grad)[0] = math.Inf(-1)
	for _, tt := range []struct {
		name  string
		model []G.ValueGrad // at the second step; the first has good(), "s"
		want  string
	}{
		{"fewer tensors", []G.ValueGrad{good()}, "the model has 1 tensors, want 2 as in the earlier steps"},
		{"more tensors", []G.ValueGrad{good(), good(), good()}, "the model has 3 tensors, want 2"},
		{"no tensors", nil, "the model has 0 tensors, want 2"},
		{"nil tensor", []G.ValueGrad{good(), nil}, "tensor 1: is nil"},
		{"longer", []G.ValueGrad{newParam(1.0, 2, 3), good()}, "tensor 0 (w): the value has shape (3), want (2)"},
		{"another shape", []G.ValueGrad{&param{"w", turned, turned}, good()}, "tensor 0 (w): the value has shape (3, 2), want (2)"},
		{"another dtype", []G.ValueGrad{good(), newParam[float32](1, 2)}, "tensor 1 (w): the value has dtype float32, want float64"},
		{"gradient of another length", []G.ValueGrad{&param{"w", vector(1.0, 2), vector(1.0)}, good()}, "tensor 0 (w): the gradient has shape (1), want (2)"},
		{"gradient of another dtype", []G.ValueGrad{&param{"w", vector(1.0, 2), vector[float32](1, 2)}, good()}, "tensor 0 (w): the gradient has dtype float32, want float64"},
		{"no value", []G.ValueGrad{good(), &param{name: "b", grad: column}}, "tensor 1 (b): has no value"},
		{"no gradient", []G.ValueGrad{good(), &param{name: "b", value: column}}, "tensor 1 (b): has no gradient"},
		{"gradient fails", []G.ValueGrad{good(), failing{good(), cause}}, "tensor 1 (w): the gradient: no gradient here"},
		{"NaN", []G.ValueGrad{good(), nan}, "tensor 1 (w): the gradient at [1] is NaN"},
		{"infinite", []G.ValueGrad{infinite, good()}, "tensor 0 (w): the gradient at [0] is -Inf"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAdam(t, WithGradientCheck())
			step(t, a, good(), good())
			before := state0(t, a)
			var weights [][]float64
			for _, n := range tt.model {
				if p, ok := n.(*param); ok && p.value != nil && p.value.Dtype() == tensor.Float64 {
					weights = append(weights, slices.Clone(elementsOf[float64](t, p.value)))
				}
			}
			wantError(t, a.Step(tt.model), "solver: Adam.Step: ", tt.want)
			for _, n := range tt.model {
				if p, ok := n.(*param); ok && p.value != nil && p.value.Dtype() == tensor.Float64 {
					if !slices.Equal(elementsOf[float64](t, p.value), weights[0]) {
						t.Error("the weights have changed")
					}
					weights = weights[1:]
				}
			}
			if state0(t, a) != before {
				t.Error("the state has changed")
			}
			step(t, a, good(), good())
		})
	}
	if err := newAdam(t).Step([]G.ValueGrad{failing{good(), cause}}); !errors.Is(err, cause) {
		t.Errorf("%v does not wrap the gradient's error", err)
	}
}

// failing has an error in place of its gradient.
type failing struct {
	*param
	err error
}

func (f failing) Grad() (G.Value, error) { return nil, f.err }

// state0 is the state of an Adam, to compare.
func state0(t testing.TB, a *Adam) string {
	t.Helper()
	data, err := a.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// wantError wants an error that begins with prefix and has all parts in it.
func wantError(t *testing.T, err error, prefix string, parts ...string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), prefix) {
		t.Errorf("error %v, want %s...", err, prefix)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %q in it", err, part)
		}
	}
}

func TestFirstStepErrors(t *testing.T) {
	transposed := tensor.New(tensor.WithShape(2, 3), tensor.WithBacking(make([]float64, 6)))
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	ints := tensor.New(tensor.WithBacking([]int{1, 2}))
	for _, tt := range []struct {
		model []G.ValueGrad
		want  string
	}{
		{nil, "the model is empty"},
		{[]G.ValueGrad{nil}, "tensor 0 is nil"},
		{[]G.ValueGrad{&param{name: "w"}}, "tensor 0 (w) has no value"},
		{[]G.ValueGrad{&param{"w", ints, ints}}, "tensor 0 (w): the value has dtype int, want float32 or float64"},
		{[]G.ValueGrad{&param{"w", transposed, transposed}}, "tensor 0 (w): the value is not row-major in memory: bind a copy that is"},
	} {
		a := newAdam(t)
		wantError(t, a.Step(tt.model), "solver: Adam.Step: ", tt.want)
		if a.Steps() != 0 || a.Shapes() != nil {
			t.Errorf("%s: %d steps, shapes %v", tt.want, a.Steps(), a.Shapes())
		}
	}
}

// Without a check, a NaN stays where it is.
func TestNaNGradient(t *testing.T) {
	p := newParam(1.0, 2)
	copy(elementsOf[float64](t, p.grad), []float64{math.NaN(), 1})
	a := newAdam(t)
	step(t, a, p)
	if w := elementsOf[float64](t, p.value); !math.IsNaN(w[0]) || !(w[1] < 2) {
		t.Errorf("the weights are %v", w)
	}
	if err := new(Adam).UnmarshalBinary([]byte(state0(t, a))); err != nil {
		t.Errorf("the state cannot be read: %v", err)
	}
}

func TestOptionErrors(t *testing.T) {
	constant := func(v float64) func(int) float64 { return func(int) float64 { return v } }
	for _, tt := range []struct {
		opts []Option
		want string
	}{
		{[]Option{nil}, "option 0 is nil"},
		{[]Option{WithLearningRate(-1)}, "the learning rate is -1, want a finite number of at least 0"},
		{[]Option{WithLearningRate(math.NaN())}, "the learning rate is NaN"},
		{[]Option{WithLearningRate(math.Inf(1))}, "the learning rate is +Inf"},
		{[]Option{WithSchedule(nil)}, "the schedule is nil"},
		{[]Option{WithSchedule(constant(-1))}, "the schedule at step 0: the learning rate is -1"},
		{[]Option{WithSchedule(constant(1)), WithLearningRate(1)}, "both given"},
		{[]Option{WithBetas(1, 0)}, "beta1 is 1, want a number from 0 to below 1"},
		{[]Option{WithBetas(0, -0.1)}, "beta2 is -0.1"},
		{[]Option{WithBetas(0, math.NaN())}, "beta2 is NaN"},
		{[]Option{WithEpsilon(0)}, "epsilon is 0, want a finite number above 0"},
		{[]Option{WithEpsilon(math.NaN())}, "epsilon is NaN"},
		{[]Option{WithEpsilon(math.Inf(1))}, "epsilon is +Inf"},
	} {
		a, err := NewAdam(tt.opts...)
		wantError(t, err, "solver: NewAdam: ", tt.want)
		if a != nil {
			t.Errorf("%s: a solver came with the error", tt.want)
		}
	}
}

// Parameters that are in range may round to useless ones in float32.
func TestParametersInFloat32(t *testing.T) {
	for _, tt := range []struct {
		opt  Option
		want string
	}{
		{WithLearningRate(1e39), "the learning rate is 1e+39, which is +Inf as a float32"},
		{WithEpsilon(1e-50), "epsilon is 1e-50, which is 0 as a float32"},
		{WithEpsilon(1e39), "epsilon is 1e+39, which is +Inf as a float32"},
		{WithBetas(0.9, 0.999999999), "one is 1 as a float32"},
	} {
		a := newAdam(t, tt.opt)
		wantError(t, a.Step([]G.ValueGrad{newParam(1.0), newParam[float32](1)}), "solver: Adam.Step: ", tt.want)
		if a.Steps() != 0 {
			t.Error("the failed step counts")
		}
		step(t, newAdam(t, tt.opt), newParam(1.0))
	}
	step(t, newAdam(t, WithLearningRate(0), WithBetas(0, 0)), newParam[float32](1))
}

func TestSchedule(t *testing.T) {
	schedule := anneal.Exponential(0.5, 0.1).Every(2)
	a, b := newAdam(t, WithSchedule(schedule)), newAdam(t)
	p, q := newParam(1.0, 2), newParam(1.0, 2)
	for s := range 6 {
		if got := a.LearningRate(); got != schedule(s) {
			t.Errorf("step %d: the rate is %v, want %v", s, got, schedule(s))
		}
		if err := b.SetLearningRate(schedule(s)); err != nil {
			t.Fatal(err)
		}
		for _, x := range []*param{p, q} {
			copy(elementsOf[float64](t, x.grad), []float64{float64(s), -1})
		}
		step(t, a, p)
		step(t, b, q)
		if x, y := elementsOf[float64](t, p.value), elementsOf[float64](t, q.value); !slices.Equal(x, y) {
			t.Fatalf("step %d: %v by the schedule, %v by hand", s, x, y)
		}
	}
	if a.Steps() != 6 {
		t.Errorf("%d steps", a.Steps())
	}
	if err := a.SetLearningRate(0.25); err != nil || a.LearningRate() != 0.25 {
		t.Errorf("the rate is %v, error %v", a.LearningRate(), err)
	}
	if err := a.SetSchedule(schedule); err != nil || a.LearningRate() != schedule(6) {
		t.Errorf("the rate is %v, error %v", a.LearningRate(), err)
	}
}

// A schedule that goes wrong stops at its step, and one that is set is checked
// at the step that comes next.
func TestScheduleErrors(t *testing.T) {
	falling := func(step int) float64 { return 1 - float64(step) }
	a := newAdam(t, WithSchedule(falling))
	p := newParam(1.0)
	step(t, a, p)
	step(t, a, p)
	before := state0(t, a)
	wantError(t, a.Step([]G.ValueGrad{p}), "solver: Adam.Step: ", "the schedule at step 2: the learning rate is -1")
	wantError(t, a.SetSchedule(falling), "solver: Adam.SetSchedule: ", "at step 2")
	wantError(t, a.SetSchedule(nil), "solver: Adam.SetSchedule: ", "the schedule is nil")
	wantError(t, a.SetLearningRate(-1), "solver: Adam.SetLearningRate: ", "the learning rate is -1")
	if state0(t, a) != before {
		t.Error("an error changed the state")
	}
	if err := a.SetLearningRate(1); err != nil {
		t.Fatal(err)
	}
	step(t, a, p)
}

// The zero Adam and a nil one report that they were not made.
func TestUnmade(t *testing.T) {
	for _, a := range []*Adam{nil, {}} {
		wantError(t, a.Step([]G.ValueGrad{newParam(1.0)}), "solver: Adam.Step: ", "not made by NewAdam")
		wantError(t, a.SetLearningRate(1), "solver: Adam.SetLearningRate: ", "not made by NewAdam")
		wantError(t, a.SetSchedule(anneal.Constant(1)), "solver: Adam.SetSchedule: ", "not made by NewAdam")
		if a.Steps() != 0 || a.Shapes() != nil || !math.IsNaN(a.LearningRate()) {
			t.Errorf("%d steps, shapes %v, rate %v", a.Steps(), a.Shapes(), a.LearningRate())
		}
	}
	_, err := Adam{}.MarshalBinary()
	wantError(t, err, "solver: Adam.MarshalBinary: ", "not made by NewAdam")
}

func TestCopiesShareState(t *testing.T) {
	a := newAdam(t)
	b := *a
	step(t, a, newParam(1.0, 2))
	step(t, &b, newParam(1.0, 2))
	if a.Steps() != 2 || b.Steps() != 2 {
		t.Errorf("%d and %d steps", a.Steps(), b.Steps())
	}
	if err := b.SetLearningRate(0.5); err != nil || a.LearningRate() != 0.5 {
		t.Errorf("the rate is %v, error %v", a.LearningRate(), err)
	}
}

func TestShapes(t *testing.T) {
	a := newAdam(t)
	square := tensor.New(tensor.WithShape(2, 2), tensor.WithBacking(make([]float32, 4)))
	step(t, a, newParam(1.0, 2), &param{"m", square, square.Clone().(*tensor.Dense)}, &param{"s", G.NewF64(1), G.NewF64(1)})
	shapes := a.Shapes()
	if got := fmt.Sprint(shapes); got != "[(2) (2, 2) ()]" {
		t.Errorf("shapes %s", got)
	}
	shapes[0][0] = 7
	if got := a.Shapes()[0][0]; got != 2 {
		t.Error("the caller's slice is the solver's")
	}
}

// A step allocates nothing that grows with the tensors: the kernel's closure
// for each, and no copies.
func TestAllocations(t *testing.T) {
	model := []G.ValueGrad{newParam(make([]float32, 100)...), newParam(make([]float64, 100)...), &param{"s", G.NewF32(1), G.NewF32(1)}}
	a := newAdam(t)
	step(t, a, model...)
	if n := testing.AllocsPerRun(100, func() { step(t, a, model...) }); n > float64(len(model)) {
		t.Errorf("%v allocations per step of %d tensors", n, len(model))
	}
}
