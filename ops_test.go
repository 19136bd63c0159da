package gumbel_test

import (
	"math"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/optest"
	"github.com/gumbel-go/gumbel/ops"
)

// TestOps checks every op of package ops: its gradients, numerically, and everything
// else in package optest.
func TestOps(t *testing.T) {
	optest.Run(t, "ops", []optest.Row{
		gumbel, gumbelLike, gumbelSoftmax, relaxedBernoulli, hardConcrete, hardConcreteOpen, categorical, straightThrough,
		bceWithLogits, bernoulliKL, categoricalKL, categoricalEntropy, categoricalLogProb, concreteLogProb,
		relaxedBernoulliLogProb, perplexity, stopGradient,
	})
}

type (
	builder    = optest.Builder
	node       = optest.Node
	gradient   = optest.Gradient
	buildError = optest.BuildError
	runError   = optest.RunError
	eval       = optest.Eval
	law        = optest.Law
	value      = optest.Value
	data       = map[string][]float64
)

func fails(name string, build func(b *builder) (*G.Node, error), want string) buildError {
	return buildError{Name: name, Build: build, Want: want}
}

func rejects(build func(b *builder) *G.Node, data data, want, input string, index int) runError {
	return runError{Build: build, Data: data, Want: want, Input: input, Index: index}
}

func evaluates(name string, build func(b *builder) *G.Node, want func(b *builder) []float64) eval {
	return eval{Name: name, Build: build, Want: want}
}

func obeys(name string, test func(t *testing.T)) law { return law{Name: name, Test: test} }

var (
	nan, inf = math.NaN(), math.Inf(1)
	good     = []float64{1, 2, 3, 4, 5, 6}
)

// with returns good with another number at an index.
func with(at int, v float64) []float64 {
	x := slices.Clone(good)
	x[at] = v
	return x
}

func mul(a, b *G.Node) *G.Node  { return G.Must(G.HadamardProd(a, b)) }
func plus(a, b *G.Node) *G.Node { return G.Must(G.Add(a, b)) }

// array returns an input without a value, for an error of a constructor.
func array(b *builder, dt tensor.Dtype, shape ...int) *G.Node {
	return G.NewTensor(b.Graph, dt, len(shape), G.WithShape(shape...), G.WithName("array"))
}

// Gumbel and GumbelLike

func newGumbel(b *builder, options ...ops.NoiseOption) *G.Node {
	return G.Must(ops.Gumbel(b.Graph, b.Dtype, b.Shape, append(options, ops.WithSource(b.Source))...))
}

func newGumbelLike(b *builder, options ...ops.NoiseOption) *G.Node {
	return G.Must(ops.GumbelLike(b.In("x"), append(options, ops.WithSource(b.Source))...))
}

func noiseNodes(noise optest.Noise) []node {
	return []node{
		{Name: "noise", Exact: true, Build: func(b *builder) *G.Node { return noise(b) }},
		{Name: "loc and scale", Exact: true, Build: func(b *builder) *G.Node { return noise(b, ops.WithLoc(-2), ops.WithScale(0.3)) }},
	}
}

func noiseGradients(noise optest.Noise) []gradient {
	return []gradient{
		{Name: "noise", Cost: func(b *builder) *G.Node { return b.Weigh(mul(b.In("x"), noise(b))) }},
		{
			Name: "loc and scale",
			Cost: func(b *builder) *G.Node {
				return b.Weigh(mul(b.In("x"), noise(b, ops.WithLoc(1.5), ops.WithScale(0.25))))
			},
			Surrogate: func(b *builder) *G.Node { // x ⊙ (1.5 + 0.25 noise)
				scaled := G.Must(G.Mul(mul(b.In("x"), noise(b)), G.NewConstant(0.25)))
				return b.Weigh(plus(scaled, G.Must(G.Mul(b.In("x"), G.NewConstant(1.5)))))
			},
		},
	}
}

func noiseLaws(noise optest.Noise) []law {
	return []law{obeys("law", noise.Law), obeys("tails", noise.Tails), obeys("dtypes", noise.SameInBothDtypes)}
}

var gumbel = optest.Row{
	Op:        ops.Gumbel,
	Nodes:     noiseNodes(newGumbel),
	Gradients: noiseGradients(newGumbel),
	BuildErrors: []buildError{
		fails("nil graph", func(b *builder) (*G.Node, error) { return ops.Gumbel(nil, tensor.Float64, b.Shape) }, "the graph is nil"),
		fails("integers", func(b *builder) (*G.Node, error) { return ops.Gumbel(b.Graph, tensor.Int, b.Shape) }, "dtype int"),
		fails("negative dimension", func(b *builder) (*G.Node, error) {
			return ops.Gumbel(b.Graph, tensor.Float64, tensor.Shape{-2})
		}, "negative dimension"),
		fails("scale 0", func(b *builder) (*G.Node, error) {
			return ops.Gumbel(b.Graph, tensor.Float64, b.Shape, ops.WithScale(0))
		}, "the scale is 0"),
		fails("scale 1e38", func(b *builder) (*G.Node, error) {
			return ops.Gumbel(b.Graph, tensor.Float32, b.Shape, ops.WithScale(1e38))
		}, "leaves the range of float32"),
		fails("loc NaN", func(b *builder) (*G.Node, error) {
			return ops.Gumbel(b.Graph, tensor.Float64, b.Shape, ops.WithLoc(nan))
		}, "the location is NaN"),
		fails("nil source", func(b *builder) (*G.Node, error) {
			return ops.Gumbel(b.Graph, tensor.Float64, b.Shape, ops.WithSource(nil))
		}, "WithSource: the source is nil"),
	},
	Laws:     noiseLaws(newGumbel),
	NoGolden: "noise has no counterpart elsewhere; package philox checks its bits",
}

var gumbelLike = optest.Row{
	Op:    ops.GumbelLike,
	Nodes: noiseNodes(newGumbelLike),
	Gradients: append(noiseGradients(newGumbelLike), gradient{
		Name: "as the noise of a sample",
		Cost: func(b *builder) *G.Node { return b.WeighSquare(b.Given(b.In("x"), b.In("tau"), newGumbelLike(b))) },
	}),
	NoGradient: true,
	BuildErrors: []buildError{
		fails("nil", func(b *builder) (*G.Node, error) { return ops.GumbelLike(nil) }, "x is nil"),
		fails("integers", func(b *builder) (*G.Node, error) { return ops.GumbelLike(array(b, tensor.Int, 2)) }, "dtype int"),
		fails("scale -1", func(b *builder) (*G.Node, error) { return ops.GumbelLike(b.In("x"), ops.WithScale(-1)) }, "the scale is -1"),
	},
	Laws:     noiseLaws(newGumbelLike),
	NoGolden: "noise has no counterpart elsewhere; package philox checks its bits",
}

// GumbelSoftmax

func soft(b *builder) *G.Node { return b.Soft(b.In("logits"), b.In("tau")) }

func hard(b *builder) *G.Node { return b.Soft(b.In("logits"), b.In("tau"), ops.WithHard()) }

func givenSoft(b *builder) *G.Node { return b.Given(b.In("logits"), b.In("tau"), b.In("noise")) }

func givenHard(b *builder) *G.Node {
	return b.Given(b.In("logits"), b.In("tau"), b.In("noise"), ops.WithHard())
}

func maskedSoft(b *builder) *G.Node { return b.Soft(b.In("masked"), b.In("tau")) }

func maskedHard(b *builder) *G.Node { return b.Soft(b.In("masked"), b.In("tau"), ops.WithHard()) }

func logSpace(b *builder) *G.Node { return b.Soft(b.In("logits"), b.In("tau"), ops.WithLogSpace()) }

// estimated returns the sample of an estimator without a gradient to tau.
func estimated(e ops.Estimator) func(b *builder) *G.Node {
	return func(b *builder) *G.Node { return b.Soft(b.In("logits"), b.Fixed("tau"), ops.WithEstimator(e)) }
}

func maskedEstimate(e ops.Estimator) func(b *builder) *G.Node {
	return func(b *builder) *G.Node { return b.Soft(b.In("masked"), b.Fixed("tau"), ops.WithEstimator(e)) }
}

func weighed(y func(b *builder) *G.Node) func(b *builder) *G.Node {
	return func(b *builder) *G.Node { return b.Weigh(y(b)) }
}

// finiteGradients are laws of the sample of each estimator.
func finiteGradients(sample func(b *builder, logits, tau *G.Node, e ops.Estimator) *G.Node) (all []law) {
	for _, e := range []ops.Estimator{
		ops.StraightThroughGumbel(), ops.StraightThroughSoftmax(), ops.ReinMax(), ops.GumbelRao(3),
		ops.GappedStraightThrough(0.8), ops.AdaptiveGap(),
	} {
		all = append(all, obeys("finite gradients of "+e.String(), optest.Sampler(func(b *builder, logits, tau *G.Node) *G.Node {
			return sample(b, logits, tau, e)
		}).FiniteGradients))
	}
	return all
}

func squared(y func(b *builder) *G.Node) func(b *builder) *G.Node {
	return func(b *builder) *G.Node { return b.WeighSquare(y(b)) }
}

// soften returns a constructor with options, for an error.
func soften(options ...ops.GumbelSoftmaxOption) func(b *builder) (*G.Node, error) {
	return func(b *builder) (*G.Node, error) {
		return ops.GumbelSoftmax(b.In("logits"), b.In("tau"), options...)
	}
}

func running(build func(b *builder) (*G.Node, error)) func(b *builder) *G.Node {
	return func(b *builder) *G.Node { return G.Must(build(b)) }
}

var gumbelSoftmax = optest.Row{
	Op: ops.GumbelSoftmax,
	Nodes: []node{
		{Name: "soft", Build: soft},
		{Name: "hard", Exact: true, Build: hard},
		{Name: "soft, noise given", Build: givenSoft},
		{Name: "hard, noise given", Exact: true, Build: givenHard},
		{Name: "soft, tau constant", Build: func(b *builder) *G.Node {
			return b.Soft(b.In("logits"), b.Constant(0.7))
		}},
		{Name: "hard, tau constant", Exact: true, Build: func(b *builder) *G.Node {
			return b.Soft(b.In("logits"), b.Constant(0.7), ops.WithHard())
		}},
		{Name: "log space", Build: logSpace},
		{Name: "log space, noise given", Build: func(b *builder) *G.Node {
			return b.Given(b.In("logits"), b.In("tau"), b.In("noise"), ops.WithLogSpace())
		}},
		{Name: "straight-through softmax", Exact: true, Build: func(b *builder) *G.Node {
			return b.Soft(b.In("logits"), b.In("tau"), ops.WithEstimator(ops.StraightThroughSoftmax()))
		}},
		{Name: "ReinMax", Exact: true, Build: estimated(ops.ReinMax())},
		{Name: "Gumbel-Rao", Exact: true, Build: estimated(ops.GumbelRao(3))},
		{Name: "gapped", Exact: true, Build: estimated(ops.GappedStraightThrough(0.8))},
		{Name: "adaptive gap", Exact: true, Build: estimated(ops.AdaptiveGap())},
	},
	Gradients: []gradient{
		{Name: "soft", Cost: squared(soft)},
		{Name: "soft, noise given", Cost: squared(givenSoft)},
		{Name: "soft, tau constant", Cost: func(b *builder) *G.Node {
			return b.Weigh(b.Soft(b.In("logits"), G.NewConstant(0.7)))
		}},
		{Name: "soft, tau learned", Cost: func(b *builder) *G.Node {
			return b.Weigh(b.Soft(b.In("logits"), G.Must(G.Exp(b.In("theta")))))
		}},
		{Name: "soft, masked", Cost: squared(maskedSoft)},
		{Name: "log space", Cost: squared(logSpace)},
		{Name: "straight-through softmax", Cost: func(b *builder) *G.Node {
			return b.Weigh(b.Soft(b.In("logits"), b.In("tau"), ops.WithEstimator(ops.StraightThroughSoftmax())))
		}, Surrogate: func(b *builder) *G.Node {
			return b.Weigh(b.Given(b.In("logits"), b.In("tau"), b.Zero()))
		}},
		{Name: "soft, masked, noise given", Cost: func(b *builder) *G.Node {
			return b.Weigh(b.Given(b.In("masked"), b.In("tau"), b.In("noise")))
		}},
		{Name: "soft, of an expression", Cost: func(b *builder) *G.Node {
			return b.Weigh(b.Soft(G.Must(G.Square(b.In("logits"))), b.In("tau")))
		}},
		{Name: "soft, logits used twice", Cost: func(b *builder) *G.Node {
			return optest.Term(b.Weigh(soft(b)), b.In("logits"))
		}},
		{Name: "soft, KL of the same logits", Cost: func(b *builder) *G.Node {
			return plus(b.Weigh(soft(b)), b.Weigh(b.KL(b.In("logits"), nil)))
		}},
		{Name: "two samplers", Cost: func(b *builder) *G.Node { return b.Weigh(mul(soft(b), soft(b))) }},
		{Name: "two samplers, one noise", Cost: func(b *builder) *G.Node { return b.Weigh(mul(givenSoft(b), givenSoft(b))) }},
		{Name: "sampler of a sample", Cost: func(b *builder) *G.Node { return b.Weigh(b.Soft(soft(b), b.In("tau"))) }},
		{Name: "hard", Cost: weighed(hard), Surrogate: weighed(soft)},
		{Name: "hard, noise given", Cost: weighed(givenHard), Surrogate: weighed(givenSoft)},
		{Name: "hard, masked", Cost: weighed(maskedHard), Surrogate: weighed(maskedSoft)},
		{
			Name:      "hard, logits used twice",
			Cost:      func(b *builder) *G.Node { return optest.Term(b.Weigh(hard(b)), b.In("logits")) },
			Surrogate: func(b *builder) *G.Node { return optest.Term(b.Weigh(soft(b)), b.In("logits")) },
		},
	},
	Masks: []node{
		{Name: "soft", Build: maskedSoft}, {Name: "hard", Build: maskedHard},
		{Name: "straight-through softmax", Build: maskedEstimate(ops.StraightThroughSoftmax())},
		{Name: "ReinMax", Build: maskedEstimate(ops.ReinMax())},
		{Name: "Gumbel-Rao", Build: maskedEstimate(ops.GumbelRao(3))},
		{Name: "gapped", Build: maskedEstimate(ops.GappedStraightThrough(0.8))},
		{Name: "adaptive gap", Build: maskedEstimate(ops.AdaptiveGap())},
	},
	BuildErrors: []buildError{
		fails("nil logits", func(b *builder) (*G.Node, error) { return ops.GumbelSoftmax(nil, b.In("tau")) }, "logits is nil"),
		fails("nil tau", func(b *builder) (*G.Node, error) { return ops.GumbelSoftmax(b.In("logits"), nil) }, "tau is nil"),
		fails("integers", func(b *builder) (*G.Node, error) {
			return ops.GumbelSoftmax(array(b, tensor.Int, 2, 6), b.In("tau"))
		}, "logits has dtype int"),
		fails("tau float32", func(b *builder) (*G.Node, error) {
			return ops.GumbelSoftmax(b.In("logits"), G.NewScalar(b.Graph, tensor.Float32, G.WithName("tau32")))
		}, "tau has dtype float32 but logits has float64: they must match"),
		fails("tau a vector", func(b *builder) (*G.Node, error) {
			return ops.GumbelSoftmax(b.In("logits"), array(b, tensor.Float64, 1))
		}, `tau has shape \(1\)`),
		fails("tau of another graph", func(b *builder) (*G.Node, error) {
			return ops.GumbelSoftmax(b.In("logits"), G.NewScalar(G.NewGraph(), tensor.Float64, G.WithName("tau")))
		}, "another graph"),
		fails("logits and tau constants", func(b *builder) (*G.Node, error) {
			x := tensor.New(tensor.WithShape(2), tensor.WithBacking([]float64{1, 2}))
			return ops.GumbelSoftmax(G.NewConstant(x), G.NewConstant(0.5))
		}, "is a constant, which is in no graph: make it an input of a graph"),
		fails("scalar logits", func(b *builder) (*G.Node, error) { return ops.GumbelSoftmax(b.In("tau"), b.In("tau")) }, "a scalar has no axis"),
		fails("axis 2", soften(ops.WithAxis(2)), `axis 2 is out of range for shape \(2, 6\)`),
		fails("axis -3", soften(ops.WithAxis(-3)), "axis -3 is out of range"),
		fails("4 of 6 classes", soften(ops.WithClasses(4)), "4 classes do not divide"),
		fails("0 classes", soften(ops.WithClasses(0)), "WithClasses: k is 0, want at least 1"),
		fails("classes, axis 0", soften(ops.WithClasses(2), ops.WithAxis(0)), "along the last axis"),
		fails("noise shape", func(b *builder) (*G.Node, error) {
			return ops.GumbelSoftmax(b.In("logits"), b.In("tau"), ops.WithNoise(array(b, tensor.Float64, 6, 2)))
		}, `noise has shape \(6, 2\) but logits has \(2, 6\)`),
		fails("noise dtype", func(b *builder) (*G.Node, error) {
			return ops.GumbelSoftmax(b.In("logits"), b.In("tau"), ops.WithNoise(array(b, tensor.Float32, 2, 6)))
		}, "noise has dtype float32"),
		fails("nil noise", soften(ops.WithNoise(nil)), "the noise is nil"),
		fails("nil source", soften(ops.WithSource(nil)), "the source is nil"),
		fails("nil option", soften(nil), "option 0 is nil"),
		fails("noise and a source", func(b *builder) (*G.Node, error) {
			return ops.GumbelSoftmax(b.In("logits"), b.In("tau"), ops.WithNoise(b.In("noise")), ops.WithSource(b.Source))
		}, "WithSource has no effect beside WithNoise"),
	},
	RunErrors: []runError{
		rejects(running(soften()), data{"tau": {0}}, `tau is 0, want a positive`, "tau", 0),
		rejects(running(soften()), data{"tau": {-1}}, `tau is -1`, "tau", 0),
		rejects(running(soften(ops.WithHard())), data{"tau": {nan}}, `tau is NaN`, "tau", 0),
		rejects(running(soften()), data{"tau": {inf}}, `tau is \+Inf`, "tau", 0),
		rejects(running(soften()), data{"logits": with(3, nan)}, `logits\[1,0\] is NaN`, "logits", 3),
		rejects(running(soften(ops.WithHard())), data{"logits": with(5, inf)}, `logits\[1,2\] is \+Inf`, "logits", 5),
		rejects(running(soften(ops.WithAxis(0))), data{"logits": with(4, nan)}, `logits\[1,1\] is NaN`, "logits", 4),
		rejects(running(soften(ops.WithClasses(1))), data{"logits": with(4, -inf)}, `logits\[1,1:2\] are all -Inf`, "logits", 4),
		rejects(running(soften()), data{"logits": {1, 2, 3, -inf, -inf, -inf}}, `logits\[1,:\] are all -Inf`, "logits", 3),
		rejects(running(soften(ops.WithAxis(0))), data{"logits": {1, -inf, 3, 4, -inf, 6}}, `logits\[:,1\] are all -Inf`, "logits", 1),
		rejects(givenSoft, data{"noise": with(2, nan)}, `noise\[0,2\] is NaN`, "noise", 2),
		rejects(givenSoft, data{"logits": with(2, -inf), "noise": with(2, inf)}, `noise\[0,2\] is \+Inf`, "noise", 2),
		rejects(givenSoft, data{"logits": with(0, optest.Huge), "noise": with(0, optest.Huge)}, `logits\[0,0\] \+ noise\[0,0\] is outside the range of float`, "logits", 0),
	},
	Evals: []eval{
		evaluates("soft", func(b *builder) *G.Node { return b.Soft(b.In("logits"), b.In("tau"), ops.WithDeterministicEval()) }, optest.Softmax),
		evaluates("soft, noise given", func(b *builder) *G.Node {
			return b.Given(b.In("logits"), b.In("tau"), b.In("noise"), ops.WithDeterministicEval())
		}, optest.Softmax),
		evaluates("hard", func(b *builder) *G.Node {
			return b.Soft(b.In("logits"), b.In("tau"), ops.WithDeterministicEval(), ops.WithHard())
		}, optest.Mode),
	},
	Laws: append([]law{
		obeys("frequencies", optest.Sampler(func(b *builder, logits, tau *G.Node) *G.Node {
			return b.Soft(logits, tau, ops.WithHard())
		}).Frequencies),
		obeys("independence", optest.Sampler(func(b *builder, logits, tau *G.Node) *G.Node {
			return b.Soft(logits, tau, ops.WithHard())
		}).Independence),
		obeys("logits of 255", optest.LogitsOf255),
		obeys("no rare NaN", optest.NoRareNaN),
		obeys("many classes at a low temperature", optest.ManyClassesAtLowTemperature),
	}, finiteGradients(func(b *builder, logits, tau *G.Node, e ops.Estimator) *G.Node {
		return b.Soft(logits, tau, ops.WithEstimator(e))
	})...),
	Golden: optest.GoldenGumbelSoftmax,
}

// RelaxedBernoulli

func relaxed(options ...ops.SampleOption) func(b *builder) *G.Node {
	return func(b *builder) *G.Node { return b.Relaxed(b.In("logits"), b.In("tau"), options...) }
}

// relaxedEstimate returns the sample of an estimator without a gradient to tau.
func relaxedEstimate(e ops.Estimator) func(b *builder) *G.Node {
	return func(b *builder) *G.Node { return b.Relaxed(b.In("logits"), b.Fixed("tau"), ops.WithEstimator(e)) }
}

func givenRelaxed(b *builder) *G.Node {
	return G.Must(ops.RelaxedBernoulli(b.In("logits"), b.In("tau"), ops.WithNoise(b.In("noise"))))
}

var relaxedBernoulli = optest.Row{
	Op: ops.RelaxedBernoulli,
	Nodes: []node{
		{Name: "soft", Build: relaxed()},
		{Name: "hard", Exact: true, Build: relaxed(ops.WithHard())},
		{Name: "log space", Build: relaxed(ops.WithLogSpace())},
		{Name: "noise given", Build: givenRelaxed},
		{Name: "straight-through softmax", Exact: true, Build: relaxed(ops.WithEstimator(ops.StraightThroughSoftmax()))},
		{Name: "ReinMax", Exact: true, Build: relaxedEstimate(ops.ReinMax())},
		{Name: "Gumbel-Rao", Exact: true, Build: relaxedEstimate(ops.GumbelRao(3))},
		{Name: "gapped", Exact: true, Build: relaxedEstimate(ops.GappedStraightThrough(0.6))},
		{Name: "adaptive gap", Exact: true, Build: relaxedEstimate(ops.AdaptiveGap())},
	},
	Gradients: []gradient{
		{Name: "soft", Cost: squared(relaxed())},
		{Name: "log space", Cost: squared(relaxed(ops.WithLogSpace()))},
		{Name: "noise given", Cost: squared(givenRelaxed)},
		{Name: "hard", Cost: weighed(relaxed(ops.WithHard())), Surrogate: weighed(relaxed())},
		{
			Name: "straight-through softmax",
			Cost: weighed(relaxed(ops.WithEstimator(ops.StraightThroughSoftmax()))),
			Surrogate: func(b *builder) *G.Node {
				return b.Weigh(G.Must(ops.RelaxedBernoulli(b.In("logits"), b.In("tau"), ops.WithNoise(b.Zero()))))
			},
		},
	},
	BuildErrors: []buildError{
		fails("nil logits", func(b *builder) (*G.Node, error) { return ops.RelaxedBernoulli(nil, b.In("tau")) }, "logits is nil"),
		fails("nil tau", func(b *builder) (*G.Node, error) { return ops.RelaxedBernoulli(b.In("logits"), nil) }, "tau is nil"),
		fails("integers", func(b *builder) (*G.Node, error) {
			return ops.RelaxedBernoulli(array(b, tensor.Int, 2, 6), b.In("tau"))
		}, "logits has dtype int"),
		fails("noise shape", func(b *builder) (*G.Node, error) {
			return ops.RelaxedBernoulli(b.In("logits"), b.In("tau"), ops.WithNoise(array(b, tensor.Float64, 6, 2)))
		}, "noise has shape"),
	},
	RunErrors: []runError{
		rejects(relaxed(), data{"tau": {0}}, `tau is 0, want a positive`, "tau", 0),
		rejects(relaxed(), data{"logits": with(3, nan)}, `logits\[1,0\] is NaN`, "logits", 3),
		rejects(givenRelaxed, data{"noise": with(2, nan)}, `noise\[0,2\] is NaN`, "noise", 2),
	},
	Evals: []eval{evaluates("soft", relaxed(ops.WithDeterministicEval()), optest.Sigmoid)},
	Laws: append([]law{
		obeys("frequencies", func(t *testing.T) { optest.BernoulliFrequencies(t) }),
	}, finiteGradients(func(b *builder, logits, tau *G.Node, e ops.Estimator) *G.Node {
		return b.Relaxed(logits, tau, ops.WithEstimator(e))
	})...),
	Values: []value{{
		Build: givenRelaxed, Data: data{"logits": {0.5}, "noise": {math.Log(3.0 / 7)}, "tau": {2.0 / 3}},
		Want: []float64{0.372630869048},
	}},
	NoGolden: "PyTorch's log density has another form; package ops checks worked numbers",
}

// HardConcrete

func hardConcreteGate(options ...ops.HardConcreteOption) func(b *builder) *G.Node {
	return func(b *builder) *G.Node {
		return G.Must(ops.HardConcrete(b.In("logAlpha"), b.In("tau"), append(slices.Clone(options), ops.WithSource(b.Source))...))
	}
}

func givenGate(options ...ops.HardConcreteOption) func(b *builder) *G.Node {
	return func(b *builder) *G.Node {
		return G.Must(ops.HardConcrete(b.In("logAlpha"), b.In("tau"), append(slices.Clone(options), ops.WithNoise(b.In("noise")))...))
	}
}

var hardConcrete = optest.Row{
	Op: ops.HardConcrete,
	Nodes: []node{
		{Name: "gate", Build: hardConcreteGate()},
		{Name: "noise given", Build: givenGate()},
		{Name: "stretched", Build: hardConcreteGate(ops.WithStretch(-0.6, 3))},
		{Name: "without noise in evaluation", Build: hardConcreteGate(ops.WithDeterministicEval())},
	},
	Gradients: []gradient{
		{Name: "gate", Cost: squared(hardConcreteGate())},
		{Name: "noise given", Cost: squared(givenGate())},
		{Name: "stretched", Cost: squared(hardConcreteGate(ops.WithStretch(-2, 1.3)))},
		{Name: "tau learned", Cost: func(b *builder) *G.Node {
			return b.Weigh(G.Must(ops.HardConcrete(b.In("logAlpha"), G.Must(G.Exp(b.In("theta"))), ops.WithSource(b.Source))))
		}},
		{Name: "masked", Cost: func(b *builder) *G.Node {
			return b.Weigh(G.Must(ops.HardConcrete(b.In("masked"), b.In("tau"), ops.WithSource(b.Source))))
		}},
	},
	Masks: []node{{Name: "gate", Build: func(b *builder) *G.Node {
		return G.Must(ops.HardConcrete(b.In("masked"), b.In("tau"), ops.WithSource(b.Source)))
	}}},
	BuildErrors: []buildError{
		fails("nil logAlpha", func(b *builder) (*G.Node, error) { return ops.HardConcrete(nil, b.In("tau")) }, "logAlpha is nil"),
		fails("nil tau", func(b *builder) (*G.Node, error) { return ops.HardConcrete(b.In("logAlpha"), nil) }, "tau is nil"),
		fails("integers", func(b *builder) (*G.Node, error) {
			return ops.HardConcrete(array(b, tensor.Int, 2, 6), b.In("tau"))
		}, "logAlpha has dtype int"),
		fails("tau a vector", func(b *builder) (*G.Node, error) {
			return ops.HardConcrete(b.In("logAlpha"), array(b, tensor.Float64, 1))
		}, `tau has shape \(1\)`),
		fails("noise shape", func(b *builder) (*G.Node, error) {
			return ops.HardConcrete(b.In("logAlpha"), b.In("tau"), ops.WithNoise(array(b, tensor.Float64, 6, 2)))
		}, `noise has shape \(6, 2\) but logAlpha has \(2, 6\)`),
		fails("noise and a source", func(b *builder) (*G.Node, error) {
			return ops.HardConcrete(b.In("logAlpha"), b.In("tau"), ops.WithNoise(b.In("noise")), ops.WithSource(b.Source))
		}, "WithSource has no effect beside WithNoise"),
		fails("gamma 0", gated(ops.WithStretch(0, 1.1)), "WithStretch: gamma is 0, want a negative, finite number"),
		fails("gamma -Inf", gated(ops.WithStretch(-inf, 1.1)), "WithStretch: gamma is -Inf, want a negative"),
		fails("gamma NaN", gated(ops.WithStretch(nan, 1.1)), "WithStretch: gamma is NaN"),
		fails("zeta 1", gated(ops.WithStretch(-0.1, 1)), "WithStretch: zeta is 1, want a finite number greater than 1"),
		fails("zeta +Inf", gated(ops.WithStretch(-0.1, inf)), `WithStretch: zeta is \+Inf`),
		fails("zeta NaN", gated(ops.WithStretch(-0.1, nan)), "WithStretch: zeta is NaN"),
		fails("wide", gated(ops.WithStretch(-1e308, 1e308)), `WithStretch: the interval from -1e\+308 to 1e\+308 leaves the range of float64`),
		fails("wide float32", func(b *builder) (*G.Node, error) {
			return ops.HardConcrete(array(b, tensor.Float32, 2), G.NewScalar(b.Graph, tensor.Float32, G.WithName("tau32")), ops.WithStretch(-1, 1e39))
		}, "leaves the range of float32"),
	},
	RunErrors: []runError{
		rejects(hardConcreteGate(), data{"tau": {0}}, `tau is 0, want a positive`, "tau", 0),
		rejects(hardConcreteGate(), data{"tau": {inf}}, `tau is \+Inf`, "tau", 0),
		rejects(hardConcreteGate(), data{"logAlpha": with(3, nan)}, `logAlpha\[1,0\] is NaN`, "logAlpha", 3),
		rejects(givenGate(), data{"noise": with(2, nan)}, `noise\[0,2\] is NaN`, "noise", 2),
		rejects(givenGate(), data{"logAlpha": with(2, -inf), "noise": with(2, inf)}, `noise\[0,2\] is \+Inf`, "noise", 2),
	},
	Values: []value{
		{
			Build: givenGate(), Data: data{"logAlpha": {0.5}, "noise": {math.Log(3.0 / 7)}, "tau": {2.0 / 3}},
			Want:      []float64{0.347157042858},
			Gradients: data{"logAlpha": {0.420798788065}, "noise": {0.420798788065}, "tau": {0.219213778123}},
		},
		{ // what evaluation has without noise and tau
			Build: givenGate(), Data: data{"logAlpha": {0.5}, "noise": {0}, "tau": {1}}, Want: []float64{0.646951197442},
			Gradients: data{"logAlpha": {0.282004454642}},
		},
		{ // clamped on both sides, certain, and masked
			Build: givenGate(), Data: data{"logAlpha": {-2, 2, 1e4, -1e4, inf, -inf}, "noise": make([]float64, 6), "tau": {2.0 / 3}},
			Want:      []float64{0, 1, 1, 0, 1, 0},
			Gradients: data{"logAlpha": make([]float64, 6), "noise": make([]float64, 6), "tau": {0}},
		},
		{ // exactly at the lower end
			Build: givenGate(ops.WithStretch(-1.5, 1.5)), Data: data{"logAlpha": {0}, "noise": {0}, "tau": {2.0 / 3}},
			Want: []float64{0}, Gradients: data{"logAlpha": {0}, "tau": {0}},
		},
		{ // exactly at the upper end
			Build: givenGate(ops.WithStretch(-1, 3)), Data: data{"logAlpha": {0}, "noise": {0}, "tau": {2.0 / 3}},
			Want: []float64{1}, Gradients: data{"logAlpha": {0}, "tau": {0}},
		},
	},
	Evals: []eval{
		evaluates("gate", hardConcreteGate(ops.WithDeterministicEval()), optest.Gate),
		evaluates("noise given", givenGate(ops.WithDeterministicEval()), optest.Gate),
	},
	Laws:   []law{obeys("ends", optest.HardConcreteEnds)},
	Golden: optest.GoldenHardConcrete,
}

// gated returns a constructor with options, for an error.
func gated(options ...ops.HardConcreteOption) func(b *builder) (*G.Node, error) {
	return func(b *builder) (*G.Node, error) { return ops.HardConcrete(b.In("logAlpha"), b.In("tau"), options...) }
}

// HardConcreteOpen

func openOf(logAlpha string, options ...ops.StretchOption) func(b *builder) *G.Node {
	return func(b *builder) *G.Node { return G.Must(ops.HardConcreteOpen(b.In(logAlpha), b.In("tau"), options...)) }
}

var hardConcreteOpen = optest.Row{
	Op: ops.HardConcreteOpen,
	Nodes: []node{
		{Name: "open", Build: openOf("logAlpha")},
		{Name: "stretched", Build: openOf("logAlpha", ops.WithStretch(-2, 1.3))},
	},
	Gradients: []gradient{
		{Name: "open", Cost: weighed(openOf("logAlpha"))},
		{Name: "squared", Cost: squared(openOf("logAlpha", ops.WithStretch(-0.01, 3)))},
		{Name: "masked", Cost: weighed(openOf("masked"))},
		{Name: "tau alone", Cost: func(b *builder) *G.Node {
			return b.Weigh(G.Must(ops.HardConcreteOpen(b.Fixed("logAlpha"), b.In("tau"))))
		}},
		{Name: "penalty of gates", Cost: func(b *builder) *G.Node {
			return plus(b.WeighSquare(hardConcreteGate()(b)), b.Weigh(openOf("logAlpha")(b)))
		}},
	},
	Masks: []node{{Name: "open", Build: openOf("masked")}},
	BuildErrors: []buildError{
		fails("nil logAlpha", func(b *builder) (*G.Node, error) { return ops.HardConcreteOpen(nil, b.In("tau")) }, "logAlpha is nil"),
		fails("nil tau", func(b *builder) (*G.Node, error) { return ops.HardConcreteOpen(b.In("logAlpha"), nil) }, "tau is nil"),
		fails("integers", func(b *builder) (*G.Node, error) {
			return ops.HardConcreteOpen(array(b, tensor.Int, 2, 6), b.In("tau"))
		}, "logAlpha has dtype int"),
		fails("tau a vector", func(b *builder) (*G.Node, error) {
			return ops.HardConcreteOpen(b.In("logAlpha"), array(b, tensor.Float64, 1))
		}, `tau has shape \(1\)`),
		fails("gamma 1", func(b *builder) (*G.Node, error) {
			return ops.HardConcreteOpen(b.In("logAlpha"), b.In("tau"), ops.WithStretch(1, 2))
		}, "WithStretch: gamma is 1, want a negative, finite number"),
		fails("wide", func(b *builder) (*G.Node, error) {
			return ops.HardConcreteOpen(b.In("logAlpha"), b.In("tau"), ops.WithStretch(-1e308, 1e308))
		}, "leaves the range of float64"),
	},
	RunErrors: []runError{
		rejects(openOf("logAlpha"), data{"tau": {-1}}, `tau is -1, want a positive`, "tau", 0),
		rejects(openOf("logAlpha"), data{"logAlpha": with(3, nan)}, `logAlpha\[1,0\] is NaN`, "logAlpha", 3),
	},
	Values: []value{
		{
			Build: openOf("logAlpha"), Data: data{"logAlpha": {0.5}, "tau": {2.0 / 3}}, Want: []float64{0.89076672509},
			Gradients: data{"logAlpha": {0.0973013665627}, "tau": {0.233318486917}},
		},
		{ // the gate above is 1 with the probability 0.250002895037, 1 less that of an open gate of -logAlpha
			Build: openOf("logAlpha"), Data: data{"logAlpha": {-0.5}, "tau": {2.0 / 3}}, Want: []float64{1 - 0.250002895037},
		},
		{
			Build: openOf("logAlpha"), Data: data{"logAlpha": {1e4, -1e4, inf, -inf}, "tau": {100}}, Want: []float64{1, 0, 1, 0},
			Gradients: data{"logAlpha": {0, 0, 0, 0}, "tau": {0}},
		},
	},
	Golden: optest.GoldenHardConcreteOpen,
}

// Categorical

func newCategorical(b *builder, logits *G.Node, options ...ops.CategoricalOption) *G.Node {
	options = append(optest.Options(b, options...), ops.WithSource(b.Source))
	return G.Must(ops.Categorical(logits, options...))
}

func givenCategorical(b *builder) *G.Node {
	return G.Must(ops.Categorical(b.In("logits"), optest.Options[ops.CategoricalOption](b, ops.WithNoise(b.In("noise")))...))
}

func drawClasses(b *builder) *G.Node { return newCategorical(b, b.In("logits")) }

var categorical = optest.Row{
	Op: ops.Categorical,
	Nodes: []node{
		{Name: "drawn", Exact: true, Build: drawClasses},
		{Name: "noise given", Exact: true, Build: givenCategorical},
	},
	Gradients: []gradient{
		{Name: "drawn", Cost: func(b *builder) *G.Node {
			return optest.Term(b.Weigh(mul(drawClasses(b), b.In("x"))), b.In("logits"))
		}},
		{Name: "noise given", Cost: func(b *builder) *G.Node {
			return optest.Term(optest.Term(b.Weigh(givenCategorical(b)), b.In("logits")), b.In("noise"))
		}},
	},
	NoGradient: true,
	Masks:      []node{{Name: "drawn", Build: func(b *builder) *G.Node { return newCategorical(b, b.In("masked")) }}},
	BuildErrors: []buildError{
		fails("nil", func(b *builder) (*G.Node, error) { return ops.Categorical(nil) }, "logits is nil"),
		fails("integers", func(b *builder) (*G.Node, error) { return ops.Categorical(array(b, tensor.Int, 2, 6)) }, "dtype int"),
		fails("axis 5", func(b *builder) (*G.Node, error) { return ops.Categorical(b.In("logits"), ops.WithAxis(5)) }, "axis 5"),
		fails("a constant", func(b *builder) (*G.Node, error) {
			x := tensor.New(tensor.WithShape(2), tensor.WithBacking([]float64{1, 2}))
			return ops.Categorical(G.NewConstant(x))
		}, "is a constant, which is in no graph: make it an input of a graph"),
		fails("noise and a source", func(b *builder) (*G.Node, error) {
			return ops.Categorical(b.In("logits"), ops.WithNoise(b.In("noise")), ops.WithSource(b.Source))
		}, "WithSource has no effect beside WithNoise"),
	},
	RunErrors: []runError{
		rejects(drawClasses, data{"logits": with(0, nan)}, `logits\[0,0\] is NaN`, "logits", 0),
		rejects(drawClasses, data{"logits": {-inf, -inf, -inf, 1, 2, 3}}, `logits\[0,:\] are all -Inf`, "logits", 0),
		rejects(givenCategorical, data{"noise": with(5, nan)}, `noise\[1,2\] is NaN`, "noise", 5),
	},
	Evals: []eval{evaluates("drawn", func(b *builder) *G.Node {
		return newCategorical(b, b.In("logits"), ops.WithDeterministicEval())
	}, optest.Mode)},
	Laws: []law{
		obeys("frequencies", optest.Sampler(func(b *builder, logits, _ *G.Node) *G.Node { return newCategorical(b, logits) }).Frequencies),
		obeys("independence", optest.Sampler(func(b *builder, logits, _ *G.Node) *G.Node { return newCategorical(b, logits) }).Independence),
	},
	NoGolden: "PyTorch draws other numbers; the law of frequencies checks the samples",
}

// StraightThrough

func straighten(b *builder, x *G.Node) *G.Node {
	return G.Must(ops.StraightThrough(x, optest.Options[ops.DistributionOption](b)...))
}

func straight(b *builder) *G.Node { return straighten(b, b.In("soft")) }

var straightThrough = optest.Row{
	Op: ops.StraightThrough,
	Nodes: []node{
		{Name: "of an array", Exact: true, Build: straight},
		{Name: "of a sample", Exact: true, Build: func(b *builder) *G.Node { return straighten(b, soft(b)) }},
	},
	Gradients: []gradient{
		{Name: "of an array", Cost: weighed(straight), Surrogate: func(b *builder) *G.Node { return b.Weigh(b.In("soft")) }},
		{Name: "of a sample", Cost: func(b *builder) *G.Node { return b.Weigh(straighten(b, soft(b))) }, Surrogate: weighed(soft)},
	},
	BuildErrors: []buildError{
		fails("nil", func(b *builder) (*G.Node, error) { return ops.StraightThrough(nil) }, "soft is nil"),
		fails("axis 5", func(b *builder) (*G.Node, error) { return ops.StraightThrough(b.In("soft"), ops.WithAxis(5)) }, "axis 5"),
		fails("a constant", func(b *builder) (*G.Node, error) {
			x := tensor.New(tensor.WithShape(2), tensor.WithBacking([]float64{1, 2}))
			return ops.StraightThrough(G.NewConstant(x))
		}, "is a constant, which is in no graph: make it an input of a graph"),
	},
	RunErrors: []runError{
		rejects(straight, data{"soft": with(1, nan)}, `soft\[0,1\] is NaN`, "soft", 1),
		rejects(straight, data{"soft": with(1, inf)}, `soft\[0,1\] is \+Inf`, "soft", 1),
	},
	NoGolden: "an argmax, which the gradient tests check through a sample",
}

// BCEWithLogits

func bce(b *builder) *G.Node { return G.Must(ops.BCEWithLogits(b.In("logits"), b.In("targets"))) }

var bceWithLogits = optest.Row{
	Op: ops.BCEWithLogits,
	Nodes: []node{
		{Name: "targets", Build: bce},
		{Name: "fixed targets", Build: func(b *builder) *G.Node {
			return G.Must(ops.BCEWithLogits(b.In("logits"), b.Fixed("targets")))
		}},
	},
	Gradients: []gradient{
		{Name: "targets", Cost: squared(bce)},
		{Name: "of itself", Cost: func(b *builder) *G.Node { return b.Weigh(G.Must(ops.BCEWithLogits(b.In("x"), b.In("x")))) }},
	},
	BuildErrors: []buildError{
		fails("shapes", func(b *builder) (*G.Node, error) {
			return ops.BCEWithLogits(b.In("logits"), array(b, tensor.Float64, 6, 2))
		}, "targets has shape"),
		fails("dtypes", func(b *builder) (*G.Node, error) {
			return ops.BCEWithLogits(b.In("logits"), array(b, tensor.Float32, 2, 6))
		}, "targets has dtype float32"),
		fails("nil", func(b *builder) (*G.Node, error) { return ops.BCEWithLogits(b.In("logits"), nil) }, "targets is nil"),
	},
	RunErrors: []runError{
		rejects(bce, data{"logits": with(1, nan)}, `logits\[0,1\] is NaN`, "logits", 1),
		rejects(bce, data{"logits": with(1, -inf), "targets": good}, `logits\[0,1\] is -Inf but targets\[0,1\] is not 0, so the loss is infinite`, "logits", 1),
		rejects(bce, data{"logits": with(4, inf), "targets": {0, 0, 0, 0, 0, 0}}, `logits\[1,1\] is \+Inf but targets\[1,1\] is not 1, so the loss is infinite`, "logits", 4),
		rejects(bce, data{"targets": with(3, inf)}, `targets\[1,0\] is \+Inf`, "targets", 3),
	},
	Golden: optest.GoldenBCEWithLogits,
}

// CategoricalKL

func kl(q, p string) func(b *builder) *G.Node {
	return func(b *builder) *G.Node { return b.KL(b.In(q), b.In(p)) }
}

func klOfUniform(q string) func(b *builder) *G.Node {
	return func(b *builder) *G.Node { return b.KL(b.In(q), nil) }
}

var categoricalKL = optest.Row{
	Op: ops.CategoricalKL,
	Nodes: []node{
		{Name: "of two", Build: kl("q", "p")},
		{Name: "of the uniform", Build: klOfUniform("q")},
	},
	Gradients: []gradient{
		{Name: "of two", Cost: weighed(kl("q", "p"))},
		{Name: "squared", Cost: squared(kl("q", "p"))},
		{Name: "of the uniform", Cost: weighed(klOfUniform("q"))},
		{Name: "of itself", Cost: func(b *builder) *G.Node { return optest.Term(b.Weigh(b.KL(b.In("q"), b.In("q"))), b.In("q")) }},
		{Name: "there and back", Cost: func(b *builder) *G.Node {
			return plus(b.Weigh(b.KL(b.In("q"), b.In("p"))), b.Weigh(b.KL(b.In("p"), b.In("q"))))
		}},
		{Name: "q masked", Cost: weighed(kl("masked", "p"))},
		{Name: "both masked", Cost: weighed(kl("masked", "maskedToo"))},
		{Name: "masked, of the uniform", Cost: weighed(klOfUniform("masked"))},
	},
	Masks: []node{{Name: "of two", Build: kl("masked", "p")}, {Name: "of the uniform", Build: klOfUniform("masked")}},
	BuildErrors: []buildError{
		fails("shapes", func(b *builder) (*G.Node, error) { return ops.CategoricalKL(b.In("q"), array(b, tensor.Float64, 6, 2)) }, "p has shape"),
		fails("nil", func(b *builder) (*G.Node, error) { return ops.CategoricalKL(nil, b.In("p")) }, "q is nil"),
		fails("no class", func(b *builder) (*G.Node, error) { return ops.CategoricalKL(array(b, tensor.Float64, 2, 0), nil) }, "at least one class"),
	},
	RunErrors: []runError{
		rejects(kl("q", "p"), data{"q": with(1, nan)}, `q\[0,1\] is NaN`, "q", 1),
		rejects(kl("q", "p"), data{"p": with(4, inf)}, `p\[1,1\] is \+Inf`, "p", 4),
		rejects(kl("q", "p"), data{"p": with(4, -inf)}, `p\[1,1\] is -Inf but q\[1,1\] is not, so the divergence is infinite: mask`, "p", 4),
		rejects(kl("q", "p"), data{"q": {1, 2, 3, -inf, -inf, -inf}}, `q\[1,:\] are all -Inf`, "q", 3),
		rejects(kl("q", "p"), data{"p": {-inf, -inf, -inf, 1, 2, 3}}, `p\[0,:\] are all -Inf`, "p", 0),
	},
	Golden: optest.GoldenCategoricalKL,
}

// CategoricalEntropy

func entropy(logits string) func(b *builder) *G.Node {
	return func(b *builder) *G.Node {
		return G.Must(ops.CategoricalEntropy(b.In(logits), optest.Options[ops.DistributionOption](b)...))
	}
}

var categoricalEntropy = optest.Row{
	Op:    ops.CategoricalEntropy,
	Nodes: []node{{Name: "entropy", Build: entropy("logits")}},
	Gradients: []gradient{
		{Name: "entropy", Cost: weighed(entropy("logits"))},
		{Name: "squared", Cost: squared(entropy("logits"))},
		{Name: "masked", Cost: weighed(entropy("masked"))},
		{Name: "beside a divergence", Cost: func(b *builder) *G.Node {
			return plus(b.Weigh(entropy("logits")(b)), b.Weigh(b.KL(b.In("logits"), nil)))
		}},
	},
	Masks: []node{{Name: "entropy", Build: entropy("masked")}},
	BuildErrors: []buildError{
		fails("nil", func(b *builder) (*G.Node, error) { return ops.CategoricalEntropy(nil) }, "logits is nil"),
		fails("integers", func(b *builder) (*G.Node, error) { return ops.CategoricalEntropy(array(b, tensor.Int, 2, 6)) }, "dtype int"),
		fails("axis 2", func(b *builder) (*G.Node, error) {
			return ops.CategoricalEntropy(b.In("logits"), ops.WithAxis(2))
		}, "axis 2 is out of range"),
		fails("no class", func(b *builder) (*G.Node, error) {
			return ops.CategoricalEntropy(array(b, tensor.Float64, 2, 0))
		}, "at least one class"),
	},
	RunErrors: []runError{
		rejects(entropy("logits"), data{"logits": with(1, nan)}, `logits\[0,1\] is NaN`, "logits", 1),
		rejects(entropy("logits"), data{"logits": with(4, inf)}, `logits\[1,1\] is \+Inf`, "logits", 4),
		rejects(entropy("logits"), data{"logits": {1, 2, 3, -inf, -inf, -inf}}, `logits\[1,:\] are all -Inf`, "logits", 3),
	},
	Values: []value{
		{
			Build: entropy("logits"), Data: data{"logits": {0.5, -1, 2, 0}}, Want: []float64{0.878281175269},
			Gradients: data{"logits": {0.152751538719, 0.0871141654104, -0.380564982776, 0.140699278646}},
		},
		{
			Build: entropy("logits"), Data: data{"logits": {0.5, -inf, 2, 0}}, Want: []float64{0.751980449791},
			Gradients: data{"logits": {0.173182852983, 0, -0.328035387085, 0.154852534102}},
		},
		{
			Build: entropy("logits"), Data: data{"logits": {1e4, -1e4, -inf}}, Want: []float64{0},
			Gradients: data{"logits": {0, 0, 0}},
		},
	},
	NoGolden: "its values are those of the formula",
}

// CategoricalLogProb

func logProb(value, logits *G.Node, b *builder) *G.Node {
	return G.Must(ops.CategoricalLogProb(value, logits, optest.Options[ops.DistributionOption](b)...))
}

func logProbOf(value string) func(b *builder) *G.Node {
	return func(b *builder) *G.Node { return logProb(b.In(value), b.In("logits"), b) }
}

// maskedLogProb is that of a value that is 0 where the logits are masked: a sample.
func maskedLogProb(b *builder) *G.Node {
	masked := b.In("masked")
	return logProb(G.Must(ops.StopGradient(b.Soft(masked, b.Fixed("tau")))), masked, b)
}

var categoricalLogProb = optest.Row{
	Op: ops.CategoricalLogProb,
	Nodes: []node{
		{Name: "value", Build: logProbOf("value")},
		{Name: "targets", Build: logProbOf("targets")},
	},
	Gradients: []gradient{
		{Name: "value", Cost: weighed(logProbOf("value"))},
		{Name: "squared", Cost: squared(logProbOf("targets"))},
		{Name: "value alone", Cost: func(b *builder) *G.Node { return b.Weigh(logProb(b.In("value"), b.Fixed("logits"), b)) }},
		{Name: "logits alone", Cost: func(b *builder) *G.Node { return b.Weigh(logProb(b.Fixed("value"), b.In("logits"), b)) }},
		{Name: "one node twice", Cost: func(b *builder) *G.Node { return b.Weigh(logProb(b.In("logits"), b.In("logits"), b)) }},
		{Name: "of a soft sample, masked", Cost: func(b *builder) *G.Node {
			return b.Weigh(logProb(maskedSoft(b), b.In("masked"), b))
		}},
	},
	Masks: []node{{Name: "of a sample", Build: maskedLogProb}},
	BuildErrors: []buildError{
		fails("nil logits", func(b *builder) (*G.Node, error) { return ops.CategoricalLogProb(b.In("value"), nil) }, "logits is nil"),
		fails("nil value", func(b *builder) (*G.Node, error) { return ops.CategoricalLogProb(nil, b.In("logits")) }, "value is nil"),
		fails("integers", func(b *builder) (*G.Node, error) {
			return ops.CategoricalLogProb(b.In("value"), array(b, tensor.Int, 2, 6))
		}, "dtype int"),
		fails("shapes", func(b *builder) (*G.Node, error) {
			return ops.CategoricalLogProb(array(b, tensor.Float64, 6, 2), b.In("logits"))
		}, `value has shape \(6, 2\)`),
		fails("axis 2", func(b *builder) (*G.Node, error) {
			return ops.CategoricalLogProb(b.In("value"), b.In("logits"), ops.WithAxis(2))
		}, "axis 2 is out of range"),
		fails("no class", func(b *builder) (*G.Node, error) {
			return ops.CategoricalLogProb(array(b, tensor.Float64, 2, 0), array(b, tensor.Float64, 2, 0))
		}, "at least one class"),
	},
	RunErrors: []runError{
		rejects(logProbOf("value"), data{"logits": with(1, nan)}, `logits\[0,1\] is NaN`, "logits", 1),
		rejects(logProbOf("value"), data{"logits": with(4, inf)}, `logits\[1,1\] is \+Inf`, "logits", 4),
		rejects(logProbOf("value"), data{"logits": {1, 2, 3, -inf, -inf, -inf}}, `logits\[1,:\] are all -Inf`, "logits", 3),
		rejects(logProbOf("value"), data{"value": with(2, nan)}, `value\[0,2\] is NaN`, "value", 2),
		rejects(logProbOf("value"), data{"value": with(3, inf)}, `value\[1,0\] is \+Inf`, "value", 3),
		rejects(logProbOf("value"), data{"logits": with(4, -inf), "value": good},
			`value\[1,1\] is 5 but logits\[1,1\] is -Inf, so the log-probability is infinite: unmask the class`, "value", 4),
	},
	Values: []value{
		{
			Build: logProbOf("value"), Want: []float64{-1.29234958239},
			Data:      data{"logits": {0.5, -1, 2, 0}, "value": {0.1, 0.2, 0.6, 0.1}},
			Gradients: data{"logits": {-0.058444709515, 0.164646206591, -0.110099922886, 0.0038984258099}},
		},
		{
			Build: logProbOf("value"), Want: []float64{-1.84234958239},
			Data:      data{"logits": {0.5, -1, 2, 0}, "value": {1, 0, 0, 0}},
			Gradients: data{"value": {-1.84234958239, -3.34234958239, -0.34234958239, -2.34234958239}},
		},
		{
			Build: logProbOf("value"), Want: []float64{0},
			Data:      data{"logits": {1e4, -1e4, -inf}, "value": {1, 0, 0}},
			Gradients: data{"logits": {0, 0, 0}, "value": {0, -2e4, 0}},
		},
		{ // the probability underflows
			Build: logProbOf("value"), Want: []float64{-4e4},
			Data:      data{"logits": {1e4, -1e4, -inf}, "value": {0, 2, 0}},
			Gradients: data{"logits": {-2, 2, 0}},
		},
	},
	NoGolden: "its values are those of the formula",
}

// Perplexity

func perplexityOf(logits string) func(b *builder) *G.Node {
	return func(b *builder) *G.Node {
		return G.Must(ops.Perplexity(b.In(logits), optest.Options[ops.DistributionOption](b)...))
	}
}

// perplexityOfBlocks is the perplexity of blocks of four classes.
func perplexityOfBlocks(b *builder) *G.Node {
	return G.Must(ops.Perplexity(b.In("logits"), ops.WithClasses(4)))
}

var perplexity = optest.Row{
	Op:    ops.Perplexity,
	Nodes: []node{{Name: "perplexity", Build: perplexityOf("logits")}},
	Gradients: []gradient{
		{Name: "perplexity", Cost: weighed(perplexityOf("logits"))},
		{Name: "squared", Cost: squared(perplexityOf("logits"))},
		{Name: "masked", Cost: weighed(perplexityOf("masked"))},
		{Name: "beside a mean entropy", Cost: func(b *builder) *G.Node {
			return plus(b.Weigh(perplexityOf("logits")(b)), b.Weigh(entropy("logits")(b)))
		}},
	},
	Masks: []node{{Name: "perplexity", Build: perplexityOf("masked")}},
	BuildErrors: []buildError{
		fails("nil", func(b *builder) (*G.Node, error) { return ops.Perplexity(nil) }, "logits is nil"),
		fails("integers", func(b *builder) (*G.Node, error) { return ops.Perplexity(array(b, tensor.Int, 2, 6)) }, "dtype int"),
		fails("a scalar", func(b *builder) (*G.Node, error) { return ops.Perplexity(b.In("tau")) }, "a scalar has no axis"),
		fails("axis 2", func(b *builder) (*G.Node, error) {
			return ops.Perplexity(b.In("logits"), ops.WithAxis(2))
		}, "axis 2 is out of range"),
		fails("5 classes", func(b *builder) (*G.Node, error) {
			return ops.Perplexity(b.In("logits"), ops.WithClasses(5))
		}, "5 classes do not divide the last axis"),
		fails("no class", func(b *builder) (*G.Node, error) {
			return ops.Perplexity(array(b, tensor.Float64, 2, 0))
		}, "at least one class"),
		fails("no distribution", func(b *builder) (*G.Node, error) {
			return ops.Perplexity(array(b, tensor.Float64, 0, 2))
		}, `logits has shape \(0, 2\), want at least one distribution: the mean of none is undefined`),
		fails("no distribution in two blocks", func(b *builder) (*G.Node, error) {
			return ops.Perplexity(array(b, tensor.Float64, 3, 0, 4), ops.WithClasses(2))
		}, "at least one distribution"),
	},
	RunErrors: []runError{
		rejects(perplexityOf("logits"), data{"logits": with(1, nan)}, `logits\[0,1\] is NaN`, "logits", 1),
		rejects(perplexityOf("logits"), data{"logits": with(4, inf)}, `logits\[1,1\] is \+Inf`, "logits", 4),
		rejects(perplexityOf("logits"), data{"logits": {1, 2, 3, -inf, -inf, -inf}}, `logits\[1,:\] are all -Inf`, "logits", 3),
		rejects(func(b *builder) *G.Node {
			return G.Must(ops.Perplexity(b.In("logits"), ops.WithClasses(1)))
		}, data{"logits": with(5, -inf)}, `logits\[1,2:3\] are all -Inf`, "logits", 5),
	},
	Values: []value{
		{
			Build: perplexityOf("logits"), Shape: tensor.Shape{2, 4}, Want: []float64{3.59502242484},
			Data: data{"logits": {0.5, -1, 2, 0, 1, 0.3, -0.2, 0.4}},
			Gradients: data{"logits": {
				0.0486075304811, 0.0656018537161, -0.242482380812, 0.128272996615,
				-0.20667108717, 0.225127576219, -0.145454287501, 0.126997798452,
			}},
		},
		{ // each block is its own mean
			Build: perplexityOfBlocks, Shape: tensor.Shape{8}, Want: []float64{2.40675935167, 3.65263200015},
			Data: data{"logits": {0.5, -1, 2, 0, 1, 0.3, -0.2, 0.4}},
			Gradients: data{"logits": {
				0.367636194293, 0.209662832264, -0.915928331213, 0.338629304655,
				-0.688757528526, 0.199051778125, 0.355145854379, 0.134559896021,
			}},
		},
		{ // two blocks, of two distributions each
			Build: perplexityOfBlocks, Shape: tensor.Shape{2, 8}, Want: []float64{3.59502242484, 4},
			Data: data{"logits": {0.5, -1, 2, 0, 5, 5, 5, 5, 1, 0.3, -0.2, 0.4, -3, -3, -3, -3}},
			Gradients: data{"logits": {
				0.0486075304811, 0.0656018537161, -0.242482380812, 0.128272996615, 0, 0, 0, 0,
				-0.20667108717, 0.225127576219, -0.145454287501, 0.126997798452, 0, 0, 0, 0,
			}},
		},
		{ // one class is masked in both distributions, another one in the second
			Build: perplexityOf("logits"), Shape: tensor.Shape{2, 4}, Want: []float64{2.91695234611},
			Data:      data{"logits": {0.5, -inf, 2, 0, 1, -inf, -inf, 0.4}},
			Gradients: data{"logits": {-0.030660202845, 0, -0.0348561910805, 0.0655163939255, -0.193163684584, 0, 0, 0.193163684584}},
		},
		{ // the distributions are certain of different classes
			Build: perplexityOf("logits"), Shape: tensor.Shape{2, 3}, Want: []float64{2},
			Data:      data{"logits": {1e4, -1e4, -inf, -1e4, 1e4, -inf}},
			Gradients: data{"logits": {0, 0, 0, 0, 0, 0}},
		},
		{ // they are certain of the same class
			Build: perplexityOf("logits"), Shape: tensor.Shape{2, 3}, Want: []float64{1},
			Data:      data{"logits": {1e4, -1e4, 0, 1e4, -1e4, -inf}},
			Gradients: data{"logits": {0, 0, 0, 0, 0, 0}},
		},
	},
	Golden: optest.GoldenPerplexity,
}

// ConcreteLogProb

func concrete(value, logits, tau *G.Node, b *builder) *G.Node {
	return G.Must(ops.ConcreteLogProb(value, logits, tau, optest.Options[ops.DistributionOption](b)...))
}

func concreteOfValue(b *builder) *G.Node {
	return concrete(b.In("value"), b.In("logits"), b.In("tau"), b)
}

// concreteOfSample is that of a sample, which is -Inf where the logits are masked, at
// another temperature than the sample's.
func concreteOfSample(logits string) func(b *builder) *G.Node {
	return func(b *builder) *G.Node {
		l := b.In(logits)
		return concrete(b.Soft(l, b.In("tau"), ops.WithLogSpace()), l, G.Must(G.Exp(b.In("theta"))), b)
	}
}

var concreteLogProb = optest.Row{
	Op: ops.ConcreteLogProb,
	Nodes: []node{
		{Name: "value", Build: concreteOfValue},
		{Name: "tau constant", Build: func(b *builder) *G.Node { return concrete(b.In("value"), b.In("logits"), b.Constant(0.7), b) }},
	},
	Gradients: []gradient{
		{Name: "value", Cost: weighed(concreteOfValue)},
		{Name: "squared", Cost: squared(concreteOfValue)},
		{Name: "value alone", Cost: func(b *builder) *G.Node {
			return b.Weigh(concrete(b.In("value"), b.Fixed("logits"), b.Fixed("tau"), b))
		}},
		{Name: "logits alone", Cost: func(b *builder) *G.Node {
			return b.Weigh(concrete(b.Fixed("value"), b.In("logits"), b.Fixed("tau"), b))
		}},
		{Name: "tau alone", Cost: func(b *builder) *G.Node {
			return b.Weigh(concrete(b.Fixed("value"), b.Fixed("logits"), b.In("tau"), b))
		}},
		{Name: "one node twice", Cost: func(b *builder) *G.Node {
			return b.Weigh(concrete(b.In("logits"), b.In("logits"), b.In("tau"), b))
		}},
		{Name: "of a sample", Cost: weighed(concreteOfSample("logits"))},
		{Name: "of a masked sample", Cost: weighed(concreteOfSample("masked"))},
		{Name: "divergence of two temperatures", Cost: func(b *builder) *G.Node {
			tau := b.In("tau")
			y := b.Soft(b.In("logits"), tau, ops.WithLogSpace())
			posterior, prior := concrete(y, b.In("logits"), tau, b), concrete(y, b.In("p"), b.Constant(0.5), b)
			return b.Weigh(G.Must(G.Sub(posterior, prior)))
		}},
	},
	Masks: []node{{Name: "of a sample", Build: concreteOfSample("masked")}},
	BuildErrors: []buildError{
		fails("nil logits", func(b *builder) (*G.Node, error) { return ops.ConcreteLogProb(b.In("value"), nil, b.In("tau")) }, "logits is nil"),
		fails("nil value", func(b *builder) (*G.Node, error) { return ops.ConcreteLogProb(nil, b.In("logits"), b.In("tau")) }, "value is nil"),
		fails("nil tau", func(b *builder) (*G.Node, error) { return ops.ConcreteLogProb(b.In("value"), b.In("logits"), nil) }, "tau is nil"),
		fails("integers", func(b *builder) (*G.Node, error) {
			return ops.ConcreteLogProb(b.In("value"), array(b, tensor.Int, 2, 6), b.In("tau"))
		}, "dtype int"),
		fails("shapes", func(b *builder) (*G.Node, error) {
			return ops.ConcreteLogProb(array(b, tensor.Float64, 6, 2), b.In("logits"), b.In("tau"))
		}, `value has shape \(6, 2\)`),
		fails("tau a vector", func(b *builder) (*G.Node, error) {
			return ops.ConcreteLogProb(b.In("value"), b.In("logits"), array(b, tensor.Float64, 1))
		}, `tau has shape \(1\)`),
		fails("axis 2", func(b *builder) (*G.Node, error) {
			return ops.ConcreteLogProb(b.In("value"), b.In("logits"), b.In("tau"), ops.WithAxis(2))
		}, "axis 2 is out of range"),
		fails("no class", func(b *builder) (*G.Node, error) {
			return ops.ConcreteLogProb(array(b, tensor.Float64, 2, 0), array(b, tensor.Float64, 2, 0), b.In("tau"))
		}, "at least one class"),
	},
	RunErrors: []runError{
		rejects(concreteOfValue, data{"tau": {0}}, `tau is 0, want a positive`, "tau", 0),
		rejects(concreteOfValue, data{"tau": {-1}}, `tau is -1`, "tau", 0),
		rejects(concreteOfValue, data{"tau": {nan}}, `tau is NaN`, "tau", 0),
		rejects(concreteOfValue, data{"tau": {inf}}, `tau is \+Inf`, "tau", 0),
		rejects(concreteOfValue, data{"logits": with(1, nan)}, `logits\[0,1\] is NaN`, "logits", 1),
		rejects(concreteOfValue, data{"logits": with(4, inf)}, `logits\[1,1\] is \+Inf`, "logits", 4),
		rejects(concreteOfValue, data{"logits": {1, 2, 3, -inf, -inf, -inf}}, `logits\[1,:\] are all -Inf`, "logits", 3),
		rejects(concreteOfValue, data{"value": with(2, nan)}, `value\[0,2\] is NaN`, "value", 2),
		rejects(concreteOfValue, data{"value": with(3, inf)}, `value\[1,0\] is \+Inf`, "value", 3),
		rejects(concreteOfValue, data{"logits": with(4, -inf), "value": good},
			`value\[1,1\] is 5 but logits\[1,1\] is -Inf, so the density is 0: set the value to -Inf or unmask the class`, "value", 4),
		rejects(concreteOfValue, data{"value": with(4, -inf)},
			`value\[1,1\] is -Inf but logits\[1,1\] is not, so the density is undefined: draw the sample in log space`, "value", 4),
	},
	Values: []value{
		{ // a sample, whose exponential noise is 0.7, 1.9, 0.2
			Build: concreteOfValue, Want: []float64{-4.433319929061433},
			Data: data{"logits": {0.5, -1, 2}, "tau": {0.7}, "value": {-3.952464600612348, -7.521791500771101, -0.019946074190393404}},
			Gradients: data{
				"logits": {0.25, -29. / 28, 11. / 14}, "value": {-0.175, 0.725, -0.55}, "tau": {-3.9294959887816643},
			},
		},
		{
			Build: concreteOfValue, Want: []float64{-4.433319929061433},
			Data: data{"logits": {0.5, -inf, -1, 2}, "tau": {0.7}, "value": {-3.952464600612348, -inf, -7.521791500771101, -0.019946074190393404}},
			Gradients: data{
				"logits": {0.25, 0, -29. / 28, 11. / 14}, "value": {-0.175, 0, 0.725, -0.55}, "tau": {-3.9294959887816643},
			},
		},
		{ // large terms that cancel
			Build: concreteOfValue, Want: []float64{-4.800090586763892},
			Data: data{"logits": {1e4, -1e4, 0}, "tau": {0.5}, "value": {2e4, -2e4, -3}},
			Gradients: data{
				"logits": {0.5371576810543414, 0.5371576810543414, -1.074315362108683},
				"value":  {-0.2685788405271707, -0.2685788405271707, 0.5371576810543415}, "tau": {0.7770539136739512},
			},
		},
		{ // one class
			Build: concreteOfValue, Want: []float64{0},
			Data:      data{"logits": {-inf, 1e4, -inf}, "tau": {0.1}, "value": {-inf, -0.3, -inf}},
			Gradients: data{"logits": {0, 0, 0}, "value": {0, 0, 0}, "tau": {0}},
		},
	},
	Golden: optest.GoldenConcreteLogProb,
}

// StopGradient

func stopped(b *builder) *G.Node { return G.Must(ops.StopGradient(b.In("x"))) }

var stopGradient = optest.Row{
	Op: ops.StopGradient,
	Nodes: []node{
		{Name: "of an array", Exact: true, Build: stopped},
		{Name: "of a scalar", Exact: true, Build: func(b *builder) *G.Node { return G.Must(ops.StopGradient(b.In("tau"))) }},
	},
	Gradients: []gradient{
		{
			Name: "as a factor",
			Cost: func(b *builder) *G.Node { return b.Weigh(mul(stopped(b), b.In("x"))) },
			Surrogate: func(b *builder) *G.Node { // with a copy of x that stays as it is
				x := b.In("x")
				b.Input("copy", x.Shape(), x.Value().Data().([]float64))
				return b.Weigh(mul(b.Fixed("copy"), x))
			},
		},
	},
	NoGradient: true,
	BuildErrors: []buildError{
		fails("nil", func(b *builder) (*G.Node, error) { return ops.StopGradient(nil) }, "x is nil"),
		fails("integers", func(b *builder) (*G.Node, error) { return ops.StopGradient(array(b, tensor.Int, 2)) }, "dtype int"),
	},
	NoGolden: "it is the identity",
}

// BernoulliKL

func bernoulliDivergence(q, p string) func(b *builder) *G.Node {
	return func(b *builder) *G.Node { return G.Must(ops.BernoulliKL(b.In(q), b.In(p))) }
}

func ofFairCoin(b *builder) *G.Node { return G.Must(ops.BernoulliKL(b.In("q"), nil)) }

var bernoulliKL = optest.Row{
	Op: ops.BernoulliKL,
	Nodes: []node{
		{Name: "of two", Build: bernoulliDivergence("q", "p")},
		{Name: "of the fair coin", Build: ofFairCoin},
	},
	Gradients: []gradient{
		{Name: "of two", Cost: weighed(bernoulliDivergence("q", "p"))},
		{Name: "squared", Cost: squared(bernoulliDivergence("q", "p"))},
		{Name: "of the fair coin", Cost: squared(ofFairCoin)},
		{Name: "of itself", Cost: func(b *builder) *G.Node { return optest.Term(b.Weigh(bernoulliDivergence("q", "q")(b)), b.In("q")) }},
		{Name: "there and back", Cost: func(b *builder) *G.Node {
			return plus(b.Weigh(bernoulliDivergence("q", "p")(b)), b.Weigh(bernoulliDivergence("p", "q")(b)))
		}},
	},
	BuildErrors: []buildError{
		fails("nil", func(b *builder) (*G.Node, error) { return ops.BernoulliKL(nil, b.In("p")) }, "q is nil"),
		fails("integers", func(b *builder) (*G.Node, error) { return ops.BernoulliKL(array(b, tensor.Int, 2, 6), nil) }, "q has dtype int"),
		fails("shapes", func(b *builder) (*G.Node, error) {
			return ops.BernoulliKL(b.In("q"), array(b, tensor.Float64, 6, 2))
		}, `p has shape \(6, 2\)`),
		fails("dtypes", func(b *builder) (*G.Node, error) {
			return ops.BernoulliKL(b.In("q"), array(b, tensor.Float32, 2, 6))
		}, "p has dtype float32"),
	},
	RunErrors: []runError{
		rejects(bernoulliDivergence("q", "p"), data{"q": with(1, nan)}, `q\[0,1\] is NaN`, "q", 1),
		rejects(bernoulliDivergence("q", "p"), data{"p": with(4, nan)}, `p\[1,1\] is NaN`, "p", 4),
		rejects(ofFairCoin, data{"q": with(5, nan)}, `q\[1,2\] is NaN`, "q", 5),
		rejects(bernoulliDivergence("q", "p"), data{"p": with(3, inf)}, `p\[1,0\] is \+Inf but q\[1,0\] is not, so the divergence is infinite: bound`, "p", 3),
		rejects(bernoulliDivergence("q", "p"), data{"q": with(2, inf), "p": with(2, -inf)}, `p\[0,2\] is -Inf but q\[0,2\] is not`, "p", 2),
	},
	Values: []value{
		{
			Build: bernoulliDivergence("q", "p"), Data: data{"q": {0.8, 3, -1e4}, "p": {-0.4, 3, -1e4}}, Want: []float64{0.169883963805, 0, 0},
			Gradients: data{"q": {0.256691635824, 0, 0}, "p": {-0.28866214124, 0, 0}},
		},
		{
			Build: ofFairCoin, Data: data{"q": {0.8, 1e4, -1e4, 0}}, Want: []float64{0.074026099514, math.Ln2, math.Ln2, 0},
			Gradients: data{"q": {0.171127757216, 0, 0, 0}},
		},
		{ // one is far from the other
			Build: bernoulliDivergence("q", "p"), Data: data{"q": {1e4, -1e4, 0}, "p": {-1e4, 1e4, 1e4}}, Want: []float64{1e4, 1e4, 5e3 - math.Ln2},
			Gradients: data{"q": {0, 0, -2500}, "p": {-1, 1, 0.5}},
		},
		{ // certain outcomes
			Build: bernoulliDivergence("q", "p"), Data: data{"q": {inf, -inf, inf, -inf}, "p": {2, 2, inf, -inf}},
			Want:      []float64{0.126928011043, 2.126928011043, 0, 0},
			Gradients: data{"q": {0, 0, 0, 0}, "p": {-0.119202922022, 0.880797077978, 0, 0}},
		},
	},
	Golden: optest.GoldenBernoulliKL,
}

// RelaxedBernoulliLogProb

func density(value, logits, tau *G.Node) *G.Node {
	return G.Must(ops.RelaxedBernoulliLogProb(value, logits, tau))
}

func densityOf(b *builder) *G.Node { return density(b.In("value"), b.In("logits"), b.In("tau")) }

// ownDensity is that of a sample.
func ownDensity(logits string) func(b *builder) *G.Node {
	return func(b *builder) *G.Node {
		return density(b.Relaxed(b.In(logits), b.In("tau"), ops.WithLogSpace()), b.In(logits), b.In("tau"))
	}
}

func otherDensity(b *builder) *G.Node {
	return density(b.Relaxed(b.In("q"), b.In("tau"), ops.WithLogSpace()), b.In("logits"), b.In("tau"))
}

var relaxedBernoulliLogProb = optest.Row{
	Op: ops.RelaxedBernoulliLogProb,
	Nodes: []node{
		{Name: "of an array", Build: densityOf},
		{Name: "of another distribution's sample", Build: otherDensity},
	},
	Gradients: []gradient{
		{Name: "of an array", Cost: weighed(densityOf)},
		{Name: "squared", Cost: squared(densityOf)},
		{Name: "of a sample", Cost: weighed(ownDensity("logits"))},
		{Name: "of another distribution's sample", Cost: weighed(otherDensity)},
		{Name: "value alone", Cost: func(b *builder) *G.Node { return b.Weigh(density(b.In("value"), b.Fixed("logits"), b.Fixed("tau"))) }},
		{Name: "logits alone", Cost: func(b *builder) *G.Node { return b.Weigh(density(b.Fixed("value"), b.In("logits"), b.Fixed("tau"))) }},
		{Name: "tau learned", Cost: func(b *builder) *G.Node {
			return b.Weigh(density(b.Fixed("value"), b.Fixed("logits"), G.Must(G.Exp(b.In("theta")))))
		}},
		{Name: "one node twice", Cost: func(b *builder) *G.Node { return b.Weigh(density(b.In("x"), b.In("x"), b.In("tau"))) }},
	},
	Masks: []node{
		{Name: "one node twice", Build: func(b *builder) *G.Node { return density(b.In("masked"), b.In("masked"), b.In("tau")) }},
		{Name: "of a sample", Build: ownDensity("masked")},
	},
	BuildErrors: []buildError{
		fails("nil value", func(b *builder) (*G.Node, error) {
			return ops.RelaxedBernoulliLogProb(nil, b.In("logits"), b.In("tau"))
		}, "value is nil"),
		fails("nil logits", func(b *builder) (*G.Node, error) {
			return ops.RelaxedBernoulliLogProb(b.In("value"), nil, b.In("tau"))
		}, "logits is nil"),
		fails("nil tau", func(b *builder) (*G.Node, error) {
			return ops.RelaxedBernoulliLogProb(b.In("value"), b.In("logits"), nil)
		}, "tau is nil"),
		fails("integers", func(b *builder) (*G.Node, error) {
			return ops.RelaxedBernoulliLogProb(b.In("value"), array(b, tensor.Int, 2, 6), b.In("tau"))
		}, "logits has dtype int"),
		fails("shapes", func(b *builder) (*G.Node, error) {
			return ops.RelaxedBernoulliLogProb(array(b, tensor.Float64, 6, 2), b.In("logits"), b.In("tau"))
		}, `value has shape \(6, 2\)`),
		fails("tau a vector", func(b *builder) (*G.Node, error) {
			return ops.RelaxedBernoulliLogProb(b.In("value"), b.In("logits"), array(b, tensor.Float64, 1))
		}, `tau has shape \(1\)`),
	},
	RunErrors: []runError{
		rejects(densityOf, data{"tau": {0}}, `tau is 0, want a positive`, "tau", 0),
		rejects(densityOf, data{"tau": {inf}}, `tau is \+Inf`, "tau", 0),
		rejects(densityOf, data{"tau": {nan}}, `tau is NaN`, "tau", 0),
		rejects(densityOf, data{"logits": with(3, nan)}, `logits\[1,0\] is NaN`, "logits", 3),
		rejects(densityOf, data{"value": with(2, nan)}, `value\[0,2\] is NaN`, "value", 2),
		rejects(densityOf, data{"value": with(2, inf)}, `value\[0,2\] is \+Inf`, "value", 2),
		rejects(densityOf, data{"logits": with(4, inf), "value": good},
			`value\[1,1\] is 5 but logits\[1,1\] makes another outcome certain, so the density is 0: bound`, "value", 4),
		rejects(densityOf, data{"logits": with(0, -inf), "value": with(0, inf)}, `value\[0,0\] is \+Inf but logits\[0,0\] makes another`, "value", 0),
	},
	Values: []value{
		{
			Build: densityOf, Data: data{"logits": {0.8}, "value": {-0.078829767312}, "tau": {0.6}}, Want: []float64{-2.07147337203},
			Gradients: data{"logits": {-0.4}, "value": {0.24}, "tau": {1.63513475974}},
		},
		{
			Build: densityOf, Data: data{"logits": {1e4, -1e4, 0}, "value": {0, 0, 1e4}, "tau": {0.5}},
			Want:      []float64{-1e4 - math.Ln2, -1e4 - math.Ln2, -5e3 - math.Ln2},
			Gradients: data{"logits": {-1, 1, 1}, "value": {0.5, -0.5, -0.5}, "tau": {6 - 1e4}},
		},
		{ // certain outcomes, beside an uncertain one
			Build: densityOf, Data: data{"logits": {inf, -inf, 0}, "value": {inf, -inf, 0}, "tau": {2}}, Want: []float64{0, 0, -math.Ln2},
			Gradients: data{"logits": {0, 0, 0}, "value": {0, 0, 0}, "tau": {0.5}},
		},
	},
	Golden: optest.GoldenRelaxedBernoulliLogProb,
}
