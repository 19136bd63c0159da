package gumbel_test

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/gradcheck"
	"github.com/gumbel-go/gumbel/ops"
)

// layout is a shape and where its distributions lie.
type layout struct {
	shape   tensor.Shape
	axis    int
	classes int  // for WithClasses; 0: WithAxis
	plain   bool // neither: the last axis, by default
}

// layouts are small shapes of ranks 1 to 4, with every axis counted from both ends.
func layouts() []layout {
	ls := []layout{
		{shape: tensor.Shape{6}, classes: 3},
		{shape: tensor.Shape{2, 6}, classes: 2},
		{shape: tensor.Shape{2, 2, 6}, classes: 3},
		{shape: tensor.Shape{1, 2, 2, 4}, classes: 4},
		{shape: tensor.Shape{2, 3}, classes: 1},
	}
	for _, shape := range []tensor.Shape{{4}, {3, 4}, {2, 3, 2}, {2, 2, 3, 2}, {3, 1}} {
		ls = append(ls, layout{shape: shape, axis: -1, plain: true})
		for axis := -shape.Dims(); axis < shape.Dims(); axis++ {
			ls = append(ls, layout{shape: shape, axis: axis})
		}
	}
	return ls
}

func (l layout) String() string {
	switch {
	case l.plain:
		return fmt.Sprint(l.shape)
	case l.classes > 0:
		return fmt.Sprintf("%v blocks of %d", l.shape, l.classes)
	}
	return fmt.Sprintf("%v axis %d", l.shape, l.axis)
}

func (l layout) options() []ops.DistributionOption {
	switch {
	case l.plain:
		return nil
	case l.classes > 0:
		return []ops.DistributionOption{ops.WithClasses(l.classes)}
	}
	return []ops.DistributionOption{ops.WithAxis(l.axis)}
}

func (l layout) distributions() [][]int {
	if l.classes > 0 {
		return distributions(tensor.Shape{l.shape.TotalSize() / l.classes, l.classes}, -1)
	}
	return distributions(l.shape, l.axis)
}

// env is what a row of the table builds its cost from.
type env struct {
	layout
	g      *G.ExprGraph
	in     map[string]*G.Node
	source *ops.Source
}

// opts are the layout's options, those given, and the source.
func (e env) opts(more ...ops.GumbelSoftmaxOption) []ops.GumbelSoftmaxOption {
	return append(e.withLayout(more), ops.WithSource(e.source))
}

func (e env) withLayout(more []ops.GumbelSoftmaxOption) []ops.GumbelSoftmaxOption {
	for _, o := range e.options() {
		more = append(more, o)
	}
	return more
}

// given is a soft sample with the noise given.
func (e env) given(logits, tau string, noise *G.Node, more ...ops.GumbelSoftmaxOption) *G.Node {
	more = append(e.withLayout(more), ops.WithNoise(noise))
	return G.Must(ops.GumbelSoftmax(e.in[logits], e.in[tau], more...))
}

func (e env) categorical(more ...ops.CategoricalOption) []ops.CategoricalOption {
	for _, o := range e.options() {
		more = append(more, o)
	}
	return more
}

func (e env) soft(logits, tau string, more ...ops.GumbelSoftmaxOption) *G.Node {
	return G.Must(ops.GumbelSoftmax(e.in[logits], e.in[tau], e.opts(more...)...))
}

func (e env) hard(logits, tau string, more ...ops.GumbelSoftmaxOption) *G.Node {
	return e.soft(logits, tau, append(more, ops.WithHard())...)
}

// weigh is a cost linear in y, with weights that no symmetry of y can hide behind.
func (e env) weigh(y *G.Node) *G.Node {
	w := make(floats, y.Shape().TotalSize())
	for i := range w {
		w[i] = math.Sin(float64(3*i + 1))
	}
	return dot(y, input(e.g, tensor.Float64, "weights", y.Shape(), w))
}

func (e env) weighSquare(y *G.Node) *G.Node { return e.weigh(G.Must(G.Square(y))) }

func (e env) kl(q, p *G.Node) *G.Node { return G.Must(ops.CategoricalKL(q, p, e.options()...)) }

// variable is an input of a cost.
type variable struct {
	name  string
	shape tensor.Shape // empty for a scalar
	data  floats
	fixed bool // not differentiated by
}

// data returns numbers for the input called name, the same for each name and shape.
func (l layout) data(name string) variable {
	h := fnv.New64a()
	fmt.Fprint(h, name, l.shape)
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	switch name {
	case "tau":
		return variable{name: name, data: floats{0.8}}
	case "theta":
		return variable{name: name, data: floats{-0.4}}
	}
	in := variable{name: name, shape: l.shape, data: make(floats, l.shape.TotalSize())}
	for i := range in.data {
		in.data[i] = rng.NormFloat64()
		if name == "targets" {
			in.data[i] = rng.Float64()
		}
	}
	if name == "masked" || name == "maskedToo" {
		l.mask(in.data)
	}
	return in
}

// mask puts one class of each distribution at -Inf, and in every third all but one.
func (l layout) mask(data []float64) {
	for r, d := range l.distributions() {
		keep := len(d) - 1
		if r%3 == 2 {
			keep = 1
		}
		for k := max(keep, 1); k < len(d); k++ {
			data[d[(r+k)%len(d)]] = math.Inf(-1)
		}
	}
}

// gradientTest is a cost and, where that has jumps, the smooth one whose gradient it borrows.
type gradientTest struct {
	name      string
	inputs    []string
	cost      func(e env) *G.Node
	surrogate func(e env) *G.Node
	axisless  bool // the op has no axis: one layout of each shape will do
}

func list(names ...string) []string { return names }

// term is y plus the sum of squares of x: x then has a second way into the cost.
func term(y, x *G.Node) *G.Node { return G.Must(G.Add(y, G.Must(G.Sum(G.Must(G.Square(x)))))) }

var gumbelSoftmaxTests = []gradientTest{
	{name: "soft", inputs: list("logits", "tau"), cost: func(e env) *G.Node {
		return e.weighSquare(e.soft("logits", "tau"))
	}},
	{name: "soft, noise given", inputs: list("logits", "tau", "noise"), cost: func(e env) *G.Node {
		return e.weighSquare(e.given("logits", "tau", e.in["noise"]))
	}},
	{name: "soft, tau constant", inputs: list("logits"), cost: func(e env) *G.Node {
		return e.weigh(G.Must(ops.GumbelSoftmax(e.in["logits"], G.NewConstant(0.7), e.opts()...)))
	}},
	{name: "soft, tau learned", inputs: list("logits", "theta"), cost: func(e env) *G.Node {
		e.in["exp(theta)"] = G.Must(G.Exp(e.in["theta"]))
		return e.weigh(e.soft("logits", "exp(theta)"))
	}},
	{name: "soft, masked", inputs: list("masked", "tau"), cost: func(e env) *G.Node {
		return e.weighSquare(e.soft("masked", "tau"))
	}},
	{name: "soft, masked, noise given", inputs: list("masked", "tau", "noise"), cost: func(e env) *G.Node {
		return e.weigh(e.given("masked", "tau", e.in["noise"]))
	}},
	{name: "soft, of an expression", inputs: list("logits", "tau"), cost: func(e env) *G.Node {
		e.in["squares"] = G.Must(G.Square(e.in["logits"]))
		return e.weigh(e.soft("squares", "tau"))
	}},
	{name: "soft, logits used twice", inputs: list("logits", "tau"), cost: func(e env) *G.Node {
		return term(e.weigh(e.soft("logits", "tau")), e.in["logits"])
	}},
	{name: "soft, KL of the same logits", inputs: list("logits", "tau"), cost: func(e env) *G.Node {
		return G.Must(G.Add(e.weigh(e.soft("logits", "tau")), e.weigh(e.kl(e.in["logits"], nil))))
	}},
	{name: "two samplers", inputs: list("logits", "tau"), cost: func(e env) *G.Node {
		return e.weigh(G.Must(G.HadamardProd(e.soft("logits", "tau"), e.soft("logits", "tau"))))
	}},
	{name: "two samplers, one noise", inputs: list("logits", "tau", "noise"), cost: func(e env) *G.Node {
		noise := e.in["noise"]
		return e.weigh(G.Must(G.HadamardProd(e.given("logits", "tau", noise), e.given("logits", "tau", noise))))
	}},
	{name: "sampler of a sample", inputs: list("logits", "tau"), cost: func(e env) *G.Node {
		e.in["sample"] = e.soft("logits", "tau")
		return e.weigh(e.soft("sample", "tau"))
	}},
	{name: "hard", inputs: list("logits", "tau"),
		cost:      func(e env) *G.Node { return e.weigh(e.hard("logits", "tau")) },
		surrogate: func(e env) *G.Node { return e.weigh(e.soft("logits", "tau")) }},
	{name: "hard, noise given", inputs: list("logits", "tau", "noise"),
		cost:      func(e env) *G.Node { return e.weigh(e.given("logits", "tau", e.in["noise"], ops.WithHard())) },
		surrogate: func(e env) *G.Node { return e.weigh(e.given("logits", "tau", e.in["noise"])) }},
	{name: "hard, masked", inputs: list("masked", "tau"),
		cost:      func(e env) *G.Node { return e.weigh(e.hard("masked", "tau")) },
		surrogate: func(e env) *G.Node { return e.weigh(e.soft("masked", "tau")) }},
	{name: "hard, logits used twice", inputs: list("logits", "tau"),
		cost:      func(e env) *G.Node { return term(e.weigh(e.hard("logits", "tau")), e.in["logits"]) },
		surrogate: func(e env) *G.Node { return term(e.weigh(e.soft("logits", "tau")), e.in["logits"]) }},
}

var otherTests = []gradientTest{
	{name: "StraightThrough", inputs: list("x"),
		cost:      func(e env) *G.Node { return e.weigh(G.Must(ops.StraightThrough(e.in["x"], e.options()...))) },
		surrogate: func(e env) *G.Node { return e.weigh(e.in["x"]) }},
	{name: "StraightThrough of a sample", inputs: list("logits", "tau"),
		cost: func(e env) *G.Node {
			return e.weigh(G.Must(ops.StraightThrough(e.soft("logits", "tau"), e.options()...)))
		},
		surrogate: func(e env) *G.Node { return e.weigh(e.soft("logits", "tau")) }},
	{name: "Categorical", inputs: list("logits", "x"), cost: func(e env) *G.Node {
		y := G.Must(ops.Categorical(e.in["logits"], e.categorical(ops.WithSource(e.source))...))
		return term(e.weigh(G.Must(G.HadamardProd(y, e.in["x"]))), e.in["logits"])
	}},
	{name: "Categorical, noise given", inputs: list("logits", "noise"), cost: func(e env) *G.Node {
		y := G.Must(ops.Categorical(e.in["logits"], e.categorical(ops.WithNoise(e.in["noise"]))...))
		return term(term(e.weigh(y), e.in["logits"]), e.in["noise"])
	}},
	{name: "CategoricalKL", inputs: list("q", "p"), cost: func(e env) *G.Node {
		return e.weigh(e.kl(e.in["q"], e.in["p"]))
	}},
	{name: "CategoricalKL, squared", inputs: list("q", "p"), cost: func(e env) *G.Node {
		return e.weighSquare(e.kl(e.in["q"], e.in["p"]))
	}},
	{name: "CategoricalKL, uniform", inputs: list("q"), cost: func(e env) *G.Node {
		return e.weigh(e.kl(e.in["q"], nil))
	}},
	{name: "CategoricalKL, of itself", inputs: list("q"), cost: func(e env) *G.Node {
		return term(e.weigh(e.kl(e.in["q"], e.in["q"])), e.in["q"])
	}},
	{name: "CategoricalKL, there and back", inputs: list("q", "p"), cost: func(e env) *G.Node {
		return G.Must(G.Add(e.weigh(e.kl(e.in["q"], e.in["p"])), e.weigh(e.kl(e.in["p"], e.in["q"]))))
	}},
	{name: "CategoricalKL, q masked", inputs: list("masked", "p"), cost: func(e env) *G.Node {
		return e.weigh(e.kl(e.in["masked"], e.in["p"]))
	}},
	{name: "CategoricalKL, both masked", inputs: list("masked", "maskedToo"), cost: func(e env) *G.Node {
		return e.weigh(e.kl(e.in["masked"], e.in["maskedToo"]))
	}},
	{name: "CategoricalKL, masked, uniform", inputs: list("masked"), cost: func(e env) *G.Node {
		return e.weigh(e.kl(e.in["masked"], nil))
	}},
	{name: "BCEWithLogits", inputs: list("logits", "targets"), axisless: true, cost: func(e env) *G.Node {
		return e.weighSquare(G.Must(ops.BCEWithLogits(e.in["logits"], e.in["targets"])))
	}},
	{name: "BCEWithLogits, of itself", inputs: list("x"), axisless: true, cost: func(e env) *G.Node {
		return e.weigh(G.Must(ops.BCEWithLogits(e.in["x"], e.in["x"])))
	}},
	{name: "Gumbel", inputs: list("x"), axisless: true, cost: func(e env) *G.Node {
		return e.weigh(G.Must(G.HadamardProd(e.in["x"], e.gumbel())))
	}},
	{name: "Gumbel, loc and scale", inputs: list("x"), axisless: true,
		cost: func(e env) *G.Node {
			return e.weigh(G.Must(G.HadamardProd(e.in["x"], e.gumbel(ops.WithLoc(1.5), ops.WithScale(0.25)))))
		},
		surrogate: func(e env) *G.Node { return e.shiftedNoise(e.gumbel()) }},
	{name: "GumbelLike", inputs: list("x"), axisless: true, cost: func(e env) *G.Node {
		return e.weigh(G.Must(G.HadamardProd(e.in["x"], e.gumbelLike())))
	}},
	{name: "GumbelLike, loc and scale", inputs: list("x"), axisless: true,
		cost: func(e env) *G.Node {
			return e.weigh(G.Must(G.HadamardProd(e.in["x"], e.gumbelLike(ops.WithLoc(1.5), ops.WithScale(0.25)))))
		},
		surrogate: func(e env) *G.Node { return e.shiftedNoise(e.gumbelLike()) }},
	{name: "GumbelLike as a sampler's noise", inputs: list("x", "tau"), cost: func(e env) *G.Node {
		return e.weighSquare(e.given("x", "tau", e.gumbelLike()))
	}},
}

func (e env) gumbel(more ...ops.NoiseOption) *G.Node {
	return G.Must(ops.Gumbel(e.g, tensor.Float64, e.shape, append(more, ops.WithSource(e.source))...))
}

func (e env) gumbelLike(more ...ops.NoiseOption) *G.Node {
	return G.Must(ops.GumbelLike(e.in["x"], append(more, ops.WithSource(e.source))...))
}

// shiftedNoise is the cost of x ⊙ (1.5 + 0.25 noise).
func (e env) shiftedNoise(noise *G.Node) *G.Node {
	x := e.in["x"]
	scaled := G.Must(G.Mul(G.Must(G.HadamardProd(x, noise)), G.NewConstant(0.25)))
	return e.weigh(G.Must(G.Add(scaled, G.Must(G.Mul(x, G.NewConstant(1.5))))))
}

func TestGradients(t *testing.T) {
	for _, tt := range append(gumbelSoftmaxTests, otherTests...) {
		t.Run(tt.name, func(t *testing.T) {
			for _, l := range layouts() {
				if tt.axisless && !l.plain {
					continue
				}
				t.Run(l.String(), func(t *testing.T) { tt.check(t, l) })
			}
		})
	}
}

func (tt gradientTest) check(t *testing.T, l layout) {
	var variables []variable
	for _, name := range tt.inputs {
		variables = append(variables, l.data(name))
	}
	var opts []gradcheck.Option
	if tt.surrogate != nil {
		opts = append(opts, gradcheck.WithSurrogate(l.build(variables, tt.surrogate)))
	}
	if err := gradcheck.Check(l.build(variables, tt.cost), opts...); err != nil {
		t.Error(err)
	}
}

func (l layout) build(variables []variable, cost func(env) *G.Node) gradcheck.Build {
	return func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
		e := env{layout: l, g: g, in: make(map[string]*G.Node), source: src}
		var wrt G.Nodes
		for _, in := range variables {
			n := input(g, tensor.Float64, in.name, in.shape, in.data)
			e.in[in.name] = n
			if !in.fixed {
				wrt = append(wrt, n)
			}
		}
		return cost(e), wrt, nil
	}
}

// Ops without a gradient refuse one on a TapeMachine, which asks, and pass none on on a
// LispMachine, which does not.
func TestNoGradient(t *testing.T) {
	tests := []struct {
		name string
		op   func(x *G.Node) (*G.Node, error)
	}{
		{"Categorical", func(x *G.Node) (*G.Node, error) {
			return ops.Categorical(x, ops.WithSource(ops.NewSource(1)))
		}},
		{"GumbelLike", func(x *G.Node) (*G.Node, error) {
			return ops.GumbelLike(x, ops.WithSource(ops.NewSource(1)))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			build := func() (x, cost *G.Node) {
				x = input(G.NewGraph(), tensor.Float64, "x", tensor.Shape{2, 3}, floats{1, 2, 3, 4, 5, 6})
				y, err := tt.op(x)
				if err != nil {
					t.Fatal(err)
				}
				return x, dot(y, y)
			}
			x, cost := build()
			if _, err := G.Grad(cost, x); err == nil {
				t.Error("G.Grad gave a gradient")
			}
			if G.CUDA {
				return
			}
			x, cost = build()
			grads, err := backpropagate(t, x.Graph(), cost, G.Nodes{x}, true)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(elements(grads[0]), func(v float64) bool { return v != 0 }) {
				t.Errorf("the lisp machine's gradient is %v", elements(grads[0]))
			}
		})
	}
}
