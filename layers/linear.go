package layers

import (
	"errors"
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Linear is a fully connected layer:
//
//	y = act(x·W + b)    x (batch, in), W (in, out), b (out), y (batch, out)
//
// It is one node. With dz = dL/dy ⊙ act′(x·W + b), computed once per run, its
// gradients are
//
//	dL/dx = dz·Wᵀ    dL/dW = xᵀ·dz    dL/db = Σᵢ dzᵢ
//
// A gradient that nobody requested from gorgonia.Grad, such as that of a batch of
// data, costs nothing. The BLAS that gorgonia.Use sets computes the products: with the
// Implementation of package blas, the bias and ReLU need no pass over memory. A
// NaN or an infinity passes through, as in Gorgonia's products; multiplied by 0
// it may vanish, because gonum's BLAS skips zeros.
//
// The same layer may be applied to several inputs of one graph; they share the
// weights.
type Linear struct {
	name    string
	in      int
	act     Activation
	weights *G.Node
	bias    *G.Node
}

// LinearOption changes what NewLinear builds.
type LinearOption func(*linearConfig)

type linearConfig struct {
	act     Activation
	weights G.InitWFn
	bias    G.InitWFn
}

// WithActivation sets the activation. The default is Identity.
func WithActivation(a Activation) LinearOption {
	return func(c *linearConfig) { c.act = a }
}

// WithInit sets the initialiser of the weights, called once with shape
// (in, out). The default is gorgonia.GlorotU(1), seeded by the clock; for
// reproducible weights use GlorotUniform.
func WithInit(f G.InitWFn) LinearOption {
	return func(c *linearConfig) { c.weights = f }
}

// WithBiasInit sets the initialiser of the bias, called once with shape (out).
// The default is gorgonia.Zeroes().
func WithBiasInit(f G.InitWFn) LinearOption {
	return func(c *linearConfig) { c.bias = f }
}

// NewLinear adds the weights "name.W", of shape (in, out), and the bias
// "name.b", of shape (out), to g. The dtype is Float32 or Float64.
//
// Each layer of a graph needs a different name, because Gorgonia merges inputs of
// equal name and shape, and two layers would silently train the same weights. So a
// name that g already has is an error. So are an empty name, a size below one, an
// unknown activation, and an initialiser that panics or does not return one value
// of dtype dt per element.
func NewLinear(g *G.ExprGraph, name string, dt tensor.Dtype, in, out int, opts ...LinearOption) (*Linear, error) {
	l, err := newLinear(g, name, dt, in, out, opts)
	if err != nil {
		return nil, fmt.Errorf("layers: NewLinear %q: %w", name, err)
	}
	return l, nil
}

func newLinear(g *G.ExprGraph, name string, dt tensor.Dtype, in, out int, opts []LinearOption) (*Linear, error) {
	switch {
	case g == nil:
		return nil, errors.New("the graph is nil: create one with gorgonia.NewGraph")
	case name == "":
		return nil, errors.New("the name is empty: name each layer")
	case dt != tensor.Float32 && dt != tensor.Float64:
		return nil, fmt.Errorf("dtype is %v, want Float32 or Float64", dt)
	case in < 1 || out < 1:
		return nil, fmt.Errorf("in, out are %d, %d, want at least 1", in, out)
	}
	c := linearConfig{weights: G.GlorotU(1), bias: G.Zeroes()}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("option %d is nil", i)
		}
		opt(&c)
	}
	if err := c.act.Check(); err != nil {
		return nil, err
	}
	w, b := name+".W", name+".b"
	if len(g.ByName(w)) > 0 || len(g.ByName(b)) > 0 {
		return nil, errors.New("the graph already has a layer of this name: choose another")
	}
	wv, err := initial(c.weights, dt, in, out)
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	bv, err := initial(c.bias, dt, out)
	if err != nil {
		return nil, fmt.Errorf("bias: %w", err)
	}
	return &Linear{
		name:    name,
		in:      in,
		act:     c.act,
		weights: G.NewMatrix(g, dt, G.WithShape(in, out), G.WithName(w), G.WithValue(wv)),
		bias:    G.NewVector(g, dt, G.WithShape(out), G.WithName(b), G.WithValue(bv)),
	}, nil
}

// initial calls an initialiser. It recovers, because those of Gorgonia panic at
// what they do not support (HeN in float32, ValuesOf of another type).
func initial(f G.InitWFn, dt tensor.Dtype, shape ...int) (v *tensor.Dense, err error) {
	if f == nil {
		return nil, errors.New("the initialiser is nil")
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the initialiser panicked: %v", r)
		}
	}()
	backing := f(dt, shape...)
	var got tensor.Dtype
	var n int
	switch b := backing.(type) {
	case []float32:
		got, n = tensor.Float32, len(b)
	case []float64:
		got, n = tensor.Float64, len(b)
	default:
		return nil, fmt.Errorf("the initialiser returned a %T, want a slice of %v", backing, dt)
	}
	if size := tensor.Shape(shape).TotalSize(); got != dt || n != size {
		return nil, fmt.Errorf("the initialiser returned %d values of %v, want %d of %v", n, got, size, dt)
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(backing)), nil
}

// Fwd returns act(x·W + b), of shape (batch, out), for x of shape (batch, in).
// The result is an error if x is nil, carries an error, or has another rank,
// width, dtype or graph.
func (l *Linear) Fwd(x G.Input) G.Result {
	y, err := l.fwd(x)
	if err != nil {
		return G.Err(fmt.Errorf("layers: Linear %q: Fwd: %w", l.name, err))
	}
	return y
}

func (l *Linear) fwd(in G.Input) (*G.Node, error) {
	x, err := matrixOf(in, l.in)
	if err != nil {
		return nil, err
	}
	if x.Dtype() != l.weights.Dtype() {
		return nil, fmt.Errorf("input %s has dtype %v but the weights have %v: they must match", x.Name(), x.Dtype(), l.weights.Dtype())
	}
	if x.Graph() != l.weights.Graph() {
		return nil, fmt.Errorf("input %s is in another graph than the weights", x.Name())
	}
	return newLinearNode(x, l.weights, l.bias, l.act)
}

// Model returns the weights and the bias, in that order.
func (l *Linear) Model() G.Nodes { return G.Nodes{l.weights, l.bias} }

// Weights returns the node of W, of shape (in, out).
func (l *Linear) Weights() *G.Node { return l.weights }

// Bias returns the node of b, of shape (out).
func (l *Linear) Bias() *G.Node { return l.bias }

// Name returns the name given to NewLinear.
func (l *Linear) Name() string { return l.name }

// Describe does nothing; golgi's Layer asks for it.
func (l *Linear) Describe() {}
