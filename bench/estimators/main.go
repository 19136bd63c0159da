// Command estimators measures bias and standard deviation of each estimator's gradient
// against temperature, on the problem that docs/choosing.md states, and draws them.
//
//	go run ./bench/estimators -out docs/estimators.png
package main

import (
	"flag"
	"fmt"
	"log"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

var (
	logits = []float64{0.5, -1, 2, 0}
	target = []float64{0.7, 0.1, 0.1, 0.1}
	taus   = []float64{0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1, 1.3, 1.6, 2, 3}
)

// A curve is an estimator. Without options it is the soft sample.
type curve struct {
	name  string
	opts  []ops.GumbelSoftmaxOption
	exact bool // the gradient depends on the noise only by the sampled class
}

func curves() []curve {
	with := func(e ops.Estimator) []ops.GumbelSoftmaxOption {
		return []ops.GumbelSoftmaxOption{ops.WithEstimator(e)}
	}
	return []curve{
		{"soft", nil, false},
		{"gumbel", with(ops.StraightThroughGumbel()), false},
		{"softmax", with(ops.StraightThroughSoftmax()), true},
		{"reinmax", with(ops.ReinMax()), true},
		{"rao(10)", with(ops.GumbelRao(10)), false},
		{"gapped(1)", with(ops.GappedStraightThrough(1)), true},
		{"gapped(adaptive)", with(ops.AdaptiveGap()), true},
	}
}

func main() {
	log.SetFlags(0)
	out := flag.String("out", "estimators.png", "write the picture to `FILE`")
	samples := flag.Int("samples", 1<<17, "draw `N` samples where enumeration is impossible")
	flag.Parse()
	if err := run(*out, *samples); err != nil {
		log.Fatal(err)
	}
}

func run(out string, samples int) error {
	all := curves()
	points := make([][]moments, len(all))
	for i, c := range all {
		for _, tau := range taus {
			m, err := c.measure(tau, samples)
			if err != nil {
				return err
			}
			points[i] = append(points[i], m)
			fmt.Printf("%-16s tau %-4v  bias %.4f  deviation %.4f\n", c.name, tau, m.bias, m.deviation)
		}
	}
	return drawPicture(out, all, points)
}

// moments are relative to the length of the exact gradient.
type moments struct{ bias, deviation float64 }

// measure returns the moments of the gradient at a temperature.
func (c curve) measure(tau float64, samples int) (moments, error) {
	p := softmax(logits)
	if !c.exact {
		weights := make([]float64, samples)
		for i := range weights {
			weights[i] = 1 / float64(samples)
		}
		gradients, err := c.gradients(tau, samples, nil)
		return momentsOf(gradients, weights), err
	}
	// Noise that exceeds all differences of logits makes row d sample class d.
	noise := make([]float64, len(p)*len(p))
	for d := range p {
		noise[d*len(p)+d] = 100
	}
	gradients, err := c.gradients(tau, len(p), noise)
	return momentsOf(gradients, p), err
}

// gradients returns one gradient of the loss per row.
func (c curve) gradients(tau float64, rows int, noise []float64) ([]float64, error) {
	g := G.NewGraph()
	l := matrix(g, "logits", rows, logits)
	opts := append([]ops.GumbelSoftmaxOption{}, c.opts...)
	if noise == nil {
		opts = append(opts, ops.WithSource(ops.NewSource(1)))
	} else {
		opts = append(opts, ops.WithNoise(matrix(g, "noise", rows, noise)))
	}
	y, err := ops.GumbelSoftmax(l, G.NewScalar(g, G.Float64, G.WithName("tau"), G.WithValue(tau)), opts...)
	if err != nil {
		return nil, err
	}
	apart, err := G.Sub(y, matrix(g, "target", rows, target))
	if err != nil {
		return nil, err
	}
	loss, err := G.Sum(G.Must(G.Square(apart)))
	if err != nil {
		return nil, err
	}
	gradient, err := G.Grad(loss, l)
	if err != nil {
		return nil, err
	}
	var value G.Value
	G.Read(gradient[0], &value)
	machine := G.NewTapeMachine(g)
	defer machine.Close()
	if err := machine.RunAll(); err != nil {
		return nil, err
	}
	return value.Data().([]float64), nil
}

// matrix adds a matrix to a graph, which repeats some rows.
func matrix(g *G.ExprGraph, name string, rows int, values []float64) *G.Node {
	data := make([]float64, rows*len(logits))
	for i := range data {
		data[i] = values[i%len(values)]
	}
	value := tensor.New(tensor.WithShape(rows, len(logits)), tensor.WithBacking(data))
	return G.NewMatrix(g, G.Float64, G.WithShape(rows, len(logits)), G.WithName(name), G.WithValue(value))
}

// momentsOf compares weighted gradients with the exact gradient.
func momentsOf(gradients, weights []float64) (m moments) {
	exact := exactGradient()
	mean := make([]float64, len(exact))
	for i, v := range gradients {
		mean[i%len(mean)] += weights[i/len(mean)] * v
	}
	var length float64
	for k, e := range exact {
		length += e * e
		m.bias += (mean[k] - e) * (mean[k] - e)
	}
	for i, v := range gradients {
		apart := v - mean[i%len(mean)]
		m.deviation += weights[i/len(mean)] * apart * apart
	}
	return moments{math.Sqrt(m.bias / length), math.Sqrt(m.deviation / length)}
}

// exactGradient returns the gradient of the expected loss of a one-hot sample.
func exactGradient() []float64 {
	p := softmax(logits)
	loss := make([]float64, len(p))
	var expected float64
	for d := range p {
		for k, t := range target {
			if k == d {
				t = 1 - t
			}
			loss[d] += t * t
		}
		expected += p[d] * loss[d]
	}
	for d := range p {
		p[d] *= loss[d] - expected
	}
	return p
}

func softmax(l []float64) []float64 {
	p := make([]float64, len(l))
	var sum float64
	for i, v := range l {
		p[i] = math.Exp(v)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}
