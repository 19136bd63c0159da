package gumbel_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// The golden files hold what PyTorch gives; testdata/golden/make.py made them and says
// what is in them. Every case runs in float64 and float32, on both machines, and once
// more with WithClasses where its shape allows.
//
// A result may miss PyTorch's float64 value by ε times a size that each case computes for
// each element. In float32, ε is 2⁻²³, and the size of a soft sample y is y·(8 + |log y|):
// the accuracy that ops promises, with the inputs taken as they are and no allowance for
// large logits, small tau or many classes. The sizes of gradients follow from it, to first
// order, by the formula of each. In float64, PyTorch's own rounding counts as much as
// ours, so ε is 2⁻⁴⁹, 16 times the unit roundoff: a relative 1.4e-14 where y is near 1.
const (
	float32Epsilon = 1.0 / (1 << 23)
	float64Epsilon = 1.0 / (1 << 49)
)

// Below the smallest normal number nothing is promised but that a result is as small.
const (
	float32Floor = 0x1p-118
	float64Floor = 0x1p-1000
)

// floats is a tensor as the golden files hold it: null, or numbers in a string.
type floats []float64

func (f *floats) UnmarshalJSON(b []byte) error {
	var text *string
	if err := json.Unmarshal(b, &text); err != nil || text == nil {
		return err
	}
	for _, field := range strings.Fields(*text) {
		v, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return err
		}
		*f = append(*f, v)
	}
	return nil
}

func (f floats) isFloat32() bool {
	return !slices.ContainsFunc(f, func(v float64) bool { return float64(float32(v)) != v })
}

func readGolden[T any](t *testing.T, name string) []T {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	var cases []T
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s: no cases", name)
	}
	return cases
}

// result is what is wanted of a value or a gradient, and how closely.
type result struct {
	want  floats // nil: PyTorch has none, so only finite numbers are asked for
	size  floats // each element may miss by ε times this
	torch floats // and by this, what PyTorch's own rounding may come to; nil: nothing
}

func (r result) allowed(i int, epsilon, floor float64) float64 {
	a := epsilon*r.size[i] + floor
	if r.torch != nil {
		a += r.torch[i]
	}
	return a
}

// leaf is an input of the op and the gradient wanted for it.
type leaf struct {
	name     string
	shape    tensor.Shape
	data     floats
	gradient result
}

// goldenCase is one op applied to leaves, its value, and the gradients of sum(upstream ⊙ value).
type goldenCase struct {
	leaves   []leaf
	op       func(in G.Nodes) (*G.Node, error)
	shape    tensor.Shape // of the value
	upstream floats
	value    result
}

func (c goldenCase) test(t *testing.T) {
	t.Helper()
	c.on(t, "tape, float64", tensor.Float64, false)
	c.on(t, "lisp, float64", tensor.Float64, true)
	if slices.ContainsFunc(c.leaves, func(l leaf) bool { return !l.data.isFloat32() }) {
		return // float32 would not be the same case
	}
	c.on(t, "tape, float32", tensor.Float32, false)
	c.on(t, "lisp, float32", tensor.Float32, true)
}

// on runs the case on one machine in one dtype.
func (c goldenCase) on(t *testing.T, name string, dt tensor.Dtype, lisp bool) {
	t.Helper()
	if lisp && G.CUDA {
		return
	}
	g := G.NewGraph()
	var in G.Nodes
	for _, l := range c.leaves {
		in = append(in, input(g, dt, l.name, l.shape, l.data))
	}
	y, err := c.op(in)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !y.Shape().Eq(c.shape) {
		t.Fatalf("%s: the value has shape %v, want %v", name, y.Shape(), c.shape)
	}
	var value G.Value
	G.Read(y, &value)
	cost := dot(y, input(g, dt, "upstream", c.shape, c.upstream))
	grads, err := backpropagate(t, g, cost, in, lisp)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	c.value.compare(t, name+": value", dt, value)
	for i, d := range grads {
		c.leaves[i].gradient.compare(t, name+": gradient of "+c.leaves[i].name, dt, d)
	}
}

// input makes a leaf that holds data, in dt.
func input(g *G.ExprGraph, dt tensor.Dtype, name string, shape tensor.Shape, data floats) *G.Node {
	var backing, scalar any = slices.Clone([]float64(data)), data[0]
	if dt == tensor.Float32 {
		f32 := make([]float32, len(data))
		for i, v := range data {
			f32[i] = float32(v)
		}
		backing, scalar = f32, f32[0]
	}
	if shape.IsScalar() {
		return G.NewScalar(g, dt, G.WithName(name), G.WithValue(scalar))
	}
	v := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(backing))
	return G.NewTensor(g, dt, shape.Dims(), G.WithShape(shape...), G.WithName(name), G.WithValue(v))
}

// dot is sum(a ⊙ b), of scalars too.
func dot(a, b *G.Node) *G.Node {
	p := G.Must(G.HadamardProd(a, b))
	if p.IsScalar() {
		return p
	}
	return G.Must(G.Sum(p))
}

// compare reports the element that misses by most.
func (r result) compare(t *testing.T, name string, dt tensor.Dtype, v G.Value) {
	t.Helper()
	got := elements(v)
	epsilon, floor := float64Epsilon, float64Floor
	if dt == tensor.Float32 {
		epsilon, floor = float32Epsilon, float32Floor
	}
	if i := slices.IndexFunc(got, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }); i >= 0 {
		t.Errorf("%s[%d] is %v", name, i, got[i])
		return
	}
	if r.want == nil {
		return
	}
	if len(got) != len(r.want) {
		t.Errorf("%s has %d elements, want %d", name, len(got), len(r.want))
		return
	}
	worst, at := 1.0, -1
	for i, x := range got {
		if miss := math.Abs(x-r.want[i]) / r.allowed(i, epsilon, floor); miss > worst {
			worst, at = miss, i
		}
	}
	if at >= 0 {
		t.Errorf("%s[%d] is %v, want %v: %.3g times what is allowed", name, at, got[at], r.want[at], worst)
	}
}

func elements(v G.Value) []float64 {
	switch d := v.Data().(type) {
	case float64:
		return []float64{d}
	case float32:
		return []float64{float64(d)}
	case []float64:
		return d
	case []float32:
		out := make([]float64, len(d))
		for i, x := range d {
			out[i] = float64(x)
		}
		return out
	}
	return nil
}

// distributions returns the indices of each distribution along an axis.
func distributions(shape tensor.Shape, axis int) [][]int {
	axis = (axis + shape.Dims()) % shape.Dims()
	inner := shape[axis+1:].TotalSize()
	var all [][]int
	for first := range shape.TotalSize() {
		if first/inner%shape[axis] != 0 {
			continue
		}
		d := make([]int, shape[axis])
		for k := range d {
			d[k] = first + k*inner
		}
		all = append(all, d)
	}
	return all
}

// logSoftmax returns log softmax(x/tau) over each distribution, and 0 for a masked
// class, whose probability 0 makes every size 0 whatever its logarithm.
func logSoftmax(x floats, tau float64, ds [][]int) (logs, probs floats) {
	logs, probs = make(floats, len(x)), make(floats, len(x))
	for _, d := range ds {
		top, sum := math.Inf(-1), 0.0
		for _, i := range d {
			top = math.Max(top, x[i])
		}
		for _, i := range d {
			sum += math.Exp((x[i] - top) / tau)
		}
		for _, i := range d {
			if math.IsInf(x[i], -1) {
				continue
			}
			logs[i] = (x[i]-top)/tau - math.Log(sum)
			probs[i] = math.Exp(logs[i])
		}
	}
	return logs, probs
}

// flat merges the last two dimensions, for WithClasses.
func flat(shape tensor.Shape) tensor.Shape {
	n := shape.Dims()
	return append(shape[:n-2:n-2], shape[n-2]*shape[n-1])
}

// variants runs test with the shape and axis, and with the last two dimensions merged
// and WithClasses where the axis is the last of three or more.
func variants(t *testing.T, name string, shape tensor.Shape, axis int, test func(t *testing.T, shape tensor.Shape, opt ops.DistributionOption)) {
	t.Run(fmt.Sprintf("%s, %v axis %d", name, shape, axis), func(t *testing.T) {
		test(t, shape, ops.WithAxis(axis))
	})
	last := shape.Dims() - 1
	if last >= 2 && (axis == -1 || axis == last) {
		t.Run(fmt.Sprintf("%s, %v blocks of %d", name, flat(shape), shape[last]), func(t *testing.T) {
			test(t, flat(shape), ops.WithClasses(shape[last]))
		})
	}
}

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

func TestGoldenGumbelSoftmax(t *testing.T) {
	for i, c := range readGolden[gumbelSoftmaxGolden](t, "gumbel_softmax.json") {
		name := fmt.Sprintf("%d, %s, hard %v", i, c.Name, c.Hard)
		value, dlogits, dtau := c.results()
		variants(t, name, c.Shape, c.Axis, func(t *testing.T, shape tensor.Shape, opt ops.DistributionOption) {
			goldenCase{
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
			}.test(t)
		})
	}
}

// results gives what is wanted and its sizes, from
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

func TestGoldenBCEWithLogits(t *testing.T) {
	for i, c := range readGolden[bceGolden](t, "bce_with_logits.json") {
		t.Run(fmt.Sprintf("%d, %s, %v", i, c.Name, c.Shape), func(t *testing.T) {
			value, dlogits, dtargets := c.results()
			goldenCase{
				leaves: []leaf{
					{"logits", c.Shape, c.Logits, dlogits},
					{"targets", c.Shape, c.Targets, dtargets},
				},
				op:       func(in G.Nodes) (*G.Node, error) { return ops.BCEWithLogits(in[0], in[1]) },
				shape:    c.Shape,
				upstream: c.Upstream,
				value:    value,
			}.test(t)
		})
	}
}

// results gives what is wanted and its sizes. The cross-entropy is |x|(1 − t) where x > 0,
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

func TestGoldenCategoricalKL(t *testing.T) {
	for i, c := range readGolden[klGolden](t, "categorical_kl.json") {
		value, dq, dp := c.results()
		variants(t, fmt.Sprintf("%d, %s", i, c.Name), c.Shape, c.Axis, func(t *testing.T, shape tensor.Shape, opt ops.DistributionOption) {
			leaves := []leaf{{"q", shape, c.Q, dq}}
			if c.P != nil {
				leaves = append(leaves, leaf{"p", shape, c.P, dp})
			}
			axis := (c.Axis + c.Shape.Dims()) % c.Shape.Dims()
			goldenCase{
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
			}.test(t)
		})
	}
}

// results gives what is wanted and its sizes, from KL = Σᵢ qᵢ(log qᵢ − log pᵢ),
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
