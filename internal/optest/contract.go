package optest

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

func (r Row) testBuildErrors(t *testing.T) {
	t.Run("build errors", func(t *testing.T) {
		for _, e := range r.BuildErrors {
			t.Run(e.Name, func(t *testing.T) {
				b := newBuilder(G.NewGraph(), tensor.Float64, alongLast(2, 6), ops.NewSource(1))
				n, err := e.Build(b)
				if err == nil || n != nil {
					t.Fatalf("node %v, error %v", n, err)
				}
				if !strings.HasPrefix(err.Error(), "ops: "+r.name()+": ") || !regexp.MustCompile(e.Want).MatchString(err.Error()) {
					t.Errorf("error %v, want %s", err, e.Want)
				}
			})
		}
	})
}

// Huge stands for the greatest number of the dtype in the data of a RunError.
const Huge = math.MaxFloat64

func (r Row) testRunErrors(t *testing.T) {
	t.Run("run errors", func(t *testing.T) {
		for i, e := range r.RunErrors {
			for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
				t.Run(fmt.Sprint(i, " ", dt), func(t *testing.T) { e.test(t, r.name(), dt) })
			}
		}
	})
}

func (e RunError) test(t *testing.T, op string, dt tensor.Dtype) {
	build := func() *G.ExprGraph {
		b := newBuilder(G.NewGraph(), dt, alongLast(2, 3), ops.NewSource(1))
		b.given = map[string][]float64{}
		for name, data := range e.Data {
			b.given[name] = slices.Clone(data)
			for i, v := range data {
				if v == Huge && dt == tensor.Float32 {
					b.given[name][i] = math.MaxFloat32
				}
			}
		}
		G.Must(G.Sum(G.Must(G.Square(e.Build(b)))))
		return b.Graph
	}
	err := newMachine(t, build()).RunAll()
	e.compare(t, op, err)
	var bad *ops.InputError
	if !errors.As(err, &bad) {
		t.Fatalf("%v is no InputError", err)
	}
	data, at := e.Data[e.Input], e.Index
	if bad.Op != op || bad.Input != e.Input || bad.Index != at {
		t.Errorf("error %+v, want %s, %s[%d]", bad, op, e.Input, at)
	}
	if v := data[at]; bad.Value != v && bad.Value == bad.Value && !math.IsInf(v, -1) && math.Abs(v) != Huge {
		t.Errorf("the value of the error is %v, want %v", bad.Value, v)
	}
	if G.CUDA {
		return
	}
	// Forward alone: after a failed run the machine's goroutine still runs backward,
	// in a race with RunAll.
	m := G.NewLispMachine(build(), G.ExecuteFwdOnly())
	defer m.Close()
	e.compare(t, op, m.RunAll())
}

func (e RunError) compare(t *testing.T, op string, err error) {
	t.Helper()
	want := `ops: ` + op + `#\d+: ` + e.Want
	if err == nil || !regexp.MustCompile(want).MatchString(err.Error()) {
		t.Errorf("error %v, want %s", err, want)
	}
}

// testMasks checks that a masked class has the value and the gradient 0 in many draws,
// also if an infinite gradient reaches it.
func (r Row) testMasks(t *testing.T, dt tensor.Dtype) {
	for _, n := range r.Masks {
		t.Run("masked "+n.Name, func(t *testing.T) {
			for _, l := range []Layout{alongLast(5, 4), {Shape: tensor.Shape{4, 5}, Axis: 0}, {Shape: tensor.Shape{5, 8}, Classes: 4}, alongLast(3, 100)} {
				if (r.axes() || l.Default) && (!G.CUDA || l.Classes == 0 && l.Shape[1] != 100) {
					testMask(t, dt, l, n)
				}
			}
		})
	}
}

func testMask(t *testing.T, dt tensor.Dtype, l Layout, n Node) {
	t.Helper()
	b := newBuilder(G.NewGraph(), dt, l, ops.NewSource(5))
	y := n.Build(b)
	masked := b.In("masked")
	keeps := y.Shape().Eq(l.Shape)
	upstream := b.data("upstream")
	for i, v := range elements(masked.Value()) {
		if keeps && math.IsInf(v, -1) && i%2 == 0 {
			upstream[i] = math.Inf(1)
		}
	}
	var value, grad G.Value
	G.Read(y, &value)
	if differentiable(y) {
		up := newInput(b.Graph, dt, "upstream", y.Shape(), upstream[:y.Shape().TotalSize()])
		grads, err := G.Backpropagate(G.Nodes{y}, G.Nodes{up}, G.Nodes{masked})
		if err != nil {
			t.Fatal(err)
		}
		G.Read(grads[0], &grad)
	}
	m := newMachine(t, b.Graph)
	for range 20 {
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		for i, v := range elements(masked.Value()) {
			isMasked := math.IsInf(v, -1)
			if keeps && isMasked && elements(value)[i] != 0 {
				t.Fatalf("%v: masked element %d has the value %v", l, i, elements(value)[i])
			}
			if grad == nil {
				continue
			}
			if d := elements(grad)[i]; isMasked && d != 0 || d-d != 0 {
				t.Fatalf("%v: element %d of %v has the gradient %v", l, i, v, d)
			}
		}
		m.Reset()
	}
}

// testEmpty checks that empty inputs have empty values and gradients. A row may refuse
// distributions without classes, and the mean of no distributions.
func (r Row) testEmpty(t *testing.T, dt tensor.Dtype) {
	if G.CUDA {
		return // where constructors refuse them, because Gorgonia panics
	}
	t.Run("empty", func(t *testing.T) {
		for _, shape := range []tensor.Shape{{0, 3}, {3, 0}, {2, 0, 4}} {
			for _, n := range r.Nodes {
				b := newBuilder(G.NewGraph(), dt, Layout{Shape: shape, Axis: -1, Default: true}, ops.NewSource(1))
				y, err := attempt(n, b)
				noClass := shape[len(shape)-1] == 0
				switch {
				case err == nil:
					testEmptyNode(t, b, y)
				case noClass && strings.Contains(err.Error(), "at least one class"):
				case !noClass && strings.Contains(err.Error(), "at least one distribution: the mean"):
				default:
					t.Fatal(err)
				}
			}
		}
	})
}

// attempt returns the panic of G.Must as an error.
func attempt(n Node, b *Builder) (y *G.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return n.Build(b), nil
}

func testEmptyNode(t *testing.T, b *Builder, y *G.Node) {
	t.Helper()
	nodes := G.Nodes{y}
	if wrt := b.wrt(); differentiable(y) && len(wrt) > 0 {
		up := newInput(b.Graph, b.Dtype, "upstream", y.Shape(), make([]float64, y.Shape().TotalSize()))
		grads, err := G.Backpropagate(G.Nodes{y}, G.Nodes{up}, wrt)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, grads...)
	}
	m := newMachine(t, b.Graph)
	if err := m.RunAll(); err != nil {
		t.Fatalf("%v: %v", b.Shape, err)
	}
	for _, n := range nodes {
		if v := n.Value(); !slices.Equal(v.Shape(), n.Shape()) || v.Dtype() != b.Dtype {
			t.Errorf("%v: %v has a value of shape %v, dtype %v", b.Shape, n, v.Shape(), v.Dtype())
		}
	}
}

// testEvals checks nodes under EvalMode, where WithDeterministicEval leaves the noise
// out and draws nothing, and in training, where they draw.
func (r Row) testEvals(t *testing.T, dt tensor.Dtype) {
	for _, e := range r.Evals {
		t.Run("eval "+e.Name, func(t *testing.T) { e.test(t, dt) })
	}
}

func (e Eval) test(t *testing.T, dt tensor.Dtype) {
	b := newBuilder(G.NewGraph(), dt, alongLast(3, 4), ops.NewSource(1))
	y := e.Build(b)
	var value G.Value
	G.Read(y, &value)
	var want []float64
	if e.Want != nil {
		want = e.Want(b)
	}
	before := state(t, b.Source)
	m := newMachine(t, b.Graph, G.EvalMode())
	for range 3 {
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		for i, v := range elements(value) {
			if math.Abs(v-want[i]) > 1e-6 {
				t.Fatalf("element %d is %v under EvalMode, want %v", i, v, want[i])
			}
		}
		m.Reset()
	}
	if state(t, b.Source) != before {
		t.Error("evaluation without noise draws")
	}
	train := newMachine(t, b.Graph)
	different := false
	for range 20 {
		if err := train.RunAll(); err != nil {
			t.Fatal(err)
		}
		for i, v := range elements(value) {
			different = different || math.Abs(v-want[i]) > 1e-3
		}
		train.Reset()
	}
	if !different {
		t.Error("training does not sample")
	}
}
