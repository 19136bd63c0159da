//go:build cuda

package ops_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/layers"
	"github.com/gumbel-go/gumbel/ops"
	"github.com/gumbel-go/gumbel/vm"
)

// A deviceCase builds nodes of this package, the same on the device and on the
// CPU.
type deviceCase struct {
	name  string
	exact bool // every bit of the output is the same
	build func(b *builder) *G.Node
}

// builder makes the inputs of a case; learned ones get a gradient.
type builder struct {
	g      *G.ExprGraph
	dt     tensor.Dtype
	rng    *rand.Rand
	source *ops.Source
	learn  G.Nodes
}

// array is an input of numbers around 0.
func (b *builder) array(shape ...int) *G.Node {
	return b.bound(shape, func() float64 { return 2 * b.rng.NormFloat64() })
}

func (b *builder) bound(shape []int, f func() float64) *G.Node {
	data := make([]float64, tensor.Shape(shape).TotalSize())
	for i := range data {
		data[i] = f()
	}
	return G.NewTensor(b.g, b.dt, len(shape), G.WithShape(shape...), G.WithName(fmt.Sprint("in", len(b.g.AllNodes()))), G.WithValue(dense(b.dt, shape, data)))
}

func (b *builder) learned(shape ...int) *G.Node {
	n := b.array(shape...)
	b.learn = append(b.learn, n)
	return n
}

func (b *builder) tau(v float64) *G.Node {
	n := G.NewScalar(b.g, b.dt, G.WithName("tau"), G.WithValue(scalar(b.dt, v)))
	b.learn = append(b.learn, n)
	return n
}

// linear applies a layer with learned weights.
func (b *builder) linear(x *G.Node, in, out int, act layers.Activation) *G.Node {
	init := layers.GlorotUniform(b.rng.Uint64())
	l, err := layers.NewLinear(b.g, "linear", b.dt, in, out, layers.WithActivation(act), layers.WithInit(init), layers.WithBiasInit(init))
	if err != nil {
		panic(err)
	}
	b.learn = append(b.learn, l.Model()...)
	y := l.Fwd(x)
	if y.Err() != nil {
		panic(y.Err())
	}
	return y.Node()
}

func scalar(dt tensor.Dtype, v float64) any {
	if dt == tensor.Float32 {
		return float32(v)
	}
	return v
}

func dense(dt tensor.Dtype, shape tensor.Shape, data []float64) *tensor.Dense {
	if dt == tensor.Float64 {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(data)))
	}
	single := make([]float32, len(data))
	for i, v := range data {
		single[i] = float32(v)
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(single))
}

func deviceCases() []deviceCase {
	soft := func(shape tensor.Shape, opts ...ops.GumbelSoftmaxOption) func(b *builder) *G.Node {
		return func(b *builder) *G.Node {
			logits := b.learned(shape...)
			return G.Must(ops.GumbelSoftmax(logits, b.tau(0.7), append(opts, ops.WithSource(b.source))...))
		}
	}
	linear := func(act layers.Activation, batch, in, out int) func(b *builder) *G.Node {
		return func(b *builder) *G.Node { return b.linear(b.learned(batch, in), in, out, act) }
	}
	estimated := func(shape tensor.Shape, e ops.Estimator, opts ...ops.GumbelSoftmaxOption) func(b *builder) *G.Node {
		return func(b *builder) *G.Node {
			tau := G.NewScalar(b.g, b.dt, G.WithName("tau"), G.WithValue(scalar(b.dt, 1.3)))
			return G.Must(ops.GumbelSoftmax(b.learned(shape...), tau, append(opts, ops.WithEstimator(e), ops.WithSource(b.source))...))
		}
	}
	relaxed := func(learnedTau bool, opts ...ops.SampleOption) func(b *builder) *G.Node {
		return func(b *builder) *G.Node {
			logits, tau := b.learned(9, 70), G.NewScalar(b.g, b.dt, G.WithName("tau"), G.WithValue(scalar(b.dt, 0.7)))
			if learnedTau {
				b.learn = append(b.learn, tau)
			}
			return G.Must(ops.RelaxedBernoulli(logits, tau, append(opts, ops.WithSource(b.source))...))
		}
	}
	kl := func(shape tensor.Shape, opts ...ops.DistributionOption) func(b *builder) *G.Node {
		return func(b *builder) *G.Node {
			return G.Must(ops.CategoricalKL(b.learned(shape...), b.learned(shape...), opts...))
		}
	}
	return []deviceCase{
		{"Gumbel", true, func(b *builder) *G.Node {
			return G.Must(ops.Gumbel(b.g, b.dt, tensor.Shape{5, 37}, ops.WithSource(b.source)))
		}},
		{"Gumbel, scaled", true, func(b *builder) *G.Node {
			return G.Must(ops.GumbelLike(b.array(3, 50), ops.WithSource(b.source), ops.WithLoc(-2), ops.WithScale(0.3)))
		}},
		{"soft", false, soft(tensor.Shape{7, 10})},
		{"soft, a vector", false, soft(tensor.Shape{33})},
		{"soft, axis 0", false, soft(tensor.Shape{5, 40}, ops.WithAxis(0))},
		{"soft, a middle axis", false, soft(tensor.Shape{2, 5, 3}, ops.WithAxis(1))},
		{"soft, blocks", false, soft(tensor.Shape{4, 30}, ops.WithClasses(10))},
		{"soft, long rows", false, soft(tensor.Shape{2, 5000})},
		{"hard", true, soft(tensor.Shape{7, 10}, ops.WithHard())},
		{"hard, axis 0", true, soft(tensor.Shape{5, 40}, ops.WithHard(), ops.WithAxis(0))},
		{"hard, blocks", true, soft(tensor.Shape{4, 30}, ops.WithHard(), ops.WithClasses(10))},
		{"hard, long rows", true, soft(tensor.Shape{2, 5000}, ops.WithHard())},
		{"soft, noise given", false, func(b *builder) *G.Node {
			return G.Must(ops.GumbelSoftmax(b.learned(6, 4), b.tau(0.5), ops.WithNoise(b.learned(6, 4))))
		}},
		{"hard, noise shared", true, func(b *builder) *G.Node {
			logits := b.learned(6, 4)
			noise := G.Must(ops.GumbelLike(logits, ops.WithSource(b.source)))
			return G.Must(ops.GumbelSoftmax(logits, b.tau(0.5), ops.WithNoise(noise), ops.WithHard()))
		}},
		{"straight-through softmax", true, soft(tensor.Shape{7, 10}, ops.WithEstimator(ops.StraightThroughSoftmax()))},
		{"ReinMax", true, estimated(tensor.Shape{7, 10}, ops.ReinMax())},
		{"ReinMax, axis 0", true, estimated(tensor.Shape{5, 40}, ops.ReinMax(), ops.WithAxis(0))},
		{"ReinMax, long rows", true, estimated(tensor.Shape{2, 5000}, ops.ReinMax())},
		{"gapped", true, estimated(tensor.Shape{4, 30}, ops.GappedStraightThrough(0.8), ops.WithClasses(10))},
		{"adaptive gap", true, estimated(tensor.Shape{7, 10}, ops.AdaptiveGap())},
		{"Gumbel-Rao", true, estimated(tensor.Shape{7, 10}, ops.GumbelRao(4))},
		{"Gumbel-Rao, a middle axis", true, estimated(tensor.Shape{2, 5, 3}, ops.GumbelRao(4), ops.WithAxis(1))},
		{"Gumbel-Rao, long rows", true, estimated(tensor.Shape{2, 500}, ops.GumbelRao(2))},
		{"Gumbel-Rao, noise given", true, func(b *builder) *G.Node {
			logits := b.learned(6, 4)
			tau := G.NewScalar(b.g, b.dt, G.WithName("tau"), G.WithValue(scalar(b.dt, 0.5)))
			return G.Must(ops.GumbelSoftmax(logits, tau, ops.WithNoise(b.array(6, 4)), ops.WithEstimator(ops.GumbelRao(3)), ops.WithSource(b.source)))
		}},
		{"Gumbel-Rao, masked", true, func(b *builder) *G.Node {
			k := 0
			logits := b.bound([]int{6, 5}, func() float64 {
				if k++; k%7 == 3 {
					return math.Inf(-1)
				}
				return b.rng.NormFloat64()
			})
			b.learn = append(b.learn, logits)
			tau := G.NewScalar(b.g, b.dt, G.WithName("tau"), G.WithValue(scalar(b.dt, 0.8)))
			return G.Must(ops.GumbelSoftmax(logits, tau, ops.WithEstimator(ops.GumbelRao(3)), ops.WithSource(b.source)))
		}},
		{"log space", false, soft(tensor.Shape{7, 10}, ops.WithLogSpace())},
		{"log space, a middle axis", false, soft(tensor.Shape{2, 5, 3}, ops.WithLogSpace(), ops.WithAxis(1))},
		{"log space, long rows", false, soft(tensor.Shape{2, 5000}, ops.WithLogSpace())},
		{"log space, noise given", false, func(b *builder) *G.Node {
			return G.Must(ops.GumbelSoftmax(b.learned(6, 4), b.tau(0.5), ops.WithNoise(b.learned(6, 4)), ops.WithLogSpace()))
		}},
		{"relaxed Bernoulli", false, relaxed(true)},
		{"relaxed Bernoulli, hard", true, relaxed(true, ops.WithHard())},
		{"relaxed Bernoulli, log space", false, relaxed(true, ops.WithLogSpace())},
		{"relaxed Bernoulli, straight-through softmax", true, relaxed(true, ops.WithEstimator(ops.StraightThroughSoftmax()))},
		{"relaxed Bernoulli, ReinMax", true, relaxed(false, ops.WithEstimator(ops.ReinMax()))},
		{"relaxed Bernoulli, gapped", true, relaxed(false, ops.WithEstimator(ops.GappedStraightThrough(0.6)))},
		{"relaxed Bernoulli, adaptive gap", true, relaxed(false, ops.WithEstimator(ops.AdaptiveGap()))},
		{"relaxed Bernoulli, Gumbel-Rao", true, relaxed(false, ops.WithEstimator(ops.GumbelRao(3)))},
		{"relaxed Bernoulli, noise given", false, func(b *builder) *G.Node {
			return G.Must(ops.RelaxedBernoulli(b.learned(6, 4), b.tau(0.5), ops.WithNoise(b.learned(6, 4))))
		}},
		{"Categorical", true, func(b *builder) *G.Node {
			return G.Must(ops.Categorical(b.array(9, 12), ops.WithSource(b.source)))
		}},
		{"StraightThrough", true, func(b *builder) *G.Node { return G.Must(ops.StraightThrough(b.learned(9, 12))) }},
		{"BCEWithLogits", false, func(b *builder) *G.Node {
			return G.Must(ops.BCEWithLogits(b.learned(8, 9), b.bound([]int{8, 9}, b.rng.Float64)))
		}},
		{"BCEWithLogits, targets too", false, func(b *builder) *G.Node {
			return G.Must(ops.BCEWithLogits(b.learned(8, 9), b.learned(8, 9)))
		}},
		{"CategoricalKL", false, kl(tensor.Shape{6, 11})},
		{"CategoricalKL, axis 0", false, kl(tensor.Shape{6, 11}, ops.WithAxis(0))},
		{"CategoricalKL, blocks", false, kl(tensor.Shape{3, 20}, ops.WithClasses(5))},
		{"CategoricalKL of the uniform", false, func(b *builder) *G.Node {
			return G.Must(ops.CategoricalKL(b.learned(6, 11), nil))
		}},
		{"Linear", false, linear(layers.Identity, 5, 7, 3)},
		{"Linear, ReLU", false, linear(layers.ReLU, 5, 70, 65)},
		{"Linear, Tanh", false, linear(layers.Tanh, 17, 7, 3)},
		{"Linear, Sigmoid", false, linear(layers.Sigmoid, 1, 7, 130)},
		{"a mixed graph", false, func(b *builder) *G.Node {
			x, tau := b.learned(4, 6), b.tau(0.9)
			logits := G.Must(G.Add(G.Must(G.Tanh(x)), G.Must(G.HadamardProd(x, x))))
			y := G.Must(ops.GumbelSoftmax(logits, G.Must(G.Square(tau)), ops.WithSource(b.source)))
			z := b.linear(G.Must(G.Exp(y)), 6, 5, layers.Tanh)
			return G.Must(G.Add(G.Must(ops.StraightThrough(z)), z))
		}},
	}
}

// outcome is what a run leaves: the output, then the gradient to each learned
// input.
type outcome [][]float64

// runs builds a case and runs it a few times.
func (c deviceCase) runs(t *testing.T, dt tensor.Dtype, times int) (all []outcome) {
	t.Helper()
	b := &builder{g: G.NewGraph(), dt: dt, rng: rand.New(rand.NewPCG(1, 2)), source: ops.NewSource(3)}
	y := c.build(b)
	G.Must(G.Square(b.array(2))) // with nothing on the device, a Read makes Gorgonia panic
	values := make([]G.Value, 1+len(b.learn))
	G.Read(y, &values[0])
	if len(b.learn) > 0 {
		weights := b.array(y.Shape()...)
		cost := G.Must(G.Sum(G.Must(G.HadamardProd(y, weights))))
		grads, err := G.Grad(cost, b.learn...)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range grads {
			G.Read(n, &values[1+i])
		}
	}
	m, err := vm.New(b.g)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	for range times {
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		var o outcome
		for _, v := range values {
			o = append(o, numbers(v))
		}
		all = append(all, o)
		m.Reset()
	}
	return all
}

func numbers(v G.Value) (all []float64) {
	switch data := v.Data().(type) {
	case float32:
		return []float64{float64(data)}
	case float64:
		return []float64{data}
	case []float32:
		for _, x := range data {
			all = append(all, float64(x))
		}
	case []float64:
		return slices.Clone(data)
	}
	return all
}

// Values and gradients are the CPU's, run after run.
func TestDeviceIsLikeCPU(t *testing.T) {
	for _, c := range deviceCases() {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			t.Run(fmt.Sprintf("%s/%v", c.name, dt), func(t *testing.T) {
				var want []outcome
				node.OnCPU(func() { want = c.runs(t, dt, 3) })
				tolerance := 1e-12
				if dt == tensor.Float32 {
					tolerance = 1e-5
				}
				for run, got := range c.runs(t, dt, 3) {
					for i := range got {
						within := tolerance
						if i == 0 && c.exact {
							within = 0
						}
						checkClose(t, fmt.Sprintf("run %d, array %d", run, i), got[i], want[run][i], within)
					}
				}
			})
		}
	}
}

// Gorgonia sends every op with a CUDADo to the device: the two wrappers have one,
// and none that an op embeds.
func TestDeviceOps(t *testing.T) {
	for _, c := range deviceCases() {
		b := &builder{g: G.NewGraph(), dt: tensor.Float64, rng: rand.New(rand.NewPCG(1, 2)), source: ops.NewSource(3)}
		y := c.build(b)
		if len(b.learn) > 0 {
			if _, err := G.Grad(G.Must(G.Sum(y)), b.learn...); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range b.g.AllNodes() {
			name := fmt.Sprintf("%T", n.Op())
			if _, ok := n.Op().(G.CUDADoer); ok != (name == "*node.device" || name == "*node.deviceDraw") && strings.Contains(name, "node.") {
				t.Errorf("%s: %v is a %s: CUDADo %v", c.name, n, name, ok)
			}
		}
	}
}

// checkClose compares relative to the array's greatest number.
func checkClose(t *testing.T, name string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%s: %d numbers, want %d", name, len(got), len(want))
	}
	greatest := 0.0
	for _, v := range want {
		greatest = max(greatest, math.Abs(v))
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= tolerance*greatest) {
			t.Fatalf("%s[%d] is %v, on the CPU %v", name, i, got[i], want[i])
		}
	}
}

// A long chain runs many more kernels than Gorgonia queues at once.
func TestDeviceChain(t *testing.T) {
	chain := deviceCase{"chain", false, func(b *builder) *G.Node {
		x, tau := b.learned(4, 5), G.NewScalar(b.g, b.dt, G.WithName("tau"), G.WithValue(scalar(b.dt, 1)))
		for range 200 {
			x = G.Must(ops.GumbelSoftmax(x, tau, ops.WithSource(b.source)))
		}
		return x
	}}
	for dt, tolerance := range map[tensor.Dtype]float64{tensor.Float32: 1e-4, tensor.Float64: 1e-12} {
		var want []outcome
		node.OnCPU(func() { want = chain.runs(t, dt, 2) })
		for run, got := range chain.runs(t, dt, 2) {
			for i := range got {
				checkClose(t, fmt.Sprintf("%v, run %d, array %d", dt, run, i), got[i], want[run][i], tolerance)
			}
		}
	}
}

// Two machines of one graph, in turn, draw one after the other, and each has the
// gradient of its own sample.
func TestDeviceMachinesInTurn(t *testing.T) {
	run := func() (all []outcome) {
		b := &builder{g: G.NewGraph(), dt: tensor.Float64, rng: rand.New(rand.NewPCG(1, 2)), source: ops.NewSource(3)}
		logits := b.learned(3, 4)
		y := G.Must(ops.GumbelSoftmax(logits, b.tau(0.6), ops.WithSource(b.source)))
		var sample, grad G.Value
		G.Read(y, &sample)
		grads, err := G.Grad(G.Must(G.Sum(G.Must(G.HadamardProd(y, b.array(3, 4))))), logits)
		if err != nil {
			t.Fatal(err)
		}
		G.Read(grads[0], &grad)
		var machines [2]*vm.Machine
		for i := range machines {
			if machines[i], err = vm.New(b.g); err != nil {
				t.Fatal(err)
			}
			defer machines[i].Close()
		}
		for _, which := range []int{0, 1, 1, 0, 1, 0} {
			if err := machines[which].RunAll(); err != nil {
				t.Fatal(err)
			}
			all = append(all, outcome{numbers(sample), numbers(grad)})
			machines[which].Reset()
		}
		return all
	}
	var want []outcome
	node.OnCPU(func() { want = run() })
	for i, got := range run() {
		for j := range got {
			checkClose(t, fmt.Sprintf("run %d, array %d", i, j), got[j], want[i][j], 1e-12)
		}
		if i > 0 && slices.Equal(got[0], want[i-1][0]) {
			t.Errorf("run %d draws as the one before", i)
		}
	}
}

// What CUDA alone refuses.
func TestDeviceErrors(t *testing.T) {
	square := func() *tensor.Dense {
		return tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]float32{1, 2, 3, 4}))
	}
	transposed := square()
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	sample := func(x *tensor.Dense) *G.ExprGraph {
		g := G.NewGraph()
		G.Must(ops.Categorical(G.NewMatrix(g, tensor.Float32, G.WithShape(2, 2), G.WithName("x"), G.WithValue(x))))
		return g
	}
	for _, test := range []struct {
		name string
		run  func() error
		want string
	}{
		{"a pending transposition", func() error {
			// A vm.Machine would not come as far as the op.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			m := G.NewTapeMachine(sample(transposed))
			defer m.Close()
			defer m.Engines()[0].Context().Do(func() error { return nil }) // before that, Close may hang
			return m.RunAll()
		}, `Categorical#\d+: x is not contiguous in row-major order`},
		{"an empty array", func() error {
			x := G.NewMatrix(G.NewGraph(), tensor.Float32, G.WithShape(0, 3), G.WithName("x"))
			_, err := ops.StraightThrough(x)
			return err
		}, `StraightThrough#\d+: shape \(0, 3\) is empty`},
		{"a LispMachine", func() error {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			m := G.NewLispMachine(sample(square()), G.ExecuteFwdOnly())
			defer m.Close()
			return m.RunAll()
		}, `a LispMachine gives no gradients on CUDA`},
	} {
		err := test.run()
		if err == nil || !regexp.MustCompile(test.want).MatchString(err.Error()) {
			t.Errorf("%s: error %v, want %s", test.name, err, test.want)
		}
	}
}
