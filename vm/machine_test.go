package vm_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
	"github.com/gumbel-go/gumbel/vm"
)

// These tests run in both builds. They compute what they expect in Go, because a
// build for CUDA has no result of the CPU to compare with.

// mixed is a graph of Gorgonia's own nodes: elementwise ones and products, which
// run on the device, and sums and means, which do not:
//
//	h = tanh(x·w),  q = (exp(h)⊙h + h)²,  cost = mean(q) + s·sum(h)
type mixed struct {
	graph         *G.ExprGraph
	x, w, s       *G.Node
	xs, ws        []float64
	q, cost       G.Value
	dtype         tensor.Dtype
	tolerance     float64
	learnedScalar float64
}

const (
	rows, inner, columns = 3, 4, 2
)

func newMixed(t *testing.T, dt tensor.Dtype) *mixed {
	t.Helper()
	m := &mixed{graph: G.NewGraph(), dtype: dt, tolerance: 1e-7, learnedScalar: 0.75}
	if dt == tensor.Float32 {
		m.tolerance = 1e-4
	}
	for i := range rows * inner {
		m.xs = append(m.xs, math.Sin(float64(i)))
	}
	for i := range inner * columns {
		m.ws = append(m.ws, math.Cos(float64(i)))
	}
	m.x = G.NewMatrix(m.graph, dt, G.WithShape(rows, inner), G.WithName("x"), G.WithValue(dense(dt, m.xs, rows, inner)))
	m.w = G.NewMatrix(m.graph, dt, G.WithShape(inner, columns), G.WithName("w"), G.WithValue(dense(dt, m.ws, inner, columns)))
	m.s = G.NewScalar(m.graph, dt, G.WithName("s"), G.WithValue(scalar(dt, m.learnedScalar)))
	h := G.Must(G.Tanh(G.Must(G.Mul(m.x, m.w))))
	q := G.Must(G.Square(G.Must(G.Add(G.Must(G.HadamardProd(G.Must(G.Exp(h)), h)), h))))
	cost := G.Must(G.Add(G.Must(G.Mean(q)), G.Must(G.Mul(m.s, G.Must(G.Sum(h))))))
	G.Read(q, &m.q)
	G.Read(cost, &m.cost)
	if _, err := G.Grad(cost, m.w, m.s); err != nil {
		t.Fatal(err)
	}
	return m
}

// want is the cost for weights w and s, and q.
func (m *mixed) want(w []float64, s float64) (cost float64, q []float64) {
	for r := range rows {
		for c := range columns {
			var product float64
			for i := range inner {
				product += m.xs[r*inner+i] * w[i*columns+c]
			}
			h := math.Tanh(product)
			v := math.Pow(math.Exp(h)*h+h, 2)
			q = append(q, v)
			cost += v/(rows*columns) + s*h
		}
	}
	return cost, q
}

// wantGradients are central differences.
func (m *mixed) wantGradients() (dw []float64, ds float64) {
	const step = 1e-5
	slope := func(f func(d float64) float64) float64 { return (f(step) - f(-step)) / (2 * step) }
	for i := range m.ws {
		dw = append(dw, slope(func(d float64) float64 {
			w := slices.Clone(m.ws)
			w[i] += d
			cost, _ := m.want(w, m.learnedScalar)
			return cost
		}))
	}
	return dw, slope(func(d float64) float64 {
		cost, _ := m.want(m.ws, m.learnedScalar+d)
		return cost
	})
}

func dense(dt tensor.Dtype, values []float64, shape ...int) *tensor.Dense {
	if dt == tensor.Float64 {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(values)))
	}
	single := make([]float32, len(values))
	for i, v := range values {
		single[i] = float32(v)
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(single))
}

func scalar(dt tensor.Dtype, v float64) any {
	if dt == tensor.Float64 {
		return v
	}
	return float32(v)
}

func floats(t *testing.T, v G.Value) []float64 {
	t.Helper()
	switch data := v.Data().(type) {
	case float32:
		return []float64{float64(data)}
	case float64:
		return []float64{data}
	case []float64:
		return slices.Clone(data)
	case []float32:
		double := make([]float64, len(data))
		for i, v := range data {
			double[i] = float64(v)
		}
		return double
	}
	t.Fatalf("a value of %T", v.Data())
	return nil
}

func near(t *testing.T, name string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= tolerance*math.Max(1, math.Abs(want[i]))) {
			t.Fatalf("%s: element %d is %v, want %v", name, i, got[i], want[i])
		}
	}
}

func open(t *testing.T, g *G.ExprGraph, opts ...G.VMOpt) *vm.Machine {
	t.Helper()
	m, err := vm.New(g, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func run(t *testing.T, m *vm.Machine) {
	t.Helper()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	m.Reset()
}

func eachDtype(t *testing.T, f func(t *testing.T, dt tensor.Dtype)) {
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		t.Run(dt.String(), func(t *testing.T) { f(t, dt) })
	}
}

// Gradients are those of each run, whatever happens to them and to an input in
// between.
func TestRuns(t *testing.T) {
	eachDtype(t, func(t *testing.T, dt tensor.Dtype) {
		g := newMixed(t, dt)
		gradients, err := vm.ReadGradients(g.w, g.s)
		if err != nil {
			t.Fatal(err)
		}
		m := open(t, g.graph)
		for turn := range 3 {
			for i := range g.xs {
				g.xs[i] = math.Sin(float64(i + turn))
			}
			if err := G.Let(g.x, dense(dt, g.xs, rows, inner)); err != nil {
				t.Fatal(err)
			}
			run(t, m)
			cost, q := g.want(g.ws, g.learnedScalar)
			near(t, "q", floats(t, g.q), q, g.tolerance)
			near(t, "cost", floats(t, g.cost), []float64{cost}, g.tolerance)
			dw, ds := g.wantGradients()
			for i, want := range [][]float64{dw, {ds}} {
				p := gradients.ValueGrads()[i]
				got, err := p.Grad()
				if err != nil {
					t.Fatal(err)
				}
				near(t, "gradient", floats(t, got), want, g.tolerance)
				near(t, "value", floats(t, p.Value()), [][]float64{g.ws, {g.learnedScalar}}[i], 1e-6)
				if z, ok := got.(interface{ Zero() }); ok {
					z.Zero()
				}
			}
		}
	})
}

// Machines of graphs that share their weights, as training and evaluation do,
// can take turns and be closed one by one.
func TestMachinesInTurn(t *testing.T) {
	one, two := newMixed(t, tensor.Float32), newMixed(t, tensor.Float32)
	if err := G.Let(two.w, one.w.Value()); err != nil {
		t.Fatal(err)
	}
	m1, m2 := open(t, one.graph), open(t, two.graph)
	for range 3 {
		run(t, m1)
		run(t, m2)
	}
	if err := m1.Close(); err != nil {
		t.Error(err)
	}
	run(t, m2)
	_, q := one.want(one.ws, one.learnedScalar)
	near(t, "the first", floats(t, one.q), q, one.tolerance)
	near(t, "the second", floats(t, two.q), q, two.tolerance)
}

// The machine can run again after the error of a bad input.
func TestErrorThenReuse(t *testing.T) {
	g := G.NewGraph()
	logits := G.NewMatrix(g, tensor.Float32, G.WithShape(2, 3), G.WithName("logits"), G.WithInit(G.Zeroes()))
	tau := G.NewScalar(g, tensor.Float32, G.WithName("tau"), G.WithValue(float32(0)))
	var y G.Value
	G.Read(G.Must(ops.GumbelSoftmax(logits, tau, ops.WithSource(ops.NewSource(1)))), &y)
	m := open(t, g)
	for range 2 {
		if err := G.Let(tau, float32(0)); err != nil {
			t.Fatal(err)
		}
		if err := m.RunAll(); err == nil || !strings.Contains(err.Error(), "tau is 0") {
			t.Fatalf("error %v for tau 0", err)
		}
		m.Reset()
		if err := G.Let(tau, float32(1)); err != nil {
			t.Fatal(err)
		}
		run(t, m)
		var total float64
		for _, v := range floats(t, y) {
			total += v
		}
		near(t, "the sum of two distributions", []float64{total}, []float64{2}, 1e-6)
	}
}

func TestClosed(t *testing.T) {
	m := open(t, newMixed(t, tensor.Float32).graph)
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	m.Reset()
	if err := m.RunAll(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("error %v of a closed machine", err)
	}
}

func TestNewRefuses(t *testing.T) {
	noInput := G.NewGraph()
	G.NewConstant(1.0, G.In(noInput))
	for name, tc := range map[string]struct {
		g    *G.ExprGraph
		want string
	}{
		"nil":      {nil, "graph is nil"},
		"empty":    {G.NewGraph(), "empty graph"},
		"no input": {noInput, ""},
	} {
		if _, err := vm.New(tc.g); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Names of two inputs with the same hash, which Gorgonia computes from the name and the
// type, are found by trying.
func TestNewSameHash(t *testing.T) {
	input := func(g *G.ExprGraph, i int) *G.Node {
		return G.NewScalar(g, tensor.Float64, G.WithName(fmt.Sprint("input ", i)), G.WithValue(float64(i)))
	}
	names := map[uint32]int{}
	for i := range 1_000_000 {
		hash := input(G.NewGraph(), i).Hashcode()
		first, ok := names[hash]
		if !ok {
			names[hash] = i
			continue
		}
		g := G.NewGraph()
		G.Must(G.Add(input(g, first), input(g, i)))
		if _, err := vm.New(g); err == nil || !strings.Contains(err.Error(), "have the same hash by chance") {
			t.Errorf("inputs %d and %d: error %v", first, i, err)
		}
		return
	}
	t.Fatal("no two names have the same hash")
}
