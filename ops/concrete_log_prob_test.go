package ops_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

func rowsOf(g *G.ExprGraph, name string, classes int, data ...float64) *G.Node {
	v := tensor.New(tensor.WithShape(len(data)/classes, classes), tensor.WithBacking(data))
	return G.NewMatrix(g, tensor.Float64, G.WithShape(v.Shape()...), G.WithName(name), G.WithValue(v))
}

func float64Scalar(g *G.ExprGraph, name string, v float64) *G.Node {
	return G.NewScalar(g, tensor.Float64, G.WithName(name), G.WithValue(v))
}

// The density of a node's own sample does not depend on logits and tau: with E the
// exponential noise, it is log Γ(m) + (m−1) log tau + Σ log(E/ΣE).
func TestConcreteOfOwnSample(t *testing.T) {
	e := []float64{0.7, 1.9, 0.2, 1.1, 0.05, 2.3, 0.4, 0.9}
	noise := make([]float64, len(e))
	for i, x := range e {
		noise[i] = -math.Log(x)
	}
	for _, tau := range []float64{0.01, 0.7, 100} {
		for _, scale := range []float64{1, 100, 1e4} {
			g := G.NewGraph()
			logits := rowsOf(g, "logits", 4, 0.5*scale, -scale, 2*scale, 0, scale, scale, math.Inf(-1), -scale)
			temperature := float64Scalar(g, "tau", tau)
			y := G.Must(ops.GumbelSoftmax(logits, temperature, ops.WithLogSpace(), ops.WithNoise(rowsOf(g, "noise", 4, noise...))))
			got := runOnce(t, []*G.Node{G.Must(ops.ConcreteLogProb(y, logits, temperature))})[0]
			for r, classes := range [][]int{{0, 1, 2, 3}, {4, 5, 7}} {
				var sum float64
				for _, k := range classes {
					sum += e[k]
				}
				m := float64(len(classes))
				gamma, _ := math.Lgamma(m)
				want := gamma + (m-1)*math.Log(tau)
				for _, k := range classes {
					want += math.Log(e[k] / sum)
				}
				// The sample is rounded, where it is as large as the logits divided by tau.
				if math.Abs(got[r]-want) > 1e-10+0x1p-50*scale*m {
					t.Errorf("tau %v, logits of %v: row %d is %v, want %v", tau, scale, r, got[r], want)
				}
			}
		}
	}
}

// The density of two classes is that of a relaxed Bernoulli sample in logit space: with
// u = l₁ − l₂ − tau(y₁ − y₂), it is log tau + u − 2 softplus(u).
func TestConcreteOfTwoClasses(t *testing.T) {
	const tau = 0.6
	g := G.NewGraph()
	logits, y := []float64{0.8, 0, 3, -1, 0, 0}, []float64{-0.1, -2, -7, -0.01, -0.5, -0.9}
	got := runOnce(t, []*G.Node{G.Must(ops.ConcreteLogProb(rowsOf(g, "y", 2, y...), rowsOf(g, "logits", 2, logits...), float64Scalar(g, "tau", tau)))})[0]
	for r := range got {
		u := logits[2*r] - logits[2*r+1] - tau*(y[2*r]-y[2*r+1])
		if want := math.Log(tau) + u - 2*math.Log1p(math.Exp(u)); math.Abs(got[r]-want) > 1e-13 {
			t.Errorf("row %d is %v, want %v", r, got[r], want)
		}
	}
}

// The density is normalised. A point x of the simplex is the softmax of (z₁, …, zₘ₋₁, 0),
// whose Jacobian has the determinant Π xₖ, and its density is κ/Π xₖ. So κ is the density
// of z, the differences of y from its last element.
func TestConcreteIsNormalised(t *testing.T) {
	const tau, step, side = 1.3, 0.25, 300
	var y []float64
	for i := range side {
		for j := range side {
			y = append(y, step*float64(i-side/2), step*float64(j-side/2), 0)
		}
	}
	logits := make([]float64, len(y))
	for i := range logits {
		logits[i] = []float64{0.5, -1, 2}[i%3]
	}
	g := G.NewGraph()
	logProb := G.Must(ops.ConcreteLogProb(rowsOf(g, "y", 3, y...), rowsOf(g, "logits", 3, logits...), float64Scalar(g, "tau", tau)))
	var sum float64
	for _, log := range runOnce(t, []*G.Node{logProb})[0] {
		sum += math.Exp(log) * step * step
	}
	if math.Abs(sum-1) > 1e-10 {
		t.Errorf("the integral is %.12f", sum)
	}
}

// Beyond float64, an error says so.
func TestConcreteOutOfRange(t *testing.T) {
	g := G.NewGraph()
	y := rowsOf(g, "y", 2, 0, -1e308)
	G.Must(ops.ConcreteLogProb(y, rowsOf(g, "logits", 2, 0, 0), float64Scalar(g, "tau", 10)))
	err := newMachine(t, g).RunAll()
	var bad *ops.InputError
	const want = "logits[0,1] − tau·value[0,1] is outside the range of float64"
	if !errors.As(err, &bad) || bad.Input != "value" || bad.Index != 1 || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}
