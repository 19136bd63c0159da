//go:build !cuda

package ops_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/gradcheck"
	"github.com/gumbel-go/gumbel/ops"
)

// newBernoulli is newEstimated for RelaxedBernoulli.
func newBernoulli(t *testing.T, dt tensor.Dtype, logits []float64, tau float64, opts ...ops.SampleOption) *estimated {
	t.Helper()
	e := &estimated{g: G.NewGraph()}
	shape, weights := tensor.Shape{len(logits) / 2, 2}, make([]float64, len(logits))
	for i := range weights {
		weights[i] = math.Cos(float64(i))
	}
	e.logits, e.weight = input(e.g, dt, "logits", shape, logits), input(e.g, dt, "weights", shape, weights)
	e.tau = scalar(e.g, dt, "tau", tau)
	var err error
	if e.y, err = ops.RelaxedBernoulli(e.logits, e.tau, opts...); err != nil {
		t.Fatal(err)
	}
	e.cost = G.Must(G.Sum(G.Must(G.HadamardProd(e.y, e.weight))))
	return e
}

// The relaxed sample and its logit have the gradients of their values, with drawn and
// given noise.
func TestRelaxedBernoulliGradients(t *testing.T) {
	for _, opts := range [][]ops.SampleOption{nil, {ops.WithLogSpace()}} {
		for _, drawn := range []bool{false, true} {
			err := gradcheck.Check(func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
				shape, opts := tensor.Shape{2, 3}, slices.Clone(opts)
				logits := input(g, tensor.Float64, "logits", shape, []float64{0.5, -1, 2, 0, 0.2, -3})
				tau := scalar(g, tensor.Float64, "tau", 0.7)
				wrt := G.Nodes{logits, tau}
				if drawn {
					opts = append(opts, ops.WithSource(src))
				} else {
					noise := input(g, tensor.Float64, "noise", shape, []float64{1, 2, 0, -1, 0.5, 0})
					opts, wrt = append(opts, ops.WithNoise(noise)), append(wrt, noise)
				}
				x, err := ops.RelaxedBernoulli(logits, tau, opts...)
				if err != nil {
					return nil, nil, err
				}
				return G.Must(G.Sum(G.Must(G.Square(x)))), wrt, nil
			})
			if err != nil {
				t.Errorf("%d options, noise drawn: %v: %v", len(opts), drawn, err)
			}
		}
	}
}

// The hard sample's bits do not depend on the estimator, and are those of the relaxed
// sample and its logit. Both machines have the same gradients.
func TestRelaxedBernoulliEstimators(t *testing.T) {
	logits := []float64{0.5, -1, 2, 0, 3, -0.2, math.Inf(-1), math.Inf(1)}
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		build := func(opts ...ops.SampleOption) *estimated {
			return newBernoulli(t, dt, logits, 1.3, append(opts, ops.WithSource(ops.NewSource(3)))...)
		}
		want, straight := build(ops.WithHard()).tape(t, 3)
		soft, slopes := build().tape(t, 3)
		logit, _ := build(ops.WithLogSpace()).tape(t, 3)
		for run := range want {
			for i, x := range soft[run] {
				if (x > 0.5) != (want[run][i] == 1) || math.Abs(1/(1+math.Exp(-logit[run][i]))-x) > 1e-6 {
					t.Errorf("%v: the samples are %v, %v and %v", dt, x, want[run][i], logit[run][i])
				}
			}
			if !slices.Equal(straight[run], slopes[run]) || !slices.Equal(straight[run][6:], []float64{0, 0}) {
				t.Errorf("%v: the gradient of the hard sample is %v, of the relaxed one %v", dt, straight[run], slopes[run])
			}
		}
		for _, estimator := range allEstimators {
			samples, grads := build(ops.WithEstimator(estimator)).tape(t, 3)
			for run := range samples {
				if !slices.Equal(samples[run], want[run]) {
					t.Errorf("%v of %v: the sample is %v, want %v", estimator, dt, samples[run], want[run])
				}
				if same := slices.Equal(grads[run], straight[run]); same != (estimator == ops.StraightThroughGumbel()) {
					t.Errorf("%v of %v: the gradient is %v, with WithHard %v", estimator, dt, grads[run], straight[run])
				}
			}
			if got := build(ops.WithEstimator(estimator)).lisp(t); !slices.Equal(got, grads[0]) {
				t.Errorf("%v of %v: the LispMachine's gradient is %v, want %v", estimator, dt, got, grads[0])
			}
		}
	}
}

// Straight-through softmax has the gradients of sigmoid(a/tau), to tau too.
func TestRelaxedBernoulliSoftmax(t *testing.T) {
	build := func(estimator bool) gradcheck.Build {
		return func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
			logits := input(g, tensor.Float64, "logits", tensor.Shape{4}, []float64{0.5, -1, 2, 0})
			tau, opts := scalar(g, tensor.Float64, "tau", 0.7), []ops.SampleOption{ops.WithEstimator(ops.StraightThroughSoftmax()), ops.WithSource(src)}
			if !estimator {
				opts = []ops.SampleOption{ops.WithNoise(input(g, tensor.Float64, "zeros", tensor.Shape{4}, make([]float64, 4)))}
			}
			x, err := ops.RelaxedBernoulli(logits, tau, opts...)
			if err != nil {
				return nil, nil, err
			}
			w := input(g, tensor.Float64, "weights", tensor.Shape{4}, []float64{1, -2, 0.5, 3})
			return G.Must(G.Sum(G.Must(G.HadamardProd(x, w)))), G.Nodes{logits, tau}, nil
		}
	}
	if err := gradcheck.Check(build(true), gradcheck.WithSurrogate(build(false))); err != nil {
		t.Error(err)
	}
}

// In a run without noise, the sample is the mode, and noise that is given has no
// gradient.
func TestRelaxedBernoulliWithoutNoise(t *testing.T) {
	logits := []float64{0.5, -1, 2, -0.1}
	for _, estimator := range allEstimators {
		e := newBernoulli(t, tensor.Float64, logits, 1.3, ops.WithEstimator(estimator), ops.WithDeterministicEval())
		samples, grads := e.tape(t, 2, G.EvalMode())
		if !slices.Equal(samples[0], []float64{1, 0, 1, 0}) || !slices.Equal(grads[0], grads[1]) {
			t.Errorf("%v: the samples are %v, the gradients %v", estimator, samples, grads)
		}
	}
	g := G.NewGraph()
	noise := input(g, tensor.Float64, "noise", tensor.Shape{4}, []float64{1, 2, 3, 4})
	x := must(ops.RelaxedBernoulli(input(g, tensor.Float64, "logits", tensor.Shape{4}, logits), scalar(g, tensor.Float64, "tau", 1), ops.WithNoise(noise), ops.WithDeterministicEval()))
	grad, err := G.Grad(G.Must(G.Sum(x)), noise)
	if err != nil {
		t.Fatal(err)
	}
	m := G.NewTapeMachine(g, G.EvalMode())
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	if got := numbersOf(grad[0].Value()); !slices.Equal(got, make([]float64, 4)) {
		t.Errorf("the gradient to the noise is %v", got)
	}
}

func TestRelaxedBernoulliErrors(t *testing.T) {
	g := G.NewGraph()
	logits, tau := input(g, tensor.Float64, "logits", tensor.Shape{2}, []float64{0, math.NaN()}), scalar(g, tensor.Float64, "tau", 1)
	noise := input(g, tensor.Float64, "noise", tensor.Shape{2}, []float64{0, 0})
	for want, opts := range map[string][]ops.SampleOption{
		"WithHard has no effect beside WithEstimator":    {ops.WithHard(), ops.WithEstimator(ops.ReinMax())},
		"WithLogSpace does not apply to the hard sample": {ops.WithLogSpace(), ops.WithHard()},
		"WithSource has no effect beside WithNoise":      {ops.WithNoise(noise), ops.WithSource(ops.NewSource(1))},
		"WithEstimator: the number of samples is 0":      {ops.WithEstimator(ops.GumbelRao(0))},
		"noise has dtype float32 but logits has float64": {ops.WithNoise(input(g, tensor.Float32, "n", tensor.Shape{2}, []float64{0, 0}))},
		"noise has shape (3) but logits has (2)":         {ops.WithNoise(input(g, tensor.Float64, "m", tensor.Shape{3}, []float64{0, 0, 0}))},
	} {
		if _, err := ops.RelaxedBernoulli(logits, tau, opts...); err == nil || !strings.HasPrefix(err.Error(), "ops: RelaxedBernoulli: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := ops.RelaxedBernoulli(logits, logits); err == nil || !strings.Contains(err.Error(), "tau has shape (2), want a scalar") {
		t.Errorf("error %v", err)
	}
	run := func(logits []float64, tau float64, want string) {
		t.Helper()
		e := newBernoulli(t, tensor.Float32, logits, tau)
		m := G.NewTapeMachine(e.g)
		defer m.Close()
		if err := m.RunAll(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	run([]float64{0, 0, math.NaN(), 0}, 1, "logits[1,0] is NaN")
	run([]float64{0, 0}, -1, "tau is -1, want a positive, finite temperature")
	run([]float64{0, 0}, math.NaN(), "tau is NaN")
}

// Empty and scalar inputs have empty and scalar samples.
func TestRelaxedBernoulliShapes(t *testing.T) {
	for _, shape := range []tensor.Shape{{0, 3}, {1}, {2, 1, 2, 3}} {
		g := G.NewGraph()
		logits := input(g, tensor.Float64, "logits", shape, make([]float64, shape.TotalSize()))
		x := must(ops.RelaxedBernoulli(logits, scalar(g, tensor.Float64, "tau", 1)))
		if shape.TotalSize() > 0 {
			run(g)
		}
		if !x.Shape().Eq(shape) {
			t.Errorf("the shape is %v, want %v", x.Shape(), shape)
		}
	}
}
