//go:build !cuda

package ops_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// logDensities returns the log densities of values at one logit and temperature.
func logDensities(t *testing.T, values []float64, logit, tau float64) []float64 {
	t.Helper()
	g, shape := G.NewGraph(), tensor.Shape{len(values)}
	value := input(g, tensor.Float64, "value", shape, values)
	logits := input(g, tensor.Float64, "logits", shape, slices.Repeat([]float64{logit}, len(values)))
	density, err := ops.RelaxedBernoulliLogProb(value, logits, scalar(g, tensor.Float64, "tau", tau))
	if err != nil {
		t.Fatal(err)
	}
	run(g)
	return numbersOf(density.Value())
}

// The log density of a sample does not depend on the logit: it is log τ + log u(1 − u) for
// the uniform number u of its noise. So its gradient to the logit, through the sample too,
// is 0, and that to τ is 1/τ for each element.
func TestRelaxedBernoulliOwnDensity(t *testing.T) {
	const n = 500
	r := rand.New(rand.NewPCG(1, 2))
	for _, tau := range []float64{0.01, 0.5, 1, 100} {
		data, noise, want := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range n {
			u := r.Float64()
			data[i], noise[i] = 5*r.NormFloat64(), math.Log(u)-math.Log1p(-u)
			want[i] = math.Log(tau) + math.Log(u) + math.Log1p(-u)
		}
		g, shape := G.NewGraph(), tensor.Shape{n}
		logits, temperature := input(g, tensor.Float64, "logits", shape, data), scalar(g, tensor.Float64, "tau", tau)
		y := must(ops.RelaxedBernoulli(logits, temperature, ops.WithLogSpace(), ops.WithNoise(input(g, tensor.Float64, "noise", shape, noise))))
		density := must(ops.RelaxedBernoulliLogProb(y, logits, temperature))
		grads, err := G.Grad(G.Must(G.Sum(density)), logits, temperature)
		if err != nil {
			t.Fatal(err)
		}
		var got G.Value
		G.Read(density, &got)
		run(g)
		for i, v := range numbersOf(got) {
			if math.Abs(v-want[i]) > 1e-12*(1+math.Abs(want[i])) {
				t.Errorf("tau %v: the log density %d is %v, want %v", tau, i, v, want[i])
			}
		}
		for i, v := range numbersOf(grads[0].Value()) {
			if math.Abs(v) > 1e-12 {
				t.Errorf("tau %v: the gradient to logit %d is %v, want 0", tau, i, v)
			}
		}
		if v := numbersOf(grads[1].Value())[0]; math.Abs(v*tau-n) > 1e-10*n {
			t.Errorf("tau %v: the gradient to tau is %v, want %v", tau, v, n/tau)
		}
	}
}

// The density integrates to 1 in logit space and, with the Jacobian, in the unit interval.
func TestRelaxedBernoulliDensityIntegral(t *testing.T) {
	for _, logit := range []float64{-3, 0, 0.8, 7} {
		for _, tau := range []float64{0.3, 1, 4} {
			// The trapezoidal rule, whose error vanishes exponentially with the step.
			const points = 4001
			span := 45 / tau
			y := make([]float64, points)
			for i := range y {
				y[i] = logit/tau + span*(2*float64(i)/(points-1)-1)
			}
			var sum float64
			for _, v := range logDensities(t, y, logit, tau) {
				sum += math.Exp(v) * 2 * span / (points - 1)
			}
			if math.Abs(sum-1) > 1e-12 {
				t.Errorf("logit %v, tau %v: the density integrates to %v", logit, tau, sum)
			}
			// The same rule for v in x = σ(v³ + v), whose density vanishes at the ends.
			var weights []float64
			y = y[:0]
			for v := -6.0; v <= 6; v += 1. / 256 {
				z := v*v*v + v
				y = append(y, z)
				e := math.Exp(-math.Abs(z))
				weights = append(weights, (3*v*v+1)/256*e/((1+e)*(1+e))) // dx
			}
			sum = 0
			for i, density := range logDensities(t, y, logit, tau) {
				// −log x − log(1 − x) is 2 softplus(|z|) − |z|.
				z := math.Abs(y[i])
				sum += math.Exp(density+z+2*math.Log1p(math.Exp(-z))) * weights[i]
			}
			if math.Abs(sum-1) > 1e-12 {
				t.Errorf("logit %v, tau %v: the density in the unit interval integrates to %v", logit, tau, sum)
			}
		}
	}
}
