package gumbel_test

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// What the constructors refuse, and in which words.
func TestBuildErrors(t *testing.T) {
	g := G.NewGraph()
	node := func(dt tensor.Dtype, name string, shape ...int) *G.Node {
		return G.NewTensor(g, dt, len(shape), G.WithShape(shape...), G.WithName(name))
	}
	f64, f32 := tensor.Float64, tensor.Float32
	x, y := node(f64, "x", 2, 6), node(f64, "y", 6, 2)
	ints, single, vector := node(tensor.Int, "ints", 2, 6), node(f32, "single", 2, 6), node(f64, "vector", 1)
	tau, tau32 := G.NewScalar(g, f64, G.WithName("tau")), G.NewScalar(g, f32, G.WithName("tau32"))
	soft := func(opts ...ops.GumbelSoftmaxOption) func() (*G.Node, error) {
		return func() (*G.Node, error) { return ops.GumbelSoftmax(x, tau, opts...) }
	}
	for name, test := range map[string]struct {
		build func() (*G.Node, error)
		want  string
	}{
		"nil logits":        {func() (*G.Node, error) { return ops.GumbelSoftmax(nil, tau) }, "GumbelSoftmax: logits is nil"},
		"nil tau":           {func() (*G.Node, error) { return ops.GumbelSoftmax(x, nil) }, "GumbelSoftmax: tau is nil"},
		"integers":          {func() (*G.Node, error) { return ops.GumbelSoftmax(ints, tau) }, "logits has dtype int"},
		"tau float32":       {func() (*G.Node, error) { return ops.GumbelSoftmax(x, tau32) }, "tau has dtype float32 but logits has float64: they must match"},
		"tau a vector":      {func() (*G.Node, error) { return ops.GumbelSoftmax(x, vector) }, `tau has shape \(1\)`},
		"scalar logits":     {func() (*G.Node, error) { return ops.GumbelSoftmax(tau, tau) }, "a scalar has no axis"},
		"axis 2":            {soft(ops.WithAxis(2)), `axis 2 is out of range for shape \(2, 6\)`},
		"axis -3":           {soft(ops.WithAxis(-3)), "axis -3 is out of range"},
		"4 of 6 classes":    {soft(ops.WithClasses(4)), "4 classes do not divide"},
		"0 classes":         {soft(ops.WithClasses(0)), "WithClasses: k is 0, want at least 1"},
		"classes, axis 0":   {soft(ops.WithClasses(2), ops.WithAxis(0)), "along the last axis"},
		"noise shape":       {soft(ops.WithNoise(y)), `noise has shape \(6, 2\) but logits has \(2, 6\)`},
		"noise dtype":       {soft(ops.WithNoise(single)), "noise has dtype float32"},
		"nil noise":         {soft(ops.WithNoise(nil)), "the noise is nil"},
		"nil source":        {soft(ops.WithSource(nil)), "the source is nil"},
		"nil soft":          {func() (*G.Node, error) { return ops.StraightThrough(nil) }, "StraightThrough: soft is nil"},
		"ST axis":           {func() (*G.Node, error) { return ops.StraightThrough(x, ops.WithAxis(5)) }, "axis 5"},
		"categorical ints":  {func() (*G.Node, error) { return ops.Categorical(ints) }, "dtype int"},
		"categorical nil":   {func() (*G.Node, error) { return ops.Categorical(nil) }, "logits is nil"},
		"bce shapes":        {func() (*G.Node, error) { return ops.BCEWithLogits(x, y) }, "targets has shape"},
		"bce dtypes":        {func() (*G.Node, error) { return ops.BCEWithLogits(x, single) }, "targets has dtype float32"},
		"bce nil":           {func() (*G.Node, error) { return ops.BCEWithLogits(x, nil) }, "targets is nil"},
		"kl shapes":         {func() (*G.Node, error) { return ops.CategoricalKL(x, y) }, "p has shape"},
		"kl nil":            {func() (*G.Node, error) { return ops.CategoricalKL(nil, x) }, "q is nil"},
		"kl no class":       {func() (*G.Node, error) { return ops.CategoricalKL(node(f64, "none", 2, 0), nil) }, "want at least one class"},
		"gumbel nil":        {func() (*G.Node, error) { return ops.Gumbel(nil, f64, tensor.Shape{2}) }, "the graph is nil"},
		"gumbel ints":       {func() (*G.Node, error) { return ops.Gumbel(g, tensor.Int, tensor.Shape{2}) }, "dtype int"},
		"gumbel negative":   {func() (*G.Node, error) { return ops.Gumbel(g, f64, tensor.Shape{-2}) }, "negative dimension"},
		"gumbel scale 0":    {func() (*G.Node, error) { return ops.Gumbel(g, f64, tensor.Shape{2}, ops.WithScale(0)) }, "the scale is 0"},
		"gumbel scale 1e38": {func() (*G.Node, error) { return ops.Gumbel(g, f32, tensor.Shape{2}, ops.WithScale(1e38)) }, "leaves the range of float32"},
		"gumbel loc NaN":    {func() (*G.Node, error) { return ops.Gumbel(g, f64, tensor.Shape{2}, ops.WithLoc(math.NaN())) }, "the location is NaN"},
		"like nil":          {func() (*G.Node, error) { return ops.GumbelLike(nil) }, "x is nil"},
		"like ints":         {func() (*G.Node, error) { return ops.GumbelLike(ints) }, "dtype int"},
	} {
		n, err := test.build()
		if err == nil || n != nil {
			t.Errorf("%s: node %v, error %v", name, n, err)
			continue
		}
		if !strings.HasPrefix(err.Error(), "ops: ") || !regexp.MustCompile(test.want).MatchString(err.Error()) {
			t.Errorf("%s: %v; want %s", name, err, test.want)
		}
	}
}

// What a run refuses, on both machines: an error that names the op, the
// element and the value.
func TestRunErrors(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	type inputs struct {
		x, z floats // of shape (2, 3)
		tau  float64
	}
	good := floats{1, 2, 3, 4, 5, 6}
	with := func(at int, v float64) floats {
		x := slices.Clone(good)
		x[at] = v
		return x
	}
	// A LispMachine wants every input used, so a node makes those it takes.
	type build func(x, z, tau func() *G.Node) (*G.Node, error)
	soft := func(opts ...ops.GumbelSoftmaxOption) build {
		return func(x, _, tau func() *G.Node) (*G.Node, error) { return ops.GumbelSoftmax(x(), tau(), opts...) }
	}
	noisy := func(x, z, tau func() *G.Node) (*G.Node, error) {
		return ops.GumbelSoftmax(x(), tau(), ops.WithNoise(z()))
	}
	categorical := func(x, _, _ func() *G.Node) (*G.Node, error) { return ops.Categorical(x()) }
	straight := func(x, _, _ func() *G.Node) (*G.Node, error) { return ops.StraightThrough(x()) }
	bce := func(x, z, _ func() *G.Node) (*G.Node, error) { return ops.BCEWithLogits(x(), z()) }
	kl := func(x, z, _ func() *G.Node) (*G.Node, error) { return ops.CategoricalKL(x(), z()) }
	const huge = math.MaxFloat64 // stands for the dtype's greatest number
	for _, test := range []struct {
		build build
		in    inputs
		want  string
	}{
		{soft(), inputs{good, good, 0}, `GumbelSoftmax#\d+: tau is 0, want a positive`},
		{soft(), inputs{good, good, -1}, `tau is -1`},
		{soft(ops.WithHard()), inputs{good, good, nan}, `tau is NaN`},
		{soft(), inputs{good, good, inf}, `tau is \+Inf`},
		{soft(), inputs{with(3, nan), good, 1}, `ops: GumbelSoftmax#\d+: logits\[1,0\] is NaN`},
		{soft(ops.WithHard()), inputs{with(5, inf), good, 1}, `GumbelSoftmax#\d+: logits\[1,2\] is \+Inf`},
		{soft(ops.WithAxis(0)), inputs{with(4, nan), good, 1}, `logits\[1,1\] is NaN`},
		{soft(ops.WithClasses(1)), inputs{with(4, -inf), good, 1}, `logits\[1,1:2\] are all -Inf`},
		{soft(), inputs{floats{1, 2, 3, -inf, -inf, -inf}, good, 1}, `logits\[1,:\] are all -Inf`},
		{soft(ops.WithAxis(0)), inputs{floats{1, -inf, 3, 4, -inf, 6}, good, 1}, `logits\[:,1\] are all -Inf`},
		{noisy, inputs{good, with(2, nan), 1}, `noise\[0,2\] is NaN`},
		{noisy, inputs{with(2, -inf), with(2, inf), 1}, `noise\[0,2\] is \+Inf`},
		{noisy, inputs{with(0, huge), with(0, huge), 1}, `logits\[0,0\] \+ noise\[0,0\] is outside the range of float`},
		{categorical, inputs{with(0, nan), good, 1}, `Categorical#\d+: logits\[0,0\] is NaN`},
		{categorical, inputs{floats{-inf, -inf, -inf, 1, 2, 3}, good, 1}, `Categorical#\d+: logits\[0,:\] are all -Inf`},
		{straight, inputs{with(1, nan), good, 1}, `StraightThrough#\d+: soft\[0,1\] is NaN`},
		{straight, inputs{with(1, inf), good, 1}, `StraightThrough#\d+: soft\[0,1\] is \+Inf`},
		{bce, inputs{with(1, nan), good, 1}, `BCEWithLogits#\d+: logits\[0,1\] is NaN`},
		{bce, inputs{with(1, -inf), good, 1}, `logits\[0,1\] is -Inf`},
		{bce, inputs{good, with(3, inf), 1}, `targets\[1,0\] is \+Inf`},
		{kl, inputs{with(1, nan), good, 1}, `CategoricalKL#\d+: q\[0,1\] is NaN`},
		{kl, inputs{good, with(4, inf), 1}, `p\[1,1\] is \+Inf`},
		{kl, inputs{good, with(4, -inf), 1}, `p\[1,1\] is -Inf but q\[1,1\] is not, so the divergence is infinite: mask`},
		{kl, inputs{floats{1, 2, 3, -inf, -inf, -inf}, good, 1}, `q\[1,:\] are all -Inf`},
		{kl, inputs{good, floats{-inf, -inf, -inf, 1, 2, 3}, 1}, `p\[0,:\] are all -Inf`},
	} {
		for _, dt := range dtypes {
			for _, lisp := range lispToo() {
				g := G.NewGraph()
				matrix := func(name string, data floats) func() *G.Node {
					data = slices.Clone(data)
					for i, v := range data {
						if v == huge && dt == tensor.Float32 {
							data[i] = math.MaxFloat32
						}
					}
					return func() *G.Node { return input(g, dt, name, tensor.Shape{2, 3}, data) }
				}
				tau := func() *G.Node { return input(g, dt, "tau", tensor.ScalarShape(), floats{test.in.tau}) }
				y, err := test.build(matrix("x", test.in.x), matrix("z", test.in.z), tau)
				if err != nil {
					t.Fatal(err)
				}
				cost := G.Must(G.Sum(G.Must(G.Square(y))))
				var m G.VM = newMachine(t, g)
				if lisp {
					// Forward alone: after a failed run the machine's own
					// goroutine still goes backward, in a race with RunAll.
					m = G.NewLispMachine(g, G.ExecuteFwdOnly())
				}
				message := ""
				if err = m.RunAll(); err != nil {
					message = err.Error()
				}
				m.Close()
				if !regexp.MustCompile(test.want).MatchString(message) {
					t.Errorf("%v, lisp %v: %q from %v, want %s; cost %v", dt, lisp, message, test.in, test.want, cost.Value())
				}
			}
		}
	}
}

// Gorgonia lets a raw float32 into a float64 node: an error, not a panic.
func TestTauOfAnotherType(t *testing.T) {
	g := G.NewGraph()
	x := input(g, tensor.Float64, "x", tensor.Shape{2}, floats{1, 2})
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"))
	G.Must(ops.GumbelSoftmax(x, tau))
	if err := G.Let(tau, float32(4)); err != nil {
		t.Skip("Gorgonia now refuses it:", err)
	}
	m := newMachine(t, g)
	defer m.Close()
	if err := m.RunAll(); err == nil || !strings.Contains(err.Error(), "tau holds float32, want float64") {
		t.Errorf("error %v", err)
	}
}

// A masked class is exactly 0, sample and gradient, soft and hard.
func TestMask(t *testing.T) {
	mask := math.Inf(-1)
	for _, dt := range dtypes {
		for _, opts := range [][]ops.GumbelSoftmaxOption{nil, {ops.WithHard()}} {
			for range 50 {
				g := G.NewGraph()
				x := input(g, dt, "x", tensor.Shape{2, 3}, floats{0, mask, 1, mask, mask, -7})
				tau := input(g, dt, "tau", tensor.ScalarShape(), floats{0.3})
				y := G.Must(ops.GumbelSoftmax(x, tau, opts...))
				var read G.Value
				G.Read(y, &read)
				grads, err := backpropagate(t, g, G.Must(G.Sum(G.Must(G.Square(y)))), G.Nodes{x, tau}, false)
				if err != nil {
					t.Fatal(err)
				}
				for _, at := range []int{1, 3, 4} {
					if v, d := elements(read)[at], elements(grads[0])[at]; v != 0 || d != 0 {
						t.Fatalf("masked class %d: sample %v, gradient %v", at, v, d)
					}
				}
				if elements(read)[5] != 1 {
					t.Fatalf("the one class left has sample %v", elements(read)[5])
				}
			}
		}
	}
}

// Zero-size input gives zero-size output, and gradients of that.
func TestEmpty(t *testing.T) {
	if G.CUDA {
		t.Skip("Gorgonia's CUDA machine panics at arrays without elements")
	}
	for _, dt := range dtypes {
		for _, shape := range []tensor.Shape{{0, 3}, {3, 0}, {2, 0, 4}} {
			g := G.NewGraph()
			empty := func(name string) *G.Node {
				v := tensor.New(tensor.WithShape(shape...), tensor.Of(dt))
				return G.NewTensor(g, dt, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(v))
			}
			x, z, tau := empty("x"), empty("z"), input(g, dt, "tau", tensor.ScalarShape(), floats{1})
			nodes := G.Nodes{
				G.Must(ops.GumbelSoftmax(x, tau)), G.Must(ops.GumbelSoftmax(x, tau, ops.WithHard(), ops.WithAxis(0))),
				G.Must(ops.GumbelSoftmax(x, tau, ops.WithNoise(z))), G.Must(ops.Categorical(x)), G.Must(ops.StraightThrough(x)),
				G.Must(ops.BCEWithLogits(x, z)), G.Must(ops.GumbelLike(x)), G.Must(ops.Gumbel(g, dt, shape)),
			}
			if shape[len(shape)-1] > 0 {
				nodes = append(nodes, G.Must(ops.CategoricalKL(x, z)))
			}
			m := newMachine(t, g)
			if err := m.RunAll(); err != nil {
				t.Fatalf("%v %v: %v", dt, shape, err)
			}
			m.Close()
			for _, n := range nodes {
				if v := n.Value(); !slices.Equal(v.Shape(), n.Shape()) || v.Shape().TotalSize() != 0 || v.Dtype() != dt {
					t.Errorf("%v: %v has a value of shape %v, dtype %v", shape, n, v.Shape(), v.Dtype())
				}
			}
		}
	}
}

// Under EvalMode, WithDeterministicEval leaves the noise out and draws
// nothing; without it the nodes go on sampling.
func TestDeterministicEval(t *testing.T) {
	logits := floats{1, 3, 2, 0.5, 0, -1}
	shape := tensor.Shape{2, 3}
	_, mode := logSoftmax(logits, 0.5, distributions(shape, -1))
	src := ops.NewSource(1)
	g := G.NewGraph()
	x := input(g, tensor.Float64, "x", shape, logits)
	tau := input(g, tensor.Float64, "tau", tensor.ScalarShape(), floats{0.5})
	noise := G.Must(ops.GumbelLike(x))
	soft := G.Must(ops.GumbelSoftmax(x, tau, ops.WithSource(src), ops.WithDeterministicEval()))
	hard := G.Must(ops.GumbelSoftmax(x, tau, ops.WithSource(src), ops.WithDeterministicEval(), ops.WithHard()))
	given := G.Must(ops.GumbelSoftmax(x, tau, ops.WithNoise(noise), ops.WithDeterministicEval()))
	exact := G.Must(ops.Categorical(x, ops.WithSource(src), ops.WithDeterministicEval()))
	before, err := src.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, g, G.EvalMode())
	for range 3 {
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		for _, n := range []*G.Node{soft, given} {
			for i, v := range elements(n.Value()) {
				if math.Abs(v-mode[i]) > 1e-15 {
					t.Fatalf("%v[%d] is %v under EvalMode, want softmax(logits/tau), %v", n, i, v, mode[i])
				}
			}
		}
		for _, n := range []*G.Node{hard, exact} {
			if got := elements(n.Value()); !slices.Equal(got, []float64{0, 1, 0, 1, 0, 0}) {
				t.Fatalf("%v is %v under EvalMode, not the mode", n, got)
			}
		}
		m.Reset()
	}
	m.Close()
	if after, _ := src.MarshalBinary(); !slices.Equal(before, after) {
		t.Error("evaluation without noise moved the source")
	}
	train := newMachine(t, g)
	defer train.Close()
	if err := train.RunAll(); err != nil {
		t.Fatal(err)
	}
	if got := elements(soft.Value()); math.Abs(got[0]-mode[0]) < 1e-9 {
		t.Error("training does not sample")
	}
}
