package optest

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

// The golden files hold results of PyTorch; testdata/golden/make.py made them and says
// what is in them. Every case runs in float64 and float32, on both machines, and once
// more with WithClasses if its shape allows.
//
// A result may differ from PyTorch's float64 value by ε times a size that each case
// computes per element. In float32, ε is 2⁻²³, and the size of a soft sample y is
// y·(8 + |log y|): the accuracy that ops promises, with no allowance for large logits,
// small tau or many classes. The sizes of gradients follow from it, to first order, by
// the formula of each. In float64, PyTorch's rounding counts as much as ours, so ε is
// 2⁻⁴⁹, 16 times the unit roundoff: a relative 1.4e-14 where y is near 1.
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
	want  floats // nil: PyTorch has none, so only finite numbers are wanted
	size  floats // each element may differ by ε times this
	torch floats // and by this, which bounds PyTorch's rounding; nil: nothing
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

// A GoldenCase is an op applied to leaves, its value, and the gradients of
// sum(upstream ⊙ value).
type GoldenCase struct {
	name     string
	leaves   []leaf
	op       func(in G.Nodes) (*G.Node, error)
	shape    tensor.Shape // of the value
	upstream floats
	value    result
}

// goldenRun is a case in a graph.
type goldenRun struct {
	GoldenCase
	in    G.Nodes
	cost  *G.Node
	value G.Value
	grads []G.Value
}

// build adds a case to a graph. The prefix keeps its inputs from merging with others.
func (c GoldenCase) build(g *G.ExprGraph, dt tensor.Dtype, prefix string) (*goldenRun, error) {
	r := &goldenRun{GoldenCase: c, grads: make([]G.Value, len(c.leaves))}
	for _, l := range c.leaves {
		r.in = append(r.in, newInput(g, dt, prefix+l.name, l.shape, l.data))
	}
	y, err := c.op(r.in)
	if err != nil {
		return nil, err
	}
	if !y.Shape().Eq(c.shape) {
		return nil, fmt.Errorf("the value has shape %v, want %v", y.Shape(), c.shape)
	}
	G.Read(y, &r.value)
	r.cost = Dot(y, newInput(g, dt, prefix+"upstream", c.shape, c.upstream))
	return r, nil
}

func (r *goldenRun) compare(t *testing.T, dt tensor.Dtype) {
	t.Helper()
	r.GoldenCase.value.compare(t, "value", dt, r.value)
	for i, d := range r.grads {
		r.leaves[i].gradient.compare(t, "gradient of "+r.leaves[i].name, dt, d)
	}
}

// fits reports whether the case is the same in a dtype.
func (c GoldenCase) fits(dt tensor.Dtype) bool {
	return dt == tensor.Float64 || !slices.ContainsFunc(c.leaves, func(l leaf) bool { return !l.data.isFloat32() })
}

func (r Row) testGolden(t *testing.T) {
	if r.Golden == nil {
		return
	}
	t.Run("golden", func(t *testing.T) {
		cases := r.Golden(t)
		for _, dt := range []tensor.Dtype{tensor.Float64, tensor.Float32} {
			t.Run("tape "+dt.String(), func(t *testing.T) { testGoldenTape(t, cases, dt) })
			if !G.CUDA {
				t.Run("lisp "+dt.String(), func(t *testing.T) { testGoldenLisp(t, cases, dt) })
			}
		}
	})
}

// testGoldenTape runs all cases in one graph.
func testGoldenTape(t *testing.T, cases []GoldenCase, dt tensor.Dtype) {
	g := G.NewGraph()
	var runs []*goldenRun
	var costs, wrt G.Nodes
	for i, c := range cases {
		if !c.fits(dt) {
			continue
		}
		r, err := c.build(g, dt, fmt.Sprint(i, "."))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		runs, costs, wrt = append(runs, r), append(costs, r.cost), append(wrt, r.in...)
	}
	if _, err := G.Grad(total(costs), wrt...); err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		for i, n := range r.in {
			G.Read(n.Deriv(), &r.grads[i])
		}
	}
	if err := newMachine(t, g).RunAll(); err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) { r.compare(t, dt) })
	}
}

func testGoldenLisp(t *testing.T, cases []GoldenCase, dt tensor.Dtype) {
	for _, c := range cases {
		if !c.fits(dt) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			g := G.NewGraph()
			r, err := c.build(g, dt, "")
			if err != nil {
				t.Fatal(err)
			}
			m := G.NewLispMachine(g)
			defer m.Close()
			if err := m.RunAll(); err != nil {
				t.Fatal(err)
			}
			for i, n := range r.in {
				if r.grads[i], err = n.Grad(); err != nil {
					t.Fatal(err)
				}
			}
			r.compare(t, dt)
		})
	}
}

// compare reports the element that differs by most.
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

// logSoftmax returns log softmax(x/tau) of each distribution. The log of a masked class
// is set to 0, because its probability 0 makes every size 0.
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

// variants calls add with the shape and axis, and, if the axis is the last of three or
// more, with the last two dimensions merged and WithClasses.
func variants(name string, shape tensor.Shape, axis int, add func(name string, shape tensor.Shape, opt ops.DistributionOption)) {
	add(fmt.Sprintf("%s, %v axis %d", name, shape, axis), shape, ops.WithAxis(axis))
	last := shape.Dims() - 1
	if last >= 2 && (axis == -1 || axis == last) {
		add(fmt.Sprintf("%s, %v blocks of %d", name, flat(shape), shape[last]), flat(shape), ops.WithClasses(shape[last]))
	}
}
