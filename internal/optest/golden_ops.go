package optest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

type gumbelSoftmaxGolden struct {
	Name                    string
	Shape                   tensor.Shape
	Axis                    int
	Tau                     float64
	Hard                    bool
	Logits, Noise, Upstream floats
	Value, DLogits          floats
	DTau                    *float64
}

// GoldenGumbelSoftmax returns the cases of GumbelSoftmax.
func GoldenGumbelSoftmax(t *testing.T) (all []GoldenCase) {
	for i, c := range readGolden[gumbelSoftmaxGolden](t, "gumbel_softmax.json") {
		value, dlogits, dtau := c.results()
		variants(fmt.Sprintf("%d, %s, hard %v", i, c.Name, c.Hard), c.Shape, c.Axis, func(name string, shape tensor.Shape, opt ops.DistributionOption) {
			all = append(all, GoldenCase{
				name: name,
				leaves: []leaf{
					{"logits", shape, c.Logits, dlogits},
					{"tau", tensor.Shape{}, floats{c.Tau}, dtau},
					{"noise", shape, c.Noise, dlogits}, // added to the logits: the same gradient
				},
				op: func(in G.Nodes) (*G.Node, error) {
					opts := []ops.GumbelSoftmaxOption{opt, ops.WithNoise(in[2])}
					if c.Hard {
						opts = append(opts, ops.WithHard())
					}
					return ops.GumbelSoftmax(in[0], in[1], opts...)
				},
				shape:    shape,
				upstream: c.Upstream,
				value:    value,
			})
		})
	}
	return all
}

// results returns what is wanted and its sizes, from
// dL/dlᵢ = yᵢ(uᵢ − Σⱼ uⱼyⱼ)/τ and dL/dτ = −Σᵢ log yᵢ · dL/dlᵢ.
func (c gumbelSoftmaxGolden) results() (value, dlogits, dtau result) {
	ds := distributions(c.Shape, c.Axis)
	sum := make(floats, len(c.Logits))
	for i := range sum {
		sum[i] = c.Logits[i] + c.Noise[i]
	}
	logs, y := logSoftmax(sum, c.Tau, ds)
	value.size, dlogits.size, dtau.size = make(floats, len(y)), make(floats, len(y)), floats{0}
	for _, d := range ds {
		mean, meanSize := 0.0, 0.0
		for _, i := range d {
			value.size[i] = y[i] * (8 + math.Abs(logs[i]))
			mean += c.Upstream[i] * y[i]
			meanSize += math.Abs(c.Upstream[i]) * (value.size[i] + y[i])
		}
		for _, i := range d {
			u := c.Upstream[i]
			grad := y[i] * math.Abs(u-mean) / c.Tau
			dlogits.size[i] = (value.size[i]*math.Abs(u-mean) + y[i]*(meanSize+math.Abs(u)+math.Abs(mean))) / c.Tau
			dtau.size[0] += math.Abs(logs[i])*dlogits.size[i] + (8+math.Abs(logs[i]))*grad
		}
	}
	if c.Hard {
		clear(value.size) // exactly 0 and 1
	}
	value.want, dlogits.want = c.Value, c.DLogits
	if c.DTau != nil {
		dtau.want = floats{*c.DTau}
	}
	return value, dlogits, dtau
}

type bceGolden struct {
	Name                      string
	Shape                     tensor.Shape
	Logits, Targets, Upstream floats
	Value, DLogits, DTargets  floats
}

// GoldenBCEWithLogits returns the cases of BCEWithLogits.
func GoldenBCEWithLogits(t *testing.T) (all []GoldenCase) {
	for i, c := range readGolden[bceGolden](t, "bce_with_logits.json") {
		value, dlogits, dtargets := c.results()
		all = append(all, GoldenCase{
			name: fmt.Sprintf("%d, %s, %v", i, c.Name, c.Shape),
			leaves: []leaf{
				{"logits", c.Shape, c.Logits, dlogits},
				{"targets", c.Shape, c.Targets, dtargets},
			},
			op:       func(in G.Nodes) (*G.Node, error) { return ops.BCEWithLogits(in[0], in[1]) },
			shape:    c.Shape,
			upstream: c.Upstream,
			value:    value,
		})
	}
	return all
}

// results returns what is wanted and its sizes. The cross-entropy is |x|(1 − t) where x > 0,
// else |x|t, plus log(1 + exp(−|x|)), and its gradient to x is s = exp(−|x|)/(1 + exp(−|x|))
// less t, or 1 − t less s where x > 0: four roundings of terms that do not cancel. PyTorch's
// terms, max(x, 0), xt and sigmoid(x), do.
func (c bceGolden) results() (value, dlogits, dtargets result) {
	value, dlogits, dtargets = result{want: c.Value}, result{want: c.DLogits}, result{want: c.DTargets}
	for i, x := range c.Logits {
		t, u := c.Targets[i], math.Abs(c.Upstream[i])
		if x > 0 {
			t = 1 - t
		}
		x = math.Abs(x)
		e := math.Exp(-x)
		value.size = append(value.size, 4*(x*t+math.Log1p(e)))
		value.torch = append(value.torch, 0x1p-51*(2*x+1))
		dlogits.size = append(dlogits.size, 4*u*(e/(1+e)+t))
		dlogits.torch = append(dlogits.torch, 0x1p-51*u)
		dtargets.size = append(dtargets.size, u*x)
	}
	return value, dlogits, dtargets
}

type klGolden struct {
	Name           string
	Shape          tensor.Shape
	Axis           int
	Q, P, Upstream floats
	Value, DQ, DP  floats
}

// GoldenCategoricalKL returns the cases of CategoricalKL.
func GoldenCategoricalKL(t *testing.T) (all []GoldenCase) {
	for i, c := range readGolden[klGolden](t, "categorical_kl.json") {
		value, dq, dp := c.results()
		variants(fmt.Sprintf("%d, %s", i, c.Name), c.Shape, c.Axis, func(name string, shape tensor.Shape, opt ops.DistributionOption) {
			leaves := []leaf{{"q", shape, c.Q, dq}}
			if c.P != nil {
				leaves = append(leaves, leaf{"p", shape, c.P, dp})
			}
			axis := (c.Axis + c.Shape.Dims()) % c.Shape.Dims()
			all = append(all, GoldenCase{
				name:   name,
				leaves: leaves,
				op: func(in G.Nodes) (*G.Node, error) {
					if c.P == nil {
						return ops.CategoricalKL(in[0], nil, opt)
					}
					return ops.CategoricalKL(in[0], in[1], opt)
				},
				shape:    slices.Delete(c.Shape.Clone(), axis, axis+1),
				upstream: c.Upstream,
				value:    value,
			})
		})
	}
	return all
}

// results returns what is wanted and its sizes, from KL = Σᵢ qᵢ(log qᵢ − log pᵢ),
// dKL/dqᵢ = qᵢ(log qᵢ − log pᵢ − KL) and dKL/dpᵢ = pᵢ − qᵢ in the logits of q and p.
// A probability is held to the same accuracy as a soft sample.
func (c klGolden) results() (value, dq, dp result) {
	value, dq, dp = result{want: c.Value}, result{want: c.DQ}, result{want: c.DP}
	ds := distributions(c.Shape, c.Axis)
	logQ, q := logSoftmax(c.Q, 1, ds)
	logitsP := c.P
	if logitsP == nil {
		logitsP = make(floats, len(q))
	}
	logP, p := logSoftmax(logitsP, 1, ds)
	dq.size, dp.size = make(floats, len(q)), make(floats, len(q))
	for r, d := range ds {
		kl, size := 0.0, 0.0
		for _, i := range d {
			ratio := logQ[i] - logP[i]
			kl += q[i] * ratio
			size += q[i] * ((8+math.Abs(logQ[i]))*(1+math.Abs(ratio)) + 8 + math.Abs(logP[i]))
		}
		value.size = append(value.size, size)
		u := math.Abs(c.Upstream[r])
		for _, i := range d {
			a, b := 8+math.Abs(logQ[i]), 8+math.Abs(logP[i])
			dq.size[i] = u * q[i] * (a*math.Abs(logQ[i]-logP[i]-kl) + a + b + size)
			dp.size[i] = u * (p[i]*b + q[i]*a)
		}
	}
	return value, dq, dp
}

type bernoulliKLGolden struct {
	Name           string
	Shape          tensor.Shape
	Q, P, Upstream floats
	Value, DQ, DP  floats
}

// GoldenBernoulliKL returns the cases of BernoulliKL.
func GoldenBernoulliKL(t *testing.T) (all []GoldenCase) {
	for i, c := range readGolden[bernoulliKLGolden](t, "bernoulli_kl.json") {
		value, dq, dp := c.results()
		leaves := []leaf{{"q", c.Shape, c.Q, dq}}
		if c.P != nil {
			leaves = append(leaves, leaf{"p", c.Shape, c.P, dp})
		}
		all = append(all, GoldenCase{
			name:   fmt.Sprintf("%d, %s, %v", i, c.Name, c.Shape),
			leaves: leaves,
			op: func(in G.Nodes) (*G.Node, error) {
				if c.P == nil {
					return ops.BernoulliKL(in[0], nil)
				}
				return ops.BernoulliKL(in[0], in[1])
			},
			shape:    c.Shape,
			upstream: c.Upstream,
			value:    value,
		})
	}
	return all
}

// results returns what is wanted and its sizes: eight units in the last place. PyTorch
// subtracts softplus(±q) from softplus(±p), and its gradients have those terms.
func (c bernoulliKLGolden) results() (value, dq, dp result) {
	value, dq, dp = result{want: c.Value}, result{want: c.DQ}, result{want: c.DP}
	for i, q := range c.Q {
		p, u := 0.0, math.Abs(c.Upstream[i])
		if c.P != nil {
			p = c.P[i]
			dp.size = append(dp.size, 8*math.Abs(c.DP[i]))
			dp.torch = append(dp.torch, 0x1p-51*u)
		}
		value.size = append(value.size, 8*c.Value[i])
		value.torch = append(value.torch, 0x1p-51*(1+math.Abs(q)+math.Abs(p)))
		dq.size = append(dq.size, 8*math.Abs(c.DQ[i]))
		dq.torch = append(dq.torch, 0x1p-51*u*(1+math.Abs(q)+math.Abs(p)))
	}
	return value, dq, dp
}

type logProbGolden struct {
	Name                string
	Shape               tensor.Shape
	Tau                 float64
	Logits, Y, Upstream floats
	Value, DLogits, DY  floats
	DTau                float64
}

// GoldenRelaxedBernoulliLogProb returns the cases of RelaxedBernoulliLogProb.
func GoldenRelaxedBernoulliLogProb(t *testing.T) (all []GoldenCase) {
	for i, c := range readGolden[logProbGolden](t, "relaxed_bernoulli_log_prob.json") {
		value, dlogits, dy, dtau := c.results()
		all = append(all, GoldenCase{
			name: fmt.Sprintf("%d, %s, %v", i, c.Name, c.Shape),
			leaves: []leaf{
				{"value", c.Shape, c.Y, dy},
				{"logits", c.Shape, c.Logits, dlogits},
				{"tau", tensor.Shape{}, floats{c.Tau}, dtau},
			},
			op:       func(in G.Nodes) (*G.Node, error) { return ops.RelaxedBernoulliLogProb(in[0], in[1], in[2]) },
			shape:    c.Shape,
			upstream: c.Upstream,
			value:    value,
		})
	}
	return all
}

// results returns what is wanted and its sizes, from log τ − |u| − 2 log(1 + e^−|u|) and
// t = tanh(u/2), u = a − τy. PyTorch rounds τy, and adds terms that cancel.
func (c logProbGolden) results() (value, dlogits, dy, dtau result) {
	value, dlogits, dy = result{want: c.Value}, result{want: c.DLogits}, result{want: c.DY}
	dtau = result{want: floats{c.DTau}, size: floats{0}, torch: floats{0}}
	for i, a := range c.Logits {
		y, up := c.Y[i], math.Abs(c.Upstream[i])
		u, terms := math.Abs(a-c.Tau*y), 1+math.Abs(a)+c.Tau*math.Abs(y)
		t := math.Tanh(u / 2)
		value.size = append(value.size, 3*(math.Abs(math.Log(c.Tau))+u+2*math.Log1p(math.Exp(-u))))
		value.torch = append(value.torch, 0x1p-51*terms)
		dlogits.size = append(dlogits.size, 5*t*up)
		dlogits.torch = append(dlogits.torch, 0x1p-51*up*terms)
		dy.size = append(dy.size, 5*c.Tau*t*up)
		dy.torch = append(dy.torch, 0x1p-51*c.Tau*up*terms)
		dtau.size[0] += 5 * up * (1/c.Tau + math.Abs(y)*t)
		dtau.torch[0] += 0x1p-51 * up * (1/c.Tau + math.Abs(y)*terms)
	}
	return value, dlogits, dy, dtau
}
