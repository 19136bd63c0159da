package optest

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/gradcheck"
	"github.com/gumbel-go/gumbel/ops"
)

// A Builder builds the graph of a case. Its inputs come into being when a row asks for
// them, because a LispMachine accepts no unused input.
type Builder struct {
	Layout
	Graph  *G.ExprGraph
	Dtype  tensor.Dtype
	Source *ops.Source

	prefix string // of the names of inputs, so that those of two builders do not merge
	inputs G.Nodes
	byName map[string]*G.Node
	fixed  []*G.Node            // inputs that no gradient is wanted for
	given  map[string][]float64 // data that a case sets
}

func newBuilder(g *G.ExprGraph, dt tensor.Dtype, l Layout, src *ops.Source) *Builder {
	return &Builder{Layout: l, Graph: g, Dtype: dt, Source: src, byName: map[string]*G.Node{}}
}

// In returns the input of a name, with the layout's shape, or a scalar for tau and
// theta. Each name and shape has its own data: targets are probabilities, and masked
// and maskedToo mask some classes of each distribution. All other data are normal.
func (b *Builder) In(name string) *G.Node {
	shape := b.Shape
	if name == "tau" || name == "theta" {
		shape = tensor.ScalarShape()
	}
	return b.input(name, shape, b.data(name))
}

// Input returns the input of a name, with other data than In chooses.
func (b *Builder) Input(name string, shape tensor.Shape, data []float64) *G.Node {
	return b.input(name, shape, data)
}

func (b *Builder) input(name string, shape tensor.Shape, data []float64) *G.Node {
	if n, ok := b.byName[name]; ok {
		return n
	}
	if given, ok := b.given[name]; ok {
		data = given
	}
	n := newInput(b.Graph, b.Dtype, b.prefix+name, shape, data)
	b.byName[name] = n
	b.inputs = append(b.inputs, n)
	return n
}

// Name returns a name that no other case of the graph has.
func (b *Builder) Name(name string) string { return b.prefix + name }

// Learn adds inputs that the case has built itself, and whose gradients are wanted.
func (b *Builder) Learn(nodes ...*G.Node) { b.inputs = append(b.inputs, nodes...) }

// Fixed returns the input of a name that no gradient is wanted for.
func (b *Builder) Fixed(name string) *G.Node {
	n := b.In(name)
	b.fixed = append(b.fixed, n)
	return n
}

// Constant returns a constant of the builder's dtype.
func (b *Builder) Constant(v float64) *G.Node { return G.NewConstant(scalar(b.Dtype, v)) }

// wrt returns the inputs that a gradient is wanted for, in the order of their names.
func (b *Builder) wrt() (all G.Nodes) {
	for _, n := range b.inputs {
		if !slices.Contains(b.fixed, n) {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(x, y *G.Node) int { return strings.Compare(x.Name(), y.Name()) })
	return all
}

func (l Layout) data(name string) []float64 {
	h := fnv.New64a()
	fmt.Fprint(h, name, l.Shape)
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	switch name {
	case "tau":
		return []float64{0.8}
	case "theta":
		return []float64{-0.4}
	}
	data := make([]float64, l.Shape.TotalSize())
	for i := range data {
		if data[i] = rng.NormFloat64(); name == "targets" {
			data[i] = rng.Float64()
		}
	}
	if name == "masked" || name == "maskedToo" {
		l.mask(data)
	}
	return data
}

// newInput adds an input that holds data to a graph.
func newInput(g *G.ExprGraph, dt tensor.Dtype, name string, shape tensor.Shape, data []float64) *G.Node {
	if shape.IsScalar() {
		return G.NewScalar(g, dt, G.WithName(name), G.WithValue(scalar(dt, data[0])))
	}
	return G.NewTensor(g, dt, shape.Dims(), G.WithShape(shape...), G.WithName(name), G.WithValue(dense(dt, shape, data)))
}

func scalar(dt tensor.Dtype, v float64) any {
	if dt == tensor.Float32 {
		return float32(v)
	}
	return v
}

// dense returns a tensor with a copy of data.
func dense(dt tensor.Dtype, shape tensor.Shape, data []float64) *tensor.Dense {
	if shape.TotalSize() == 0 {
		return tensor.New(tensor.WithShape(shape...), tensor.Of(dt))
	}
	if dt == tensor.Float64 {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(data)))
	}
	single := make([]float32, len(data))
	for i, v := range data {
		single[i] = float32(v)
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(single))
}

// elements returns a copy of a value's elements.
func elements(v G.Value) []float64 {
	switch d := v.Data().(type) {
	case float64:
		return []float64{d}
	case float32:
		return []float64{float64(d)}
	case []float64:
		return slices.Clone(d)
	case []float32:
		all := make([]float64, len(d))
		for i, x := range d {
			all[i] = float64(x)
		}
		return all
	}
	return nil
}

// Options adds the layout's options to those of an op.
func Options[O any](b *Builder, options ...O) []O {
	for _, o := range b.options() {
		options = append(options, any(o).(O))
	}
	return options
}

// Soft returns a sample of GumbelSoftmax from the builder's source.
func (b *Builder) Soft(logits, tau *G.Node, options ...ops.GumbelSoftmaxOption) *G.Node {
	options = append(Options(b, options...), ops.WithSource(b.Source))
	return G.Must(ops.GumbelSoftmax(logits, tau, options...))
}

// Given returns a sample of GumbelSoftmax with the noise given.
func (b *Builder) Given(logits, tau, noise *G.Node, options ...ops.GumbelSoftmaxOption) *G.Node {
	options = append(Options(b, options...), ops.WithNoise(noise))
	return G.Must(ops.GumbelSoftmax(logits, tau, options...))
}

// Relaxed returns a sample of RelaxedBernoulli from the builder's source.
func (b *Builder) Relaxed(logits, tau *G.Node, options ...ops.SampleOption) *G.Node {
	return G.Must(ops.RelaxedBernoulli(logits, tau, append(slices.Clone(options), ops.WithSource(b.Source))...))
}

// Zero returns zeros, as noise that changes nothing. No gradient is wanted for them.
func (b *Builder) Zero() *G.Node {
	return newInput(b.Graph, b.Dtype, b.prefix+"zero", b.Shape, make([]float64, b.Shape.TotalSize()))
}

// KL returns a divergence with the layout's options.
func (b *Builder) KL(q, p *G.Node) *G.Node { return G.Must(ops.CategoricalKL(q, p, b.options()...)) }

// Weigh returns a cost linear in y, with weights that no symmetry of y hides.
func (b *Builder) Weigh(y *G.Node) *G.Node {
	w := make([]float64, y.Shape().TotalSize())
	for i := range w {
		w[i] = math.Sin(float64(3*i + 1))
	}
	return Dot(y, newInput(b.Graph, b.Dtype, fmt.Sprint("weights", y.Shape()), y.Shape(), w))
}

// WeighSquare is Weigh of y squared.
func (b *Builder) WeighSquare(y *G.Node) *G.Node { return b.Weigh(G.Must(G.Square(y))) }

// Term returns y plus the sum of squares of x, so that x has a second use.
func Term(y, x *G.Node) *G.Node { return G.Must(G.Add(y, G.Must(G.Sum(G.Must(G.Square(x)))))) }

// Dot returns the sum of the products of two nodes of one shape.
func Dot(a, b *G.Node) *G.Node {
	p := G.Must(G.HadamardProd(a, b))
	if p.IsScalar() {
		return p
	}
	return G.Must(G.Sum(p))
}

// total returns the sum of costs. The Reads break up what would be a long row of
// elementwise nodes, because that overruns a queue of Gorgonia's CUDA machine.
func total(costs G.Nodes) *G.Node {
	sum := costs[0]
	for i, c := range costs[1:] {
		if sum = G.Must(G.Add(sum, c)); i%8 == 7 {
			G.Read(sum, new(G.Value))
		}
	}
	return sum
}

// build returns what gradcheck needs of a cost.
func (l Layout) build(cost func(b *Builder) *G.Node) gradcheck.Build {
	return func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
		b := newBuilder(g, tensor.Float64, l, src)
		c := cost(b) // a panic of G.Must becomes an error
		return c, b.wrt(), nil
	}
}
