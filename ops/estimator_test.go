//go:build !cuda

package ops_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/gradcheck"
	"github.com/gumbel-go/gumbel/ops"
)

var allEstimators = []ops.Estimator{
	ops.StraightThroughGumbel(), ops.StraightThroughSoftmax(), ops.ReinMax(), ops.GumbelRao(3),
	ops.GappedStraightThrough(1), ops.AdaptiveGap(),
}

func TestParseEstimator(t *testing.T) {
	for spec, want := range map[string]ops.Estimator{
		"gumbel": {}, "softmax": ops.StraightThroughSoftmax(), "reinmax": ops.ReinMax(), "rao(10)": ops.GumbelRao(10),
		"gapped(1)": ops.GappedStraightThrough(1), " gapped( 0.25 ) ": ops.GappedStraightThrough(0.25),
		"gapped(1e-3)": ops.GappedStraightThrough(1e-3), "gapped(adaptive)": ops.AdaptiveGap(), "rao( 7 )": ops.GumbelRao(7),
	} {
		got, err := ops.ParseEstimator(spec)
		if err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", spec, got, err, want)
		}
		again, err := ops.ParseEstimator(want.String())
		if err != nil || again != want {
			t.Errorf("the spec %q of %q is %v, %v", want, spec, again, err)
		}
	}
	for _, spec := range []string{
		"", "hard", "Gumbel", "gumbel()", "softmax(1)", "rao", "rao()", "rao(0)", "rao(-1)", "rao(1.5)", "rao(10", "rao 10",
		"rao(1)(2)", "gapped", "gapped()", "gapped(0)", "gapped(-1)", "gapped(nan)", "gapped(inf)", "gapped(1e400)", "gapped(adaptive", "gapped(x)",
	} {
		if e, err := ops.ParseEstimator(spec); err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("ops: ParseEstimator(%q): ", spec)) {
			t.Errorf("%q is %v, error %v", spec, e, err)
		}
	}
}

// estimated builds a hard sample of logits at a temperature and a cost whose gradient
// to the sample is weights.
type estimated struct {
	g                      *G.ExprGraph
	logits, tau, y, weight *G.Node
	cost                   *G.Node
}

func dense(dt tensor.Dtype, shape tensor.Shape, data []float64) *tensor.Dense {
	if dt == tensor.Float64 {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(data)))
	}
	single := make([]float32, len(data))
	for i, v := range data {
		single[i] = float32(v)
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(single))
}

func input(g *G.ExprGraph, dt tensor.Dtype, name string, shape tensor.Shape, data []float64) *G.Node {
	return G.NewTensor(g, dt, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(dense(dt, shape, data)))
}

func scalar(g *G.ExprGraph, dt tensor.Dtype, name string, v float64) *G.Node {
	if dt == tensor.Float32 {
		return G.NewScalar(g, dt, G.WithName(name), G.WithValue(float32(v)))
	}
	return G.NewScalar(g, dt, G.WithName(name), G.WithValue(v))
}

func newEstimated(t *testing.T, dt tensor.Dtype, shape tensor.Shape, logits, weights []float64, tau float64, opts ...ops.GumbelSoftmaxOption) *estimated {
	t.Helper()
	e := &estimated{g: G.NewGraph()}
	e.logits, e.weight = input(e.g, dt, "logits", shape, logits), input(e.g, dt, "weights", shape, weights)
	e.tau = scalar(e.g, dt, "tau", tau)
	var err error
	if e.y, err = ops.GumbelSoftmax(e.logits, e.tau, opts...); err != nil {
		t.Fatal(err)
	}
	e.cost = G.Must(G.Sum(G.Must(G.HadamardProd(e.y, e.weight))))
	return e
}

func numbersOf(v G.Value) []float64 {
	switch data := v.Data().(type) {
	case []float32:
		var all []float64
		for _, x := range data {
			all = append(all, float64(x))
		}
		return all
	case []float64:
		return slices.Clone(data)
	case float32:
		return []float64{float64(data)}
	}
	return []float64{v.Data().(float64)}
}

// tape returns the samples and the gradients to the logits of some runs.
func (e *estimated) tape(t *testing.T, runs int, opts ...G.VMOpt) (samples, grads [][]float64) {
	t.Helper()
	grad, err := G.Grad(e.cost, e.logits)
	if err != nil {
		t.Fatal(err)
	}
	var y, dl G.Value
	G.Read(e.y, &y)
	G.Read(grad[0], &dl)
	m := G.NewTapeMachine(e.g, opts...)
	defer m.Close()
	for range runs {
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		samples, grads = append(samples, numbersOf(y)), append(grads, numbersOf(dl))
		m.Reset()
	}
	return samples, grads
}

// lisp returns the gradient to the logits of a LispMachine.
func (e *estimated) lisp(t *testing.T) []float64 {
	t.Helper()
	m := G.NewLispMachine(e.g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	v, err := e.logits.Grad()
	if err != nil {
		t.Fatal(err)
	}
	return numbersOf(v)
}

func near(got, want []float64, tolerance float64) bool {
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= tolerance) {
			return false
		}
	}
	return len(got) == len(want)
}

// Every estimator has the samples of WithHard, bit for bit, and the LispMachine the
// gradients of the TapeMachine, wherever the classes are.
func TestEstimatorSamples(t *testing.T) {
	layouts := []struct {
		shape tensor.Shape
		opts  []ops.GumbelSoftmaxOption
	}{
		{tensor.Shape{7}, nil},
		{tensor.Shape{5, 6}, nil},
		{tensor.Shape{5, 6}, []ops.GumbelSoftmaxOption{ops.WithAxis(0)}},
		{tensor.Shape{2, 3, 4}, []ops.GumbelSoftmaxOption{ops.WithAxis(1)}},
		{tensor.Shape{3, 8}, []ops.GumbelSoftmaxOption{ops.WithClasses(4)}},
		{tensor.Shape{2, 100}, nil},
	}
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		for _, layout := range layouts {
			n := layout.shape.TotalSize()
			logits, weights := make([]float64, n), make([]float64, n)
			for i := range logits {
				logits[i], weights[i] = math.Sin(float64(i)), math.Cos(float64(3*i))
			}
			build := func(opt ops.GumbelSoftmaxOption) *estimated {
				opts := append([]ops.GumbelSoftmaxOption{opt, ops.WithSource(ops.NewSource(3))}, layout.opts...)
				return newEstimated(t, dt, layout.shape, logits, weights, 1.3, opts...)
			}
			want, hard := build(ops.WithHard()).tape(t, 3)
			for _, estimator := range allEstimators {
				samples, grads := build(ops.WithEstimator(estimator)).tape(t, 3)
				for run := range samples {
					if !slices.Equal(samples[run], want[run]) {
						t.Errorf("%v of %v %v: the sample differs from that of WithHard", estimator, dt, layout.shape)
					}
					if same := slices.Equal(grads[run], hard[run]); same != (estimator == ops.StraightThroughGumbel()) {
						t.Errorf("%v of %v %v: the gradient is %v, with WithHard %v", estimator, dt, layout.shape, grads[run], hard[run])
					}
				}
				if got := build(ops.WithEstimator(estimator)).lisp(t); !slices.Equal(got, grads[0]) {
					t.Errorf("%v of %v %v: the LispMachine's gradient is %v, want %v", estimator, dt, layout.shape, got, grads[0])
				}
			}
		}
	}
}

// noiseFor makes class the sampled one.
func noiseFor(classes, class int) []float64 {
	noise := make([]float64, classes)
	noise[class] = 1000
	return noise
}

// The numbers were computed independently.
func TestEstimatorNumbers(t *testing.T) {
	logits, weights := []float64{0.5, -1, 2, 0}, []float64{1, -0.5, 0.25, 2}
	masked := []float64{0.5, math.Inf(-1), 2, 0}
	for _, test := range []struct {
		estimator ops.Estimator
		logits    []float64
		class     int
		tau       float64
		want      []float64
	}{
		{ops.StraightThroughSoftmax(), logits, 1, 1, []float64{0.0775593282901, -0.0357248647707, -0.184978148264, 0.143143684745}},
		{ops.StraightThroughSoftmax(), logits, 3, 1.5, []float64{0.0541637307515, -0.0566728589464, -0.135763324489, 0.138272452684}},
		{ops.ReinMax(), logits, 0, 1, []float64{0.244752029044, -0.0265153450566, -0.266287471082, 0.048050787095}},
		{ops.ReinMax(), logits, 2, 1.5, []float64{0.0799243339408, -0.0533666800546, -0.189234608387, 0.162676954501}},
		{ops.ReinMax(), masked, 0, 1.5, []float64{0.145522043499, 0, -0.258826457731, 0.113304414232}},
		{ops.GappedStraightThrough(1), logits, 0, 0.5, []float64{0.13003385104, -0.00610970465945, -0.157990201797, 0.034066055416}},
		{ops.AdaptiveGap(), logits, 0, 1, []float64{0.0828354750537, -0.0449508226711, -0.138028259474, 0.100143607092}},
	} {
		for dt, tolerance := range map[tensor.Dtype]float64{tensor.Float32: 2e-7, tensor.Float64: 1e-11} {
			build := func() *estimated {
				e := &estimated{g: G.NewGraph()}
				noise := input(e.g, dt, "noise", tensor.Shape{4}, noiseFor(4, test.class))
				e.logits, e.tau = input(e.g, dt, "logits", tensor.Shape{4}, test.logits), scalar(e.g, dt, "tau", test.tau)
				e.y = G.Must(ops.GumbelSoftmax(e.logits, e.tau, ops.WithNoise(noise), ops.WithEstimator(test.estimator)))
				e.cost = G.Must(G.Sum(G.Must(G.HadamardProd(e.y, input(e.g, dt, "weights", tensor.Shape{4}, weights)))))
				return e
			}
			samples, grads := build().tape(t, 1)
			if samples[0][test.class] != 1 || !near(grads[0], test.want, tolerance) {
				t.Errorf("%v, class %d, tau %v: the sample is %v, the gradient %v, want %v", test.estimator, test.class, test.tau, samples[0], grads[0], test.want)
			}
			if got := build().lisp(t); !near(got, test.want, tolerance) {
				t.Errorf("%v, class %d, tau %v: the LispMachine's gradient is %v, want %v", test.estimator, test.class, test.tau, got, test.want)
			}
		}
	}
}

// Straight-through softmax has the gradients of ⟨g, softmax(l/tau)⟩, to tau too, on both
// machines.
func TestStraightThroughSoftmax(t *testing.T) {
	zeros := make([]float64, 12)
	weights := []float64{1, -2, 0.5, 3, 0, -1, 2, 2, -0.3, 1, 0.7, -4}
	build := func(estimator bool) gradcheck.Build {
		return func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
			logits := input(g, tensor.Float64, "logits", tensor.Shape{3, 4}, []float64{0.5, -1, 2, 0, math.Inf(-1), 1, 0.3, -2, 3, 1, -1, 0})
			tau := scalar(g, tensor.Float64, "tau", 0.7)
			opts := []ops.GumbelSoftmaxOption{ops.WithEstimator(ops.StraightThroughSoftmax()), ops.WithSource(src)}
			if !estimator {
				opts = []ops.GumbelSoftmaxOption{ops.WithNoise(input(g, tensor.Float64, "zeros", tensor.Shape{3, 4}, zeros))}
			}
			y, err := ops.GumbelSoftmax(logits, tau, opts...)
			if err != nil {
				return nil, nil, err
			}
			w := input(g, tensor.Float64, "weights", tensor.Shape{3, 4}, weights)
			return G.Must(G.Sum(G.Must(G.HadamardProd(y, w)))), G.Nodes{logits, tau}, nil
		}
	}
	if err := gradcheck.Check(build(true), gradcheck.WithSurrogate(build(false))); err != nil {
		t.Error(err)
	}
}

// Log space has the gradients of its value, to tau and to given noise too.
func TestLogSpaceGradients(t *testing.T) {
	for _, drawn := range []bool{false, true} {
		err := gradcheck.Check(func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
			shape := tensor.Shape{3, 4}
			logits := input(g, tensor.Float64, "logits", shape, []float64{0.5, -1, 2, 0, 0.2, 1, 0.3, -2, 30, 1, -1, 0})
			tau, wrt := scalar(g, tensor.Float64, "tau", 0.7), G.Nodes{logits}
			opts := []ops.GumbelSoftmaxOption{ops.WithLogSpace(), ops.WithAxis(0)}
			if drawn {
				opts = append(opts, ops.WithSource(src))
			} else {
				noise := input(g, tensor.Float64, "noise", shape, []float64{1, 2, 0, -1, 0.5, 0, 0.1, 3, -1, 0, 0, 2})
				opts, wrt = append(opts, ops.WithNoise(noise)), append(wrt, noise)
			}
			y, err := ops.GumbelSoftmax(logits, tau, opts...)
			if err != nil {
				return nil, nil, err
			}
			return G.Must(G.Sum(G.Must(G.Square(y)))), append(wrt, tau), nil
		}, gradcheck.WithTolerance(1e-5))
		if err != nil {
			t.Errorf("noise drawn: %v: %v", drawn, err)
		}
	}
}

// The logarithm is that of the soft sample, -Inf where masked and finite elsewhere, and
// masked classes ignore the gradient that reaches them.
func TestLogSpace(t *testing.T) {
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		for _, tau := range []float64{0.01, 1, 100} {
			logits := make([]float64, 300)
			weights := slices.Repeat([]float64{1}, 300)
			for i := range logits {
				logits[i] = []float64{0, 1, 2, 1e4, -1e4, math.Inf(-1), 3, 0.5, -1, 0}[i%10]
				if i >= 100 {
					logits[i] = min(logits[i], 5)
				}
				if math.IsInf(logits[i], -1) {
					weights[i] = math.Inf(1)
				}
			}
			for _, classes := range []int{10, 100} {
				build := func(opts ...ops.GumbelSoftmaxOption) *estimated {
					opts = append(opts, ops.WithSource(ops.NewSource(4)), ops.WithClasses(classes))
					return newEstimated(t, dt, tensor.Shape{300}, logits, weights, tau, opts...)
				}
				soft, _ := build().tape(t, 1)
				logs, grads := build(ops.WithLogSpace()).tape(t, 1)
				for i, v := range logs[0] {
					if math.IsInf(logits[i], -1) {
						if v != math.Inf(-1) || grads[0][i] != 0 {
							t.Fatalf("%v, tau %v: a masked class has the sample %v and the gradient %v", dt, tau, v, grads[0][i])
						}
						continue
					}
					if math.IsInf(v, 0) || math.IsNaN(grads[0][i]) || v > 0 {
						t.Fatalf("%v, tau %v: sample %d is %v, its gradient %v", dt, tau, i, v, grads[0][i])
					}
					if y := soft[0][i]; math.Abs(math.Exp(v)-y) > 1e-5*(y+1e-30) && y > 1e-30 && tau >= 1 {
						t.Fatalf("%v, tau %v: sample %d is %v, but the soft sample is %v", dt, tau, i, v, y)
					}
				}
			}
		}
	}
}

func TestEstimatorErrors(t *testing.T) {
	g := G.NewGraph()
	logits, noise := input(g, tensor.Float64, "logits", tensor.Shape{2, 3}, make([]float64, 6)), input(g, tensor.Float64, "noise", tensor.Shape{2, 3}, make([]float64, 6))
	tau := scalar(g, tensor.Float64, "tau", 1)
	source := ops.WithSource(ops.NewSource(1))
	for want, opts := range map[string][]ops.GumbelSoftmaxOption{
		"WithEstimator: the number of samples is 0, want at least 1":      {ops.WithEstimator(ops.GumbelRao(0))},
		"WithEstimator: the gap is 0, want a positive, finite number":     {ops.WithEstimator(ops.GappedStraightThrough(0))},
		"WithEstimator: the gap is NaN, want a positive, finite number":   {ops.WithEstimator(ops.GappedStraightThrough(math.NaN()))},
		"WithEstimator: the gap is +Inf, want a positive, finite number":  {ops.WithEstimator(ops.GappedStraightThrough(math.Inf(1)))},
		"WithHard has no effect beside WithEstimator: leave it out":       {ops.WithHard(), ops.WithEstimator(ops.ReinMax())},
		"WithLogSpace does not apply to the hard sample of WithHard":      {ops.WithLogSpace(), ops.WithHard()},
		"WithLogSpace does not apply to the hard sample of WithEstimator": {ops.WithLogSpace(), ops.WithEstimator(ops.StraightThroughGumbel())},
		"WithSource has no effect beside WithNoise: leave one out":        {ops.WithNoise(noise), source, ops.WithEstimator(ops.ReinMax())},
	} {
		if _, err := ops.GumbelSoftmax(logits, tau, opts...); err == nil || !strings.Contains(err.Error(), "ops: GumbelSoftmax: "+want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := ops.GumbelSoftmax(logits, tau, ops.WithNoise(noise), source, ops.WithEstimator(ops.GumbelRao(2))); err != nil {
		t.Errorf("Gumbel-Rao draws more noise, but its source is refused: %v", err)
	}
}

// Grad refuses a gradient that an estimator does not have.
func TestEstimatorGradients(t *testing.T) {
	for _, estimator := range allEstimators {
		for input, has := range map[string]bool{
			"tau":   estimator == ops.StraightThroughGumbel() || estimator == ops.StraightThroughSoftmax(),
			"noise": estimator == ops.StraightThroughGumbel(),
		} {
			g := G.NewGraph()
			nodes := map[string]*G.Node{
				"noise": G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("noise")),
				"tau":   scalar(g, tensor.Float64, "tau", 1),
			}
			logits := G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("logits"))
			y, err := ops.GumbelSoftmax(logits, nodes["tau"], ops.WithNoise(nodes["noise"]), ops.WithEstimator(estimator))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := G.Grad(G.Must(G.Sum(y)), logits, nodes[input]); (err == nil) != has {
				t.Errorf("%v: the gradient to %s: error %v", estimator, input, err)
			}
		}
	}
}

// Gumbel-Rao's noise is different in each run, is that of the run on both machines, does
// not depend on whether the sample's noise is given, and continues after a restart.
func TestGumbelRaoDraws(t *testing.T) {
	logits, weights := []float64{0.5, -1, 2, 0}, []float64{1, -0.5, 0.25, 2}
	build := func(src *ops.Source, given bool) *estimated {
		e := &estimated{g: G.NewGraph()}
		e.logits, e.tau = input(e.g, tensor.Float64, "logits", tensor.Shape{4}, logits), scalar(e.g, tensor.Float64, "tau", 0.5)
		opts := []ops.GumbelSoftmaxOption{ops.WithEstimator(ops.GumbelRao(2)), ops.WithSource(src)}
		if given {
			opts = append(opts, ops.WithNoise(input(e.g, tensor.Float64, "noise", tensor.Shape{4}, noiseFor(4, 0))))
		}
		e.y = G.Must(ops.GumbelSoftmax(e.logits, e.tau, opts...))
		e.cost = G.Must(G.Sum(G.Must(G.HadamardProd(e.y, input(e.g, tensor.Float64, "weights", tensor.Shape{4}, weights)))))
		return e
	}
	for _, given := range []bool{false, true} {
		src := ops.NewSource(5)
		_, first := build(src, given).tape(t, 3)
		if slices.Equal(first[0], first[1]) || slices.Equal(first[1], first[2]) {
			t.Errorf("noise given: %v: two runs have the gradient %v", given, first[0])
		}
		state, err := src.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		again := ops.NewSource(5)
		_, want := build(again, given).tape(t, 5)
		resumed := ops.NewSource(0)
		e := build(resumed, given)
		if err := resumed.UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		_, got := e.tape(t, 2)
		if !slices.Equal(first[2], want[2]) || !slices.Equal(got[0], want[3]) || !slices.Equal(got[1], want[4]) {
			t.Errorf("noise given: %v: resumed, the gradients are %v, want %v", given, got, want[3:])
		}
		if got := build(ops.NewSource(5), given).lisp(t); !slices.Equal(got, want[0]) {
			t.Errorf("noise given: %v: the LispMachine's gradient is %v, want %v", given, got, want[0])
		}
	}
}

// In a run without noise, the sample is the mode, and Gumbel-Rao has nothing to average
// over: its gradient is that of straight-through softmax.
func TestEstimatorsWithoutNoise(t *testing.T) {
	logits, weights := []float64{0.5, -1, 2, 0}, []float64{1, -0.5, 0.25, 2}
	gradOf := func(estimator ops.Estimator) []float64 {
		e := newEstimated(t, tensor.Float64, tensor.Shape{4}, logits, weights, 1.5, ops.WithEstimator(estimator), ops.WithDeterministicEval())
		samples, grads := e.tape(t, 2, G.EvalMode())
		if !slices.Equal(samples[0], []float64{0, 0, 1, 0}) || !slices.Equal(grads[0], grads[1]) {
			t.Errorf("%v: the samples are %v, the gradients %v", estimator, samples, grads)
		}
		return grads[0]
	}
	softmax := gradOf(ops.StraightThroughSoftmax())
	for _, estimator := range allEstimators {
		got := gradOf(estimator)
		switch estimator {
		case ops.ReinMax():
			if want := []float64{0.0799243339408, -0.0533666800546, -0.189234608387, 0.162676954501}; !near(got, want, 1e-11) {
				t.Errorf("%v: the gradient is %v, want %v", estimator, got, want)
			}
		case ops.StraightThroughGumbel(), ops.GumbelRao(3):
			if !near(got, softmax, 1e-15) {
				t.Errorf("%v: the gradient is %v, want %v", estimator, got, softmax)
			}
		}
	}
}

// A graph may want another gradient alone.
func TestEstimatorOfUnusedGradient(t *testing.T) {
	for _, estimator := range allEstimators {
		e := newEstimated(t, tensor.Float64, tensor.Shape{4}, []float64{0, 1, 2, 3}, make([]float64, 4), 1, ops.WithEstimator(estimator))
		if _, err := G.Grad(e.cost, e.weight); err != nil {
			t.Fatal(err)
		}
		m := G.NewTapeMachine(e.g)
		if err := m.RunAll(); err != nil {
			t.Errorf("%v, with only the weights' gradient wanted: %v", estimator, err)
		}
		m.Close()
	}
}
