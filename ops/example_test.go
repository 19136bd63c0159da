// vm has the examples for CUDA.

//go:build !cuda

package ops_test

import (
	"fmt"
	"log"
	"math"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// matrix is an input with values.
func matrix(g *G.ExprGraph, name string, rows, columns int, values ...float64) *G.Node {
	v := tensor.New(tensor.WithShape(rows, columns), tensor.WithBacking(values))
	return G.NewMatrix(g, tensor.Float64, G.WithShape(rows, columns), G.WithName(name), G.WithValue(v))
}

// run runs a graph once.
func run(g *G.ExprGraph) {
	m := G.NewTapeMachine(g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		log.Fatal(err)
	}
}

func must(n *G.Node, err error) *G.Node {
	if err != nil {
		log.Fatal(err)
	}
	return n
}

func ExampleGumbel() {
	g := G.NewGraph()
	noise := must(ops.Gumbel(g, tensor.Float64, tensor.Shape{4}, ops.WithSource(ops.NewSource(1))))
	run(g)
	fmt.Printf("%.3f\n", noise.Value().Data())
	// Output:
	// [1.066 2.305 2.376 4.135]
}

func ExampleGumbelLike() {
	g := G.NewGraph()
	x := matrix(g, "x", 1, 3, 0, 0, 0)
	noise := must(ops.GumbelLike(x, ops.WithSource(ops.NewSource(1)), ops.WithLoc(10), ops.WithScale(0.5)))
	run(g)
	fmt.Printf("%.3f\n", noise.Value().Data())
	// Output:
	// [10.533 11.153 11.188]
}

func ExampleGumbelSoftmax() {
	g := G.NewGraph()
	logits := matrix(g, "logits", 2, 3, 1, 2, 3, 0, 0, 0)
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.5))
	y := must(ops.GumbelSoftmax(logits, tau, ops.WithSource(ops.NewSource(1))))
	run(g)
	fmt.Printf("%.3f\n", y.Value().Data())
	// Output:
	// [0.001 0.105 0.894 0.985 0.012 0.003]
}

// Logits of shape (B, N·k), N distributions of k classes a row, need no
// reshaping. A logit of -Inf masks its class.
func ExampleWithClasses() {
	g := G.NewGraph()
	logits := matrix(g, "logits", 1, 6, 1, 2, math.Inf(-1), 0, 0, 0)
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.5))
	y := must(ops.GumbelSoftmax(logits, tau, ops.WithClasses(3), ops.WithHard(), ops.WithSource(ops.NewSource(1))))
	run(g)
	fmt.Println(y.Value().Data())
	// Output:
	// [0 1 0 1 0 0]
}

// Frozen noise: the sample is a function of logits and temperature.
func ExampleWithNoise() {
	g := G.NewGraph()
	logits, noise := matrix(g, "logits", 1, 3, 1, 2, 3), matrix(g, "noise", 1, 3, 2, 1, 0)
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.5))
	y := must(ops.GumbelSoftmax(logits, tau, ops.WithNoise(noise)))
	run(g)
	fmt.Printf("%.3f\n", y.Value().Data())
	// Output:
	// [0.333 0.333 0.333]
}

func ExampleWithAxis() {
	g := G.NewGraph()
	soft := matrix(g, "soft", 2, 3, 0.2, 0.7, 0.1, 0.4, 0.2, 0.4)
	y := must(ops.StraightThrough(soft, ops.WithAxis(0))) // a distribution a column
	run(g)
	fmt.Println(y.Value().Data())
	// Output:
	// [0 1 0 1 0 1]
}

// Forward one-hot, backward the soft sample's gradient.
func ExampleWithHard() {
	g := G.NewGraph()
	logits := matrix(g, "logits", 1, 3, 1, 2, 3)
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.5))
	y := must(ops.GumbelSoftmax(logits, tau, ops.WithHard(), ops.WithSource(ops.NewSource(1))))
	cost := must(G.Sum(must(G.HadamardProd(y, matrix(g, "weights", 1, 3, 1, 10, 100)))))
	if _, err := G.Grad(cost, logits); err != nil {
		log.Fatal(err)
	}
	m := G.NewTapeMachine(g, G.BindDualValues(logits))
	defer m.Close()
	if err := m.RunAll(); err != nil {
		log.Fatal(err)
	}
	grad, err := logits.Grad()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("cost %v, gradient %.2f\n", cost.Value(), grad.Data())
	// Output:
	// cost 100, gradient [-0.21 -16.88 17.10]
}

// printEstimate prints a hard sample of three classes and the gradient that an
// estimator passes to its logits. All estimators have the same sample.
func printEstimate(e ops.Estimator) {
	g := G.NewGraph()
	logits, weights := matrix(g, "logits", 1, 3, 1, 2, 3), matrix(g, "weights", 1, 3, 1, 10, 100)
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(1.0))
	y := must(ops.GumbelSoftmax(logits, tau, ops.WithEstimator(e), ops.WithSource(ops.NewSource(1))))
	grads, err := G.Grad(G.Must(G.Sum(G.Must(G.HadamardProd(y, weights)))), logits)
	if err != nil {
		log.Fatal(err)
	}
	run(g)
	fmt.Printf("%v: sample %v, gradient %.2f\n", e, y.Value().Data(), grads[0].Value().Data())
}

// The estimator of a flag.
func ExampleWithEstimator() {
	e, err := ops.ParseEstimator("gapped(2)")
	if err != nil {
		log.Fatal(err)
	}
	printEstimate(e)
	// Output:
	// gapped(2): sample [0 0 1], gradient [-8.40 -7.44 15.84]
}

func ExampleStraightThroughGumbel() {
	printEstimate(ops.StraightThroughGumbel())
	// Output:
	// gumbel: sample [0 0 1], gradient [-1.96 -16.15 18.11]
}

func ExampleStraightThroughSoftmax() {
	printEstimate(ops.StraightThroughSoftmax())
	// Output:
	// softmax: sample [0 0 1], gradient [-6.13 -14.45 20.58]
}

func ExampleReinMax() {
	printEstimate(ops.ReinMax())
	// Output:
	// reinmax: sample [0 0 1], gradient [-4.46 -11.01 15.47]
}

func ExampleGumbelRao() {
	printEstimate(ops.GumbelRao(10))
	// Output:
	// rao(10): sample [0 0 1], gradient [-6.96 -9.95 16.92]
}

func ExampleGappedStraightThrough() {
	printEstimate(ops.GappedStraightThrough(1.5))
	// Output:
	// gapped(1.5): sample [0 0 1], gradient [-7.41 -10.73 18.14]
}

func ExampleAdaptiveGap() {
	printEstimate(ops.AdaptiveGap())
	// Output:
	// gapped(adaptive): sample [0 0 1], gradient [-7.73 -9.71 17.44]
}

func ExampleParseEstimator() {
	for _, spec := range []string{"reinmax", "rao(10)", "gapped(adaptive)", "rao(0)"} {
		e, err := ops.ParseEstimator(spec)
		fmt.Println(e, err)
	}
	// Output:
	// reinmax <nil>
	// rao(10) <nil>
	// gapped(adaptive) <nil>
	// gumbel ops: ParseEstimator("rao(0)"): the number of samples is 0, want at least 1
}

// At a low temperature, a soft sample underflows, and its logarithm does not.
func ExampleWithLogSpace() {
	g := G.NewGraph()
	logits := matrix(g, "logits", 1, 3, 1, 2, 3)
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.001))
	y := must(ops.GumbelSoftmax(logits, tau, ops.WithLogSpace(), ops.WithSource(ops.NewSource(1))))
	run(g)
	fmt.Printf("%.0f\n", y.Value().Data())
	// Output:
	// [-3310 -1071 0]
}

// Nodes of one seed draw the same in every run of a program; two nodes of one
// source draw independently of each other.
func ExampleWithSource() {
	g := G.NewGraph()
	src := ops.NewSource(1)
	x := matrix(g, "x", 1, 2, 0, 0)
	a, b := must(ops.GumbelLike(x, ops.WithSource(src))), must(ops.GumbelLike(x, ops.WithSource(src)))
	run(g)
	fmt.Printf("%.3f %.3f\n", a.Value().Data(), b.Value().Data())
	// Output:
	// [1.066 2.305] [-0.810 2.251]
}

func ExampleWithLoc() {
	g := G.NewGraph()
	noise := must(ops.Gumbel(g, tensor.Float64, tensor.Shape{2}, ops.WithLoc(100), ops.WithSource(ops.NewSource(1))))
	run(g)
	fmt.Printf("%.3f\n", noise.Value().Data())
	// Output:
	// [101.066 102.305]
}

func ExampleWithScale() {
	g := G.NewGraph()
	noise := must(ops.Gumbel(g, tensor.Float64, tensor.Shape{2}, ops.WithScale(10), ops.WithSource(ops.NewSource(1))))
	run(g)
	fmt.Printf("%.3f\n", noise.Value().Data())
	// Output:
	// [10.664 23.052]
}

func ExampleWithDeterministicEval() {
	g := G.NewGraph()
	logits := matrix(g, "logits", 1, 3, 1, 2, 3)
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(1.0))
	y := must(ops.GumbelSoftmax(logits, tau, ops.WithDeterministicEval()))
	m := G.NewTapeMachine(g, G.EvalMode())
	defer m.Close()
	if err := m.RunAll(); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.3f\n", y.Value().Data())
	// Output:
	// [0.090 0.245 0.665]
}

func ExampleStraightThrough() {
	g := G.NewGraph()
	soft := matrix(g, "soft", 2, 3, 0.2, 0.7, 0.1, 0.4, 0.2, 0.4)
	y := must(ops.StraightThrough(soft))
	run(g)
	fmt.Println(y.Value().Data())
	// Output:
	// [0 1 0 1 0 0]
}

func ExampleCategorical() {
	g := G.NewGraph()
	logits := matrix(g, "logits", 2, 3, 1, 2, 3, 0, 0, 0)
	y := must(ops.Categorical(logits, ops.WithSource(ops.NewSource(1))))
	run(g)
	fmt.Println(y.Value().Data())
	// Output:
	// [0 0 1 1 0 0]
}

func ExampleRelaxedBernoulli() {
	g := G.NewGraph()
	logits := matrix(g, "logits", 1, 4, 0, 2, -2, math.Inf(-1))
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.5))
	soft := must(ops.RelaxedBernoulli(logits, tau, ops.WithSource(ops.NewSource(1))))
	hard := must(ops.RelaxedBernoulli(logits, tau, ops.WithEstimator(ops.ReinMax()), ops.WithSource(ops.NewSource(1))))
	run(g)
	fmt.Printf("%.3f %v\n", soft.Value().Data(), hard.Value().Data())
	// Output:
	// [0.856 1.000 0.659 0.000] [1 1 1 0]
}

func ExampleHardConcrete() {
	g := G.NewGraph()
	logAlpha := matrix(g, "logAlpha", 1, 5, 0, 0, 4, -4, math.Inf(-1))
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(2.0/3))
	gates := must(ops.HardConcrete(logAlpha, tau, ops.WithSource(ops.NewSource(1))))
	run(g)
	fmt.Printf("%.3f\n", gates.Value().Data())
	// Output:
	// [0.850 1.000 1.000 0.557 0.000]
}

func ExampleHardConcreteOpen() {
	g := G.NewGraph()
	logAlpha := matrix(g, "logAlpha", 1, 4, 0, 4, -4, math.Inf(-1))
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(2.0/3))
	open := must(ops.HardConcreteOpen(logAlpha, tau))
	penalty := G.Must(G.Sum(open)) // the expected number of open gates
	run(g)
	fmt.Printf("%.3f %.3f\n", open.Value().Data(), penalty.Value().Data())
	// Output:
	// [0.832 0.996 0.083 0.000] 1.911
}

func ExampleWithStretch() {
	g := G.NewGraph()
	logAlpha := matrix(g, "logAlpha", 1, 3, -1, 0.5, 1)
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(2.0/3))
	noise := matrix(g, "noise", 1, 3, 0, 0, 0)
	usual := must(ops.HardConcrete(logAlpha, tau, ops.WithNoise(noise)))
	wide := must(ops.HardConcrete(logAlpha, tau, ops.WithNoise(noise), ops.WithStretch(-1, 1.5)))
	run(g)
	fmt.Printf("%.3f %.3f\n", usual.Value().Data(), wide.Value().Data())
	// Output:
	// [0.119 0.715 0.881] [0.000 0.698 1.000]
}

func ExampleBCEWithLogits() {
	g := G.NewGraph()
	logits, targets := matrix(g, "logits", 1, 3, 0, 2, -1000), matrix(g, "targets", 1, 3, 1, 1, 1)
	loss := must(ops.BCEWithLogits(logits, targets))
	run(g)
	fmt.Printf("%.3f\n", loss.Value().Data())
	// Output:
	// [0.693 0.127 1000.000]
}

func ExampleCategoricalKL() {
	g := G.NewGraph()
	q, p := matrix(g, "q", 2, 2, 0, 0, 0, 1), matrix(g, "p", 2, 2, 0, 0, 1, 0)
	kl := must(ops.CategoricalKL(q, p))
	uniform := must(ops.CategoricalKL(q, nil))
	run(g)
	fmt.Printf("%.3f %.3f\n", kl.Value().Data(), uniform.Value().Data())
	// Output:
	// [0.000 0.462] [0.000 0.111]
}

func ExampleBernoulliKL() {
	g := G.NewGraph()
	q, p := matrix(g, "q", 1, 3, 0.8, 3, math.Inf(1)), matrix(g, "p", 1, 3, -0.4, 3, 2)
	kl := must(ops.BernoulliKL(q, p))
	fair := must(ops.BernoulliKL(q, nil))
	run(g)
	fmt.Printf("%.3f %.3f\n", kl.Value().Data(), fair.Value().Data())
	// Output:
	// [0.170 0.000 0.127] [0.074 0.502 0.693]
}

// A sample of q and two densities estimate the divergence of q from p.
func ExampleRelaxedBernoulliLogProb() {
	g := G.NewGraph()
	q, p := matrix(g, "q", 1, 3, 0, 2, -1), matrix(g, "p", 1, 3, 0, 0, 0)
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.5))
	y := must(ops.RelaxedBernoulli(q, tau, ops.WithLogSpace(), ops.WithSource(ops.NewSource(1))))
	ratio := must(G.Sub(must(ops.RelaxedBernoulliLogProb(y, q, tau)), must(ops.RelaxedBernoulliLogProb(y, p, tau))))
	run(g)
	fmt.Printf("%.3f\n", ratio.Value().Data())
	// Output:
	// [0.000 1.829 -0.716]
}

func ExampleCategoricalEntropy() {
	g := G.NewGraph()
	logits := matrix(g, "logits", 3, 3, 0, 0, 0, 2, 0, 0, 0, 0, math.Inf(-1))
	entropy := must(ops.CategoricalEntropy(logits))
	run(g)
	fmt.Printf("%.3f\n", entropy.Value().Data())
	// Output:
	// [1.099 0.666 0.693]
}

func ExampleCategoricalLogProb() {
	g := G.NewGraph()
	logits := matrix(g, "logits", 2, 3, 0, 0, 0, 2, 0, math.Inf(-1))
	value := matrix(g, "value", 2, 3, 0, 1, 0, 1, 0, 0)
	logProb := must(ops.CategoricalLogProb(value, logits))
	run(g)
	fmt.Printf("%.3f\n", logProb.Value().Data())
	// Output:
	// [-1.099 -0.127]
}

// REINFORCE with a leave-one-out baseline: the gradient of E[f(z)] from samples alone.
// Each pair of samples is one estimate, in which the baseline of a sample is the reward
// of the other. The mean of the estimates is near the exact gradient Σ f(z) dp(z)/dl.
func ExampleCategoricalLogProb_reinforce() {
	const pairs = 100_000
	reward := []float64{1, -0.3, 0.7}
	g := G.NewGraph()
	l := G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("l"), G.WithValue(tensor.New(tensor.WithBacking([]float64{0.5, -1, 2}))))
	f := G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("f"), G.WithValue(tensor.New(tensor.WithBacking(reward))))
	ones := matrix(g, "ones", 2*pairs, 1, slices.Repeat([]float64{1}, 2*pairs)...)
	logits := must(G.Mul(ones, must(G.Reshape(l, tensor.Shape{1, 3})))) // two rows a pair

	z := must(ops.Categorical(logits, ops.WithSource(ops.NewSource(1))))
	rewards := must(G.Reshape(must(G.Mul(z, f)), tensor.Shape{pairs, 2}))
	others := must(G.Mul(rewards, matrix(g, "swap", 2, 2, 0, 1, 1, 0)))
	advantage := must(ops.StopGradient(must(G.Sub(rewards, others))))
	logProb := must(G.Reshape(must(ops.CategoricalLogProb(z, logits)), tensor.Shape{pairs, 2}))
	cost := must(G.Mean(must(G.HadamardProd(advantage, logProb))))

	grads, err := G.Grad(cost, l)
	if err != nil {
		log.Fatal(err)
	}
	run(g)
	fmt.Printf("samples     %.3f\n", grads[0].Value().Data())

	p := []float64{math.Exp(0.5), math.Exp(-1), math.Exp(2)}
	sum := p[0] + p[1] + p[2]
	mean := (p[0]*reward[0] + p[1]*reward[1] + p[2]*reward[2]) / sum
	for i := range p {
		p[i] *= (reward[i] - mean) / sum
	}
	fmt.Printf("enumeration %.3f\n", p)
	// Output:
	// samples     [0.050 -0.040 -0.011]
	// enumeration [0.050 -0.040 -0.011]
}

func ExampleConcreteLogProb() {
	g := G.NewGraph()
	logits := matrix(g, "logits", 2, 3, 0.5, -1, 2, 1, 0, math.Inf(-1))
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.7))
	y := must(ops.GumbelSoftmax(logits, tau, ops.WithLogSpace(), ops.WithSource(ops.NewSource(1))))
	logProb := must(ops.ConcreteLogProb(y, logits, tau))
	run(g)
	fmt.Printf("%.3f\n", logProb.Value().Data())
	// Output:
	// [-3.902 -2.774]
}

// The divergence of a relaxed posterior from a relaxed prior at another temperature,
// estimated by samples of the posterior: its mean here, and its gradient to the logits.
func ExampleConcreteLogProb_divergence() {
	const samples = 100_000
	g := G.NewGraph()
	l := matrix(g, "l", 1, 3, 0.5, -1, 2)
	ones := matrix(g, "ones", samples, 1, slices.Repeat([]float64{1}, samples)...)
	zeros := matrix(g, "zeros", samples, 3, make([]float64, 3*samples)...)
	logits := must(G.Mul(ones, l))
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.7))
	tauOfPrior := G.NewScalar(g, tensor.Float64, G.WithName("tauOfPrior"), G.WithValue(0.5))

	y := must(ops.GumbelSoftmax(logits, tau, ops.WithLogSpace(), ops.WithSource(ops.NewSource(1))))
	posterior, prior := must(ops.ConcreteLogProb(y, logits, tau)), must(ops.ConcreteLogProb(y, zeros, tauOfPrior))
	kl := must(G.Mean(must(G.Sub(posterior, prior))))
	grads, err := G.Grad(kl, l)
	if err != nil {
		log.Fatal(err)
	}
	run(g)
	fmt.Printf("%.2f %.2f\n", kl.Value().Data(), grads[0].Value().Data())
	// Output:
	// 1.06 [0.14 -0.64 0.50]
}

// The derivative of stop(x)·x is x, and not 2x.
func ExampleStopGradient() {
	g := G.NewGraph()
	x := matrix(g, "x", 1, 3, 1, 2, 3)
	cost := G.Must(G.Sum(G.Must(G.HadamardProd(must(ops.StopGradient(x)), x))))
	grads, err := G.Grad(cost, x)
	if err != nil {
		log.Fatal(err)
	}
	run(g)
	fmt.Println(cost.Value(), grads[0].Value().Data())
	// Output:
	// 14 [1 2 3]
}

// The diversity loss of wav2vec 2.0 for N codebooks of k codes is (N·k − Σ PP)/(N·k). It
// is 0 if the batch uses all codes of every codebook equally. Here the first codebook's
// logits are certain of two of three codes, and those of the second one are uniform.
func ExamplePerplexity() {
	g := G.NewGraph()
	logits := matrix(g, "logits", 2, 6,
		9, -9, -9, 0, 0, 0,
		-9, 9, -9, 0, 0, 0)
	perplexity := must(ops.Perplexity(logits, ops.WithClasses(3)))
	diversity := must(G.Sub(G.NewConstant(1.0), must(G.Div(must(G.Sum(perplexity)), G.NewConstant(6.0)))))
	run(g)
	fmt.Printf("%.3f, diversity loss %.3f\n", perplexity.Value().Data(), diversity.Value().Data())
	// Output:
	// [2.000 3.000], diversity loss 0.167
}

// A source's state outlives its process: the draws go on where they stopped.
func ExampleNewSource() {
	build := func(src *ops.Source) (*G.Node, G.VM) {
		g := G.NewGraph()
		n := must(ops.Gumbel(g, tensor.Float64, tensor.Shape{2}, ops.WithSource(src)))
		return n, G.NewTapeMachine(g)
	}
	draw := func(n *G.Node, m G.VM) {
		if err := m.RunAll(); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%.3f\n", n.Value().Data())
		m.Reset()
	}

	src := ops.NewSource(42)
	n, m := build(src)
	draw(n, m)
	state, err := src.MarshalBinary()
	if err != nil {
		log.Fatal(err)
	}
	draw(n, m)

	resumed := ops.NewSource(0)
	n, m = build(resumed)
	if err := resumed.UnmarshalBinary(state); err != nil {
		log.Fatal(err)
	}
	draw(n, m)
	// Output:
	// [2.672 0.538]
	// [0.139 0.181]
	// [0.139 0.181]
}

// The gradients of a batch, accumulated over chunks of its rows: Seek gives each
// chunk the noise of its rows, so the sum is the gradient of the whole batch.
func ExampleSource_Seek() {
	const rows, classes = 6, 3
	logits := []float64{1, 2, 3, 0, 0, 0, 3, 2, 1, 1, 0, 1, 0, 2, 0, 2, 0, 1}
	// gradient is the gradient of the cost of rows lo to hi by the weights w: the
	// cost is the first class's share in the samples of x·w.
	gradient := func(lo, hi int) []float64 {
		g := G.NewGraph()
		src := ops.NewSource(1)
		x := matrix(g, "x", hi-lo, classes, logits[lo*classes:hi*classes]...)
		w := matrix(g, "w", classes, classes, 1, 0, 0, 0, 1, 0, 0, 0, 1)
		tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.5))
		y := must(ops.GumbelSoftmax(must(G.Mul(x, w)), tau, ops.WithSource(src)))
		cost := must(G.Sum(must(G.Slice(y, nil, G.S(0)))))
		grads, err := G.Grad(cost, w)
		if err != nil {
			log.Fatal(err)
		}
		src.Seek(0, uint64(lo)) // step 0, from row lo on
		run(g)
		return grads[0].Value().Data().([]float64)
	}

	fmt.Printf("whole:  %.4f\n", gradient(0, rows))
	sum := make([]float64, classes*classes)
	for lo := 0; lo < rows; lo += 2 {
		for i, v := range gradient(lo, lo+2) {
			sum[i] += v
		}
	}
	fmt.Printf("chunks: %.4f\n", sum)
	// Output:
	// whole:  [1.5957 -0.6834 -0.9124 0.7267 -0.3516 -0.3751 0.8049 -0.4331 -0.3718]
	// chunks: [1.5957 -0.6834 -0.9124 0.7267 -0.3516 -0.3751 0.8049 -0.4331 -0.3718]
}
