package layers_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/layers"
)

func TestLinearForward(t *testing.T) {
	want := map[layers.Activation]func(float64) float64{
		layers.Identity: func(v float64) float64 { return v },
		layers.ReLU:     func(v float64) float64 { return math.Max(0, v) },
		layers.Tanh:     math.Tanh,
		layers.Sigmoid:  func(v float64) float64 { return 1 / (1 + math.Exp(-v)) },
	}
	// x·W + b for x = [1 -2; 0 3], W = [1 2 3; 4 5 6], b = [-9 8 0.5].
	sums := []float64{-16, 0, -8.5, 3, 23, 18.5}
	for act, f := range want {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			g := G.NewGraph()
			l, err := layers.NewLinear(g, "l", dt, 2, 3, layers.WithActivation(act),
				layers.WithInit(fixed(1, 2, 3, 4, 5, 6)), layers.WithBiasInit(fixed(-9, 8, 0.5)))
			if err != nil {
				t.Fatal(err)
			}
			x := G.NewMatrix(g, dt, G.WithShape(2, 2), G.WithName("x"), G.WithInit(fixed(1, -2, 0, 3)))
			got := runNode(t, forward(t, l, x))
			for i, s := range sums {
				if d := math.Abs(got[i] - f(s)); !(d <= 1e-6*(1+math.Abs(s))) {
					t.Errorf("%v %v: y[%d] = %v, want %v", act, dt, i, got[i], f(s))
				}
			}
		}
	}
}

// fixed is an initialiser of given values.
func fixed(v ...float64) G.InitWFn {
	return func(dt tensor.Dtype, _ ...int) interface{} {
		if dt == tensor.Float64 {
			return append([]float64(nil), v...)
		}
		w := make([]float32, len(v))
		for i := range v {
			w[i] = float32(v[i])
		}
		return w
	}
}

// runNode runs the graph of y once and returns y.
func runNode(t *testing.T, y *G.Node) []float64 {
	t.Helper()
	var v G.Value
	G.Read(y, &v)
	m := newMachine(t, y.Graph())
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	return floats(v.Data())
}

func floats(data interface{}) []float64 {
	if f, ok := data.([]float64); ok {
		return f
	}
	var w []float64
	for _, v := range data.([]float32) {
		w = append(w, float64(v))
	}
	return w
}

func TestLinearNames(t *testing.T) {
	g := G.NewGraph()
	l := linear(t, g, "enc1", 4, 3)
	if l.Name() != "enc1" || l.Weights().Name() != "enc1.W" || l.Bias().Name() != "enc1.b" {
		t.Errorf("names are %q, %q, %q", l.Name(), l.Weights().Name(), l.Bias().Name())
	}
	if w, b := l.Weights().Shape(), l.Bias().Shape(); !w.Eq(tensor.Shape{4, 3}) || !b.Eq(tensor.Shape{3}) {
		t.Errorf("shapes are %v, %v", w, b)
	}
	if m := l.Model(); len(m) != 2 || m[0] != l.Weights() || m[1] != l.Bias() {
		t.Errorf("model is %v", m)
	}
}

func TestLinearDefaults(t *testing.T) {
	l, err := layers.NewLinear(G.NewGraph(), "l", tensor.Float64, 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	a := math.Sqrt(6.0 / 5)
	for i, v := range floats(l.Weights().Value().Data()) {
		if v == 0 || math.Abs(v) > a {
			t.Errorf("W[%d] = %v, want within ±%v", i, v, a)
		}
	}
	for i, v := range floats(l.Bias().Value().Data()) {
		if v != 0 {
			t.Errorf("b[%d] = %v, want 0", i, v)
		}
	}
}

func TestNewLinearErrors(t *testing.T) {
	taken := G.NewGraph()
	linear(t, taken, "twin", 2, 2)
	f64 := func(tensor.Dtype, ...int) interface{} { return make([]float64, 6) }
	short := func(tensor.Dtype, ...int) interface{} { return make([]float32, 1) }
	ints := func(tensor.Dtype, ...int) interface{} { return make([]int, 6) }
	for _, c := range []struct {
		name    string
		g       *G.ExprGraph
		dt      tensor.Dtype
		in, out int
		opts    []layers.LinearOption
		want    string
	}{
		{"l", nil, tensor.Float32, 2, 3, nil, "graph is nil"},
		{"", G.NewGraph(), tensor.Float32, 2, 3, nil, "name is empty"},
		{"l", G.NewGraph(), tensor.Int, 2, 3, nil, "dtype is int"},
		{"l", G.NewGraph(), tensor.Dtype{}, 2, 3, nil, "want Float32 or Float64"},
		{"l", G.NewGraph(), tensor.Float32, 0, 3, nil, "in, out are 0, 3"},
		{"l", G.NewGraph(), tensor.Float32, 2, -1, nil, "in, out are 2, -1"},
		{"twin", taken, tensor.Float64, 2, 2, nil, "already has a layer"},
		{"twin", taken, tensor.Float32, 5, 7, nil, "already has a layer"},
		{"l", G.NewGraph(), tensor.Float32, 2, 3, []layers.LinearOption{nil}, "option 0 is nil"},
		{"l", G.NewGraph(), tensor.Float32, 2, 3, []layers.LinearOption{layers.WithActivation(4)}, "Activation(4)"},
		{"l", G.NewGraph(), tensor.Float32, 2, 3, []layers.LinearOption{layers.WithActivation(-1)}, "Activation(-1)"},
		{"l", G.NewGraph(), tensor.Float32, 2, 3, []layers.LinearOption{layers.WithInit(nil)}, "weights: the initialiser is nil"},
		{"l", G.NewGraph(), tensor.Float32, 2, 3, []layers.LinearOption{layers.WithInit(f64)}, "6 values of float64, want 6 of float32"},
		{"l", G.NewGraph(), tensor.Float32, 2, 3, []layers.LinearOption{layers.WithBiasInit(short)}, "bias: the initialiser returned 1 values"},
		{"l", G.NewGraph(), tensor.Float32, 2, 3, []layers.LinearOption{layers.WithInit(ints)}, "returned a []int"},
		{"l", G.NewGraph(), tensor.Float32, 2, 3, []layers.LinearOption{layers.WithInit(G.HeN(1))}, "initialiser panicked"},
	} {
		l, err := layers.NewLinear(c.g, c.name, c.dt, c.in, c.out, c.opts...)
		checkError(t, err, "layers: NewLinear \""+c.name+"\": ", c.want)
		if l != nil {
			t.Errorf("a layer came with the error %v", err)
		}
	}
	if n := len(taken.Inputs()); n != 2 {
		t.Errorf("the refused layers left %d inputs in the graph, want 2", n)
	}
}

// checkError wants a message that begins with prefix and holds part.
func checkError(t *testing.T, err error, prefix, part string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("no error, want %s...%s", prefix, part)
	case !strings.HasPrefix(err.Error(), prefix) || !strings.Contains(err.Error(), part):
		t.Errorf("error is\n\t%v\nwant\n\t%s...%s", err, prefix, part)
	}
}

func TestLinearFwdErrors(t *testing.T) {
	g := G.NewGraph()
	l := linear(t, g, "fc", 4, 3)
	carried := errors.New("carried")
	for _, c := range []struct {
		x    G.Input
		want string
	}{
		{nil, "input is nil"},
		{(*G.Node)(nil), "no single node"},
		{G.Nodes{input(g, "several", 2, 4)}, "no single node"},
		{G.Err(carried), "carried"},
		{G.NewVector(g, tensor.Float64, G.WithShape(4), G.WithName("vector")), "input vector has shape (4)"},
		{G.NewTensor(g, tensor.Float64, 3, G.WithShape(2, 3, 4), G.WithName("cube")), "(2, 3, 4); want (batch, 4)"},
		{input(g, "narrow", 2, 3), "(2, 3); want (batch, 4)"},
		{G.NewMatrix(g, tensor.Float32, G.WithShape(2, 4), G.WithName("half")), "half has dtype float32 but the weights have float64"},
		{input(G.NewGraph(), "elsewhere", 2, 4), "another graph"},
	} {
		y := l.Fwd(c.x)
		checkError(t, y.Err(), `layers: Linear "fc": Fwd: `, c.want)
		if y.Node() != nil {
			t.Errorf("a node came with the error %v", y.Err())
		}
	}
	if err := l.Fwd(G.Err(carried)).Err(); !errors.Is(err, carried) {
		t.Errorf("%v does not wrap the error of the input", err)
	}
}

func TestActivationString(t *testing.T) {
	for a, want := range map[layers.Activation]string{
		layers.Identity: "Identity", layers.ReLU: "ReLU", layers.Tanh: "Tanh", layers.Sigmoid: "Sigmoid", 9: "Activation(9)",
	} {
		if a.String() != want {
			t.Errorf("String() = %q, want %q", a, want)
		}
	}
}
