package gumbel_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
	for _, level := range []struct {
		name string
		step func(b *testing.B, shape tensor.Shape, hard, backward bool) func() error
	}{{"kernel", kernelStep}, {"graph", graphStep}} {
		b.Run(level.name, func(b *testing.B) {
			for _, hard := range []bool{false, true} {
				b.Run(map[bool]string{false: "soft", true: "hard"}[hard], func(b *testing.B) {
					for _, backward := range []bool{false, true} {
						b.Run(map[bool]string{false: "forward", true: "backward"}[backward], func(b *testing.B) {
							eachShape(b, func(b *testing.B, shape tensor.Shape) func() error {
								return level.step(b, shape, hard, backward)
							})
						})
					}
				})
			}
		})
	}
}

// eachShape times a step for each shape.
func eachShape(b *testing.B, newStep func(b *testing.B, shape tensor.Shape) func() error) {
	for _, s := range []struct {
		name  string
		shape tensor.Shape
	}{
		{"100x20x10", tensor.Shape{100, 20, 10}}, {"4096x10", tensor.Shape{4096, 10}},
		{"1024x1000", tensor.Shape{1024, 1000}}, {"64x32000", tensor.Shape{64, 32000}},
	} {
		b.Run(s.name, func(b *testing.B) {
			step := newStep(b, s.shape)
			for b.Loop() {
				if err := step(); err != nil {
					b.Fatal(err)
				}
			}
			elements := float64(s.shape.TotalSize())
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/elements, "ns/element")
		})
	}
}

// BenchmarkConcreteLogProb times the float32 density of samples in log space and its
// gradients. "forward" computes the density alone, "training" also what the gradients to
// logits, value and tau start from.
func BenchmarkConcreteLogProb(b *testing.B) {
	for _, name := range []string{"forward", "training", "logits", "value", "tau"} {
		b.Run(name, func(b *testing.B) {
			eachShape(b, func(b *testing.B, shape tensor.Shape) func() error { return concreteStep(b, shape, name) })
		})
	}
}

func concreteStep(b *testing.B, shape tensor.Shape, name string) func() error {
	n, k := shape.TotalSize(), shape[len(shape)-1]
	d := kernel.Dims{Outer: n / k, Classes: k, Inner: 1}
	logits, value, noise := normals(n), make([]float32, n), normals(n)
	s := kernel.Sampler[float32]{Dims: d, Logits: logits, Tau: 0.7, Noise: kernel.Noise[float32]{Given: noise}}
	if err := s.Log(value); err != nil {
		b.Fatal(err)
	}
	c := kernel.Concrete[float32]{Dims: d, Logits: logits, Value: value, Tau: 0.7}
	density, toTau, upstream := make([]float32, n/k), make([]float32, n/k), normals(n/k)
	slopes, grad := make([]float32, n), make([]float32, n)
	if err := c.LogProb(density, slopes, toTau); err != nil {
		b.Fatal(err)
	}
	return map[string]func() error{
		"forward":  func() error { return c.LogProb(density, nil, nil) },
		"training": func() error { return c.LogProb(density, slopes, toTau) },
		"logits": func() error {
			c.GradLogits(grad, slopes, upstream)
			return nil
		},
		"value": func() error {
			c.GradValue(grad, slopes, upstream)
			return nil
		},
		"tau": func() error {
			_ = c.GradTau(toTau, upstream)
			return nil
		},
	}[name]
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
	g := G.NewGraph()
	leaf := func(name string) *G.Node {
		v := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(normals(shape.TotalSize())))
		return G.NewTensor(g, tensor.Float32, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(v))
	}
	logits, tau := leaf("logits"), G.NewScalar(g, tensor.Float32, G.WithName("tau"), G.WithValue(float32(0.7)))
	opts := []ops.GumbelSoftmaxOption{ops.WithSource(ops.NewSource(1))}
	if hard {
		opts = append(opts, ops.WithHard())
	}
	y, err := ops.GumbelSoftmax(logits, tau, opts...)
	if err != nil {
		b.Fatal(err)
	}
	if backward {
		// Backpropagate takes the gradient to y, as y.backward(upstream)
		// does in PyTorch.
		if _, err := G.Backpropagate(G.Nodes{y}, G.Nodes{leaf("upstream")}, G.Nodes{logits}); err != nil {
			b.Fatal(err)
		}
	}
	m, err := vm.New(g)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close() })
	return func() error {
		defer m.Reset()
		return m.RunAll()
	}
}

// BenchmarkBernoulliKL and BenchmarkRelaxedBernoulliLogProb time float32 kernels beside a
// copy, in ns per element. "backward" is forward and all gradients.
func BenchmarkBernoulliKL(b *testing.B) {
	benchmarkElementwise(b, func(q, p, upstream, dst []float32, backward bool) error {
		err := kernel.BernoulliKL(dst, q, p)
		if backward {
			err = errors.Join(err, kernel.GradBernoulliKLQ(dst, q, p, upstream), kernel.GradBernoulliKLP(dst, q, p, upstream))
		}
		return err
	})
}

func BenchmarkRelaxedBernoulliLogProb(b *testing.B) {
	benchmarkElementwise(b, func(logits, value, upstream, dst []float32, backward bool) error {
		d := kernel.RelaxedDensity[float32]{Logits: logits, Value: value, Tau: 0.7}
		err := d.Log(dst)
		if backward {
			_, toTau := d.GradTau(upstream)
			err = errors.Join(err, d.GradLogits(dst, upstream), d.GradValue(dst, upstream), toTau)
		}
		return err
	})
}

func benchmarkElementwise(b *testing.B, step func(x, y, upstream, dst []float32, backward bool) error) {
	for _, n := range []int{1 << 12, 1 << 20, 1 << 24} {
		x, y, upstream, dst := normals(n), normals(n), normals(n), make([]float32, n)
		slices.Reverse(y) // because both have the same numbers
		for name, step := range map[string]func() error{
			"forward":  func() error { return step(x, y, upstream, dst, false) },
			"backward": func() error { return step(x, y, upstream, dst, true) },
			"copy":     func() error { copy(dst, x); return nil },
		} {
			b.Run(fmt.Sprint(name, "/", n), func(b *testing.B) {
				for b.Loop() {
					if err := step(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
			})
		}
	}
}
