package gumbel_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/ops"
	"github.com/gumbel-go/gumbel/vm"
)

// BenchmarkGumbelSoftmax times float32 samples, as the kernels alone and as a
// RunAll of a graph. "backward" is forward and backward together, as in a
// training step.
func BenchmarkGumbelSoftmax(b *testing.B) {
	shapes := []struct {
		name  string
		shape tensor.Shape
	}{
		{"100x20x10", tensor.Shape{100, 20, 10}}, {"4096x10", tensor.Shape{4096, 10}},
		{"1024x1000", tensor.Shape{1024, 1000}}, {"64x32000", tensor.Shape{64, 32000}},
	}
	for _, level := range []struct {
		name string
		step func(b *testing.B, shape tensor.Shape, hard, backward bool) func() error
	}{{"kernel", kernelStep}, {"graph", graphStep}} {
		b.Run(level.name, func(b *testing.B) {
			for _, hard := range []bool{false, true} {
				b.Run(map[bool]string{false: "soft", true: "hard"}[hard], func(b *testing.B) {
					for _, backward := range []bool{false, true} {
						b.Run(pass(backward), func(b *testing.B) {
							for _, s := range shapes {
								b.Run(s.name, func(b *testing.B) {
									perElement(b, s.shape.TotalSize(), level.step(b, s.shape, hard, backward))
								})
							}
						})
					}
				})
			}
		})
	}
}

func normals(n int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func kernelStep(_ *testing.B, shape tensor.Shape, hard, backward bool) func() error {
	n, k := shape.TotalSize(), shape[len(shape)-1]
	logits, upstream := normals(n), normals(n)
	sample, soft, grad := make([]float32, n), make([]float32, n), make([]float32, n)
	s := kernel.Sampler[float32]{
		Dims:   kernel.Dims{Outer: n / k, Classes: k, Inner: 1},
		Logits: logits, Tau: 0.7, Noise: kernel.Noise[float32]{Stream: &kernel.Stream{}},
	}
	return func() error {
		s.Noise.Stream.Draw++
		var err error
		switch {
		case hard && backward:
			err = s.Hard(sample, soft)
		case hard:
			err = s.Hard(sample, nil)
		default:
			err = s.Soft(soft)
		}
		if backward {
			s.Grad(grad, soft, upstream)
		}
		return err
	}
}

func graphStep(b *testing.B, shape tensor.Shape, hard, backward bool) func() error {
	return newOpGraph(shape).step(b, sample(options(hard)...), backward)
}

func options(hard bool) []ops.GumbelSoftmaxOption {
	if hard {
		return []ops.GumbelSoftmaxOption{ops.WithHard()}
	}
	return nil
}

// opGraph is a graph to time an op in. Its inputs have one shape.
type opGraph struct {
	*G.ExprGraph
	shape tensor.Shape
}

func newOpGraph(shape tensor.Shape) opGraph { return opGraph{G.NewGraph(), shape} }

func (g opGraph) array(name string, shape tensor.Shape, data []float32) *G.Node {
	v := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
	return G.NewTensor(g.ExprGraph, tensor.Float32, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(v))
}

// normals returns an input of normal numbers, which are others for another name.
func (g opGraph) normals(name string) *G.Node {
	data := normals(g.shape.TotalSize() + len(name))
	return g.array(name, g.shape, data[len(name):])
}

func (g opGraph) tau() *G.Node {
	return G.NewScalar(g.ExprGraph, tensor.Float32, G.WithName("tau"), G.WithValue(float32(0.7)))
}

// An opBuilder adds an op, and returns its node and the inputs that receive a gradient.
type opBuilder func(g opGraph) (y *G.Node, wrt G.Nodes, err error)

// step returns a run of the op, and of its gradients if backward is set.
func (g opGraph) step(b *testing.B, build opBuilder, backward bool) func() error {
	y, wrt, err := build(g)
	if err != nil {
		b.Fatal(err)
	}
	if backward {
		// Backpropagate takes the gradient to y, as y.backward(upstream) does in PyTorch.
		upstream := g.array("upstream", y.Shape(), normals(y.Shape().TotalSize()))
		if _, err := G.Backpropagate(G.Nodes{y}, G.Nodes{upstream}, wrt); err != nil {
			b.Fatal(err)
		}
	}
	m, err := vm.New(g.ExprGraph)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close() })
	return func() error {
		defer m.Reset()
		return m.RunAll()
	}
}

// sample returns the builder of a GumbelSoftmax.
func sample(opts ...ops.GumbelSoftmaxOption) opBuilder {
	return func(g opGraph) (*G.Node, G.Nodes, error) {
		logits := g.normals("logits")
		y, err := ops.GumbelSoftmax(logits, g.tau(), append(opts, ops.WithSource(ops.NewSource(1)))...)
		return y, G.Nodes{logits}, err
	}
}

// learned also asks for the gradient to tau.
func learned(opts ...ops.GumbelSoftmaxOption) opBuilder {
	return func(g opGraph) (*G.Node, G.Nodes, error) {
		logits, tau := g.normals("logits"), g.tau()
		y, err := ops.GumbelSoftmax(logits, tau, append(opts, ops.WithSource(ops.NewSource(1)))...)
		return y, G.Nodes{logits, tau}, err
	}
}

func relaxedSample(opts ...ops.SampleOption) opBuilder {
	return func(g opGraph) (*G.Node, G.Nodes, error) {
		logits := g.normals("logits")
		y, err := ops.RelaxedBernoulli(logits, g.tau(), append(opts, ops.WithSource(ops.NewSource(1)))...)
		return y, G.Nodes{logits}, err
	}
}

// unary returns the builder of a function of logits.
func unary(f func(logits *G.Node) (*G.Node, error)) opBuilder {
	return func(g opGraph) (*G.Node, G.Nodes, error) {
		logits := g.normals("logits")
		y, err := f(logits)
		return y, G.Nodes{logits}, err
	}
}

// binary returns the builder of a function of two arrays, with a gradient to the second.
func binary(f func(x, y *G.Node) (*G.Node, error)) opBuilder {
	return func(g opGraph) (*G.Node, G.Nodes, error) {
		x, y := g.normals("first"), g.normals("second")
		z, err := f(x, y)
		return z, G.Nodes{y}, err
	}
}

// ofDensity returns the builder of a density, with a gradient to the logits.
func ofDensity(f func(value, logits, tau *G.Node) (*G.Node, error)) opBuilder {
	return func(g opGraph) (*G.Node, G.Nodes, error) {
		value, logits := g.normals("value"), g.normals("logits")
		y, err := f(value, logits, g.tau())
		return y, G.Nodes{logits}, err
	}
}

// BenchmarkOps times ops as a RunAll of a graph, in float32, and a copy of an array.
func BenchmarkOps(b *testing.B) {
	for _, op := range []struct {
		name  string
		build opBuilder
	}{
		{"gumbel", sample(ops.WithHard())},
		{"softmax", sample(ops.WithEstimator(ops.StraightThroughSoftmax()))},
		{"reinmax", sample(ops.WithEstimator(ops.ReinMax()))},
		{"gapped", sample(ops.WithEstimator(ops.GappedStraightThrough(1)))},
		{"adaptive", sample(ops.WithEstimator(ops.AdaptiveGap()))},
		{"rao10", sample(ops.WithEstimator(ops.GumbelRao(10)))},
		{"soft", sample()},
		{"soft-tau", learned()},
		{"hard-tau", learned(ops.WithHard())},
		{"log-space", sample(ops.WithLogSpace())},
		{"relaxed-bernoulli", relaxedSample()},
		{"entropy", unary(func(logits *G.Node) (*G.Node, error) { return ops.CategoricalEntropy(logits) })},
		{"kl-uniform", unary(func(q *G.Node) (*G.Node, error) { return ops.CategoricalKL(q, nil) })},
		{"kl", binary(func(p, q *G.Node) (*G.Node, error) { return ops.CategoricalKL(q, p) })},
		{"log-prob", binary(func(value, logits *G.Node) (*G.Node, error) { return ops.CategoricalLogProb(value, logits) })},
		{"bernoulli-kl", binary(func(p, q *G.Node) (*G.Node, error) { return ops.BernoulliKL(q, p) })},
		{"concrete-log-prob", ofDensity(func(value, logits, tau *G.Node) (*G.Node, error) { return ops.ConcreteLogProb(value, logits, tau) })},
		{"relaxed-log-prob", ofDensity(ops.RelaxedBernoulliLogProb)},
	} {
		for _, shape := range []tensor.Shape{{4096, 10}, {1024, 1000}} {
			for _, backward := range []bool{false, true} {
				b.Run(fmt.Sprintf("graph/%s/%s/%dx%d", op.name, pass(backward), shape[0], shape[1]), func(b *testing.B) {
					perElement(b, shape.TotalSize(), newOpGraph(shape).step(b, op.build, backward))
				})
			}
		}
	}
	for _, shape := range []tensor.Shape{{4096, 10}, {1024, 1000}} {
		b.Run(fmt.Sprintf("graph/copy/forward/%dx%d", shape[0], shape[1]), func(b *testing.B) {
			from, to := normals(shape.TotalSize()), make([]float32, shape.TotalSize())
			perElement(b, len(from), func() error { copy(to, from); return nil })
		})
	}
}

func pass(backward bool) string {
	if backward {
		return "backward"
	}
	return "forward"
}

// perElement times a step.
func perElement(b *testing.B, elements int, step func() error) {
	for b.Loop() {
		if err := step(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(elements), "ns/element")
}
