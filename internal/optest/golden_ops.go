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

type perplexityGolden struct {
	Name             string
	Shape            tensor.Shape
	Axis             int
	Groups           *int
	Logits, Upstream floats
	Value, DLogits   floats
}

// GoldenPerplexity returns the cases of Perplexity.
func GoldenPerplexity(t *testing.T) (all []GoldenCase) {
	for i, c := range readGolden[perplexityGolden](t, "perplexity.json") {
		ds, groups, shape, opt := distributions(c.Shape, c.Axis), 1, tensor.Shape{}, ops.WithAxis(c.Axis)
		if c.Groups != nil {
			groups, shape = *c.Groups, tensor.Shape{*c.Groups}
			classes := c.Shape[c.Shape.Dims()-1] / groups
			ds, opt = Layout{Shape: c.Shape, Classes: classes}.Distributions(), ops.WithClasses(classes)
		}
		value, dlogits := c.results(ds, groups)
		all = append(all, GoldenCase{
			name:     fmt.Sprintf("%d, %s, %v axis %d", i, c.Name, c.Shape, c.Axis),
			leaves:   []leaf{{"logits", c.Shape, c.Logits, dlogits}},
			op:       func(in G.Nodes) (*G.Node, error) { return ops.Perplexity(in[0], opt) },
			shape:    shape,
			upstream: c.Upstream,
			value:    value,
		})
	}
	return all
}

// results returns what is wanted and its sizes, from PP = exp(−Σᵢ p̄ᵢ log p̄ᵢ), where p̄ is
// the mean of B distributions, and dPP/dlᵢ = −(PP/B) pᵢ (hᵢ − Σⱼ pⱼ hⱼ) with
// hᵢ = log p̄ᵢ − Σⱼ p̄ⱼ log p̄ⱼ. A probability is held to the same accuracy as a soft
// sample, and a mean to the mean of theirs.
func (c perplexityGolden) results(ds [][]int, groups int) (value, dlogits result) {
	value, dlogits = result{want: c.Value}, result{want: c.DLogits}
	logs, p := logSoftmax(c.Logits, 1, ds)
	dlogits.size = make(floats, len(p))
	batch := float64(len(ds) / groups)
	for g := range groups {
		m := newMeanSizes(len(ds[0]))
		for r := g; r < len(ds); r += groups {
			for k, i := range ds[r] {
				m.p[k] += p[i] / batch
				m.size[k] += p[i] * (8 + math.Abs(logs[i])) / batch
			}
		}
		pp, size := m.perplexity()
		value.size = append(value.size, size)
		u := math.Abs(c.Upstream[g]) / batch
		for r := g; r < len(ds); r += groups {
			mean, meanSize := 0.0, 0.0
			for k, i := range ds[r] {
				mean += p[i] * m.h[k]
				meanSize += p[i] * ((8+math.Abs(logs[i]))*math.Abs(m.h[k]) + m.hSize[k])
			}
			for k, i := range ds[r] {
				centred := math.Abs(m.h[k] - mean)
				dlogits.size[i] = u * p[i] * (pp*((8+math.Abs(logs[i]))*centred+m.hSize[k]+meanSize+math.Abs(mean)) + size*centred)
			}
		}
	}
	return value, dlogits
}

// meanSizes are a mean distribution, h of perplexityGolden.results, and their sizes.
type meanSizes struct{ p, h, size, hSize floats }

func newMeanSizes(classes int) meanSizes {
	return meanSizes{make(floats, classes), make(floats, classes), make(floats, classes), make(floats, classes)}
}

// perplexity returns the perplexity and its size, and sets h and its size.
func (m meanSizes) perplexity() (pp, size float64) {
	entropy, error := 0.0, 0.0
	for _, p := range m.p {
		if p != 0 {
			entropy -= p * math.Log(p)
		}
	}
	for k, p := range m.p {
		if p != 0 {
			m.h[k] = math.Log(p) + entropy
			error += math.Abs(m.h[k]) * m.size[k]
		}
	}
	for k, p := range m.p {
		if p != 0 {
			m.hSize[k] = m.size[k]/p + error + math.Abs(m.h[k]) + entropy
		}
	}
	pp = math.Exp(entropy)
	return pp, pp * (error + entropy + 2)
}

type hardConcreteGolden struct {
	Name                      string
	Shape                     tensor.Shape
	Tau, Gamma, Zeta          float64
	LogAlpha, Noise, Upstream floats
	Value, DLogAlpha          floats
	DTau                      float64
	Open, DOpen               floats
	DOpenTau                  float64
}

// GoldenHardConcrete returns the cases of HardConcrete.
func GoldenHardConcrete(t *testing.T) (all []GoldenCase) {
	for i, c := range readGolden[hardConcreteGolden](t, "hard_concrete.json") {
		value, dlogAlpha, dtau := c.results()
		all = append(all, GoldenCase{
			name: fmt.Sprintf("%d, %s, %v", i, c.Name, c.Shape),
			leaves: []leaf{
				{"logAlpha", c.Shape, c.LogAlpha, dlogAlpha},
				{"tau", tensor.Shape{}, floats{c.Tau}, dtau},
				{"noise", c.Shape, c.Noise, dlogAlpha}, // added to logAlpha: the same gradient
			},
			op: func(in G.Nodes) (*G.Node, error) {
				return ops.HardConcrete(in[0], in[1], ops.WithNoise(in[2]), ops.WithStretch(c.Gamma, c.Zeta))
			},
			shape:    c.Shape,
			upstream: c.Upstream,
			value:    value,
		})
	}
	return all
}

// results returns what is wanted and its sizes. With q the one of σ(±y) that is at most ½,
// a gate between 0 and 1 is an end of the stretch and a share q of its width, and its
// gradient is in proportion to q(1 − q). q is held to the accuracy of a soft sample.
func (c hardConcreteGolden) results() (value, dlogAlpha, dtau result) {
	value, dlogAlpha, dtau = result{want: c.Value}, result{want: c.DLogAlpha}, result{want: floats{c.DTau}, size: floats{0}}
	for i, a := range c.LogAlpha {
		y := math.Abs(a+c.Noise[i]) / c.Tau
		share := (c.Zeta - c.Gamma) * sigmoid(-y) * (8 + y)
		if c.Value[i] == 0 || c.Value[i] == 1 { // exactly
			share = 0
		}
		end := 0.0
		if share > 0 {
			end = max(-c.Gamma, c.Zeta)
		}
		value.size = append(value.size, end+share)
		dlogAlpha.size = append(dlogAlpha.size, math.Abs(c.Upstream[i])*share/c.Tau)
		dtau.size[0] += y * dlogAlpha.size[i]
	}
	return value, dlogAlpha, dtau
}

// GoldenHardConcreteOpen returns the cases of HardConcreteOpen.
func GoldenHardConcreteOpen(t *testing.T) (all []GoldenCase) {
	for i, c := range readGolden[hardConcreteGolden](t, "hard_concrete.json") {
		value, dlogAlpha, dtau := c.open()
		all = append(all, GoldenCase{
			name:   fmt.Sprintf("%d, %s, %v", i, c.Name, c.Shape),
			leaves: []leaf{{"logAlpha", c.Shape, c.LogAlpha, dlogAlpha}, {"tau", tensor.Shape{}, floats{c.Tau}, dtau}},
			op: func(in G.Nodes) (*G.Node, error) {
				return ops.HardConcreteOpen(in[0], in[1], ops.WithStretch(c.Gamma, c.Zeta))
			},
			shape:    c.Shape,
			upstream: c.Upstream,
			value:    value,
		})
	}
	return all
}

// open is results for the probability p of a value other than 0, which is held to the
// accuracy of a soft sample. PyTorch rounds the logit of p, of two terms that cancel, and
// 1 − p in the gradient.
func (c hardConcreteGolden) open() (value, dlogAlpha, dtau result) {
	value, dlogAlpha = result{want: c.Open}, result{want: c.DOpen}
	dtau = result{want: floats{c.DOpenTau}, size: floats{0}, torch: floats{0}}
	bound := math.Log(-c.Gamma / c.Zeta)
	for i, a := range c.LogAlpha {
		y := a - c.Tau*bound
		slope := sigmoid(y) * sigmoid(-y)
		torch, u := 0x1p-51*(math.Abs(c.Tau*bound)+math.Abs(y))*slope, math.Abs(c.Upstream[i])
		value.size, value.torch = append(value.size, sigmoid(y)*(8+math.Abs(y))), append(value.torch, torch)
		dlogAlpha.size, dlogAlpha.torch = append(dlogAlpha.size, u*slope*(8+math.Abs(y))), append(dlogAlpha.torch, u*(torch+0x1p-52))
		dtau.size[0] += math.Abs(bound) * dlogAlpha.size[i]
		dtau.torch[0] += math.Abs(bound) * dlogAlpha.torch[i]
	}
	return value, dlogAlpha, dtau
}

type concreteGolden struct {
	Name                string
	Shape               tensor.Shape
	Axis                int
	Tau, DTau           float64
	Logits, Y, Upstream floats
	Value, DLogits, DY  floats
}

// GoldenConcreteLogProb returns the cases of ConcreteLogProb.
func GoldenConcreteLogProb(t *testing.T) (all []GoldenCase) {
	for i, c := range readGolden[concreteGolden](t, "concrete_log_prob.json") {
		value, dlogits, dy, dtau := c.results()
		variants(fmt.Sprintf("%d, %s", i, c.Name), c.Shape, c.Axis, func(name string, shape tensor.Shape, opt ops.DistributionOption) {
			axis := (c.Axis + c.Shape.Dims()) % c.Shape.Dims()
			all = append(all, GoldenCase{
				name: name,
				leaves: []leaf{
					{"logits", shape, c.Logits, dlogits},
					{"y", shape, c.Y, dy},
					{"tau", tensor.Shape{}, floats{c.Tau}, dtau},
				},
				op:       func(in G.Nodes) (*G.Node, error) { return ops.ConcreteLogProb(in[1], in[0], in[2], opt) },
				shape:    slices.Delete(c.Shape.Clone(), axis, axis+1),
				upstream: c.Upstream,
				value:    value,
			})
		})
	}
	return all
}

// results returns what is wanted and its sizes, from log κ = log Γ(m) + (m−1) log τ +
// Σₖ log sₖ for s = softmax(r), r = logits − τy, and d log κ/drₖ = 1 − m sₖ. An s is held
// to the accuracy of a soft sample, and its logarithm is rounded once more. PyTorch rounds r
// in float64, and also differentiates a normalisation of the logits, through which a sum
// that should be 0 reaches all of them.
func (c concreteGolden) results() (value, dlogits, dy, dtau result) {
	value, dlogits, dy, dtau = result{want: c.Value}, result{want: c.DLogits}, result{want: c.DY}, result{want: floats{c.DTau}, size: floats{0}, torch: floats{0}}
	r := make(floats, len(c.Y))
	for i, y := range c.Y {
		if r[i] = math.Inf(-1); !math.IsInf(y, -1) {
			r[i] = c.Logits[i] - c.Tau*y
		}
	}
	for _, sizes := range []*floats{&dlogits.size, &dlogits.torch, &dy.size, &dy.torch} {
		*sizes = make(floats, len(r))
	}
	ds := distributions(c.Shape, c.Axis)
	logs, s := logSoftmax(r, 1, ds)
	for n, d := range ds {
		m, rounding, size := 0.0, 0.0, 0.0
		for _, i := range d {
			if !math.IsInf(r[i], -1) {
				m++
				rounding = max(rounding, 0x1p-50*(math.Abs(c.Logits[i])+math.Abs(c.Tau*c.Y[i])))
				size += 8 + 2*math.Abs(logs[i])
			}
		}
		gamma, _ := math.Lgamma(m)
		value.size = append(value.size, gamma+m*math.Abs(math.Log(c.Tau))+size)
		value.torch = append(value.torch, m*rounding)
		u := math.Abs(c.Upstream[n])
		dtau.size[0] += u * m / c.Tau
		for _, i := range d {
			if math.IsInf(r[i], -1) {
				continue
			}
			share := m * s[i]
			size, torch := u*(2+share*(8+math.Abs(logs[i]))), u*share*rounding
			dlogits.size[i], dlogits.torch[i] = size, u*m*rounding
			dy.size[i], dy.torch[i] = c.Tau*size, c.Tau*torch
			dtau.size[0] += math.Abs(c.Y[i]) * size
			dtau.torch[0] += math.Abs(c.Y[i]) * torch
		}
	}
	return value, dlogits, dy, dtau
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
