package gradcheck

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/vm"
)

// graph is a cost built from inputs, ready for a machine.
type graph struct {
	g      *G.ExprGraph
	in     G.Nodes
	cost   *G.Node
	rewind func() error
}

func newGraph(build Build, p *point) (*graph, error) {
	gr := &graph{g: G.NewGraph()}
	for _, in := range p.inputs {
		gr.in = append(gr.in, leaf(gr.g, in))
	}
	var err error
	gr.cost, gr.rewind, err = build(gr.g, gr.in)
	if err != nil {
		return nil, err
	}
	if !gr.cost.IsScalar() {
		return nil, fmt.Errorf("the cost has shape %v: reduce it to a scalar", gr.cost.Shape())
	}
	return gr, nil
}

func leaf(g *G.ExprGraph, in Input) *G.Node {
	if in.Shape.IsScalar() {
		return G.NewScalar(g, G.Float64, G.WithName(in.Name))
	}
	return G.NewTensor(g, G.Float64, in.Shape.Dims(), G.WithShape(in.Shape...), G.WithName(in.Name))
}

// run rewinds the source, binds the inputs and runs the machine, which the caller resets.
func (gr *graph) run(m G.VM, values [][]float64) error {
	if gr.rewind != nil {
		if err := gr.rewind(); err != nil {
			return fmt.Errorf("rewind: %w", err)
		}
	}
	for i, n := range gr.in {
		if err := bind(n, values[i]); err != nil {
			return err
		}
	}
	return m.RunAll()
}

func bind(n *G.Node, data []float64) error {
	if n.IsScalar() {
		return G.Let(n, data[0])
	}
	return G.Let(n, tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(data)))
}

// readCost keeps the cost of a tape machine's last run, for the function that it returns.
func (gr *graph) readCost() func() float64 {
	cost := new(G.Value)
	G.Read(gr.cost, cost)
	return func() float64 { return (*cost).Data().(float64) }
}

// gradients calls read with each input that is not fixed and copies what it returns.
func (gr *graph) gradients(p *point, read func(i int) (G.Value, error)) ([][]float64, error) {
	out := make([][]float64, len(gr.in))
	for i, in := range p.inputs {
		if in.Fixed {
			continue
		}
		v, err := read(i)
		if err != nil {
			return nil, fmt.Errorf("the gradient of %s: %w", in.Name, err)
		}
		if out[i], err = floats(v, len(in.Data)); err != nil {
			return nil, fmt.Errorf("the gradient of %s: %w", in.Name, err)
		}
	}
	return out, nil
}

func floats(v G.Value, n int) ([]float64, error) {
	if v == nil {
		return nil, fmt.Errorf("no value")
	}
	switch d := v.Data().(type) {
	case float64:
		if n == 1 {
			return []float64{d}, nil
		}
	case []float64:
		if n == len(d) {
			return slices.Clone(d), nil
		}
	}
	return nil, fmt.Errorf("%T of shape %v: want %d float64 values", v, v.Shape(), n)
}

// tape runs one TapeMachine twice.
func tape(build Build, p *point) ([]run, error) {
	gr, err := newGraph(build, p)
	if err != nil {
		return nil, err
	}
	var wrt G.Nodes
	nodes := make(map[int]int) // input to its place in wrt
	for i, in := range p.inputs {
		if !in.Fixed {
			nodes[i] = len(wrt)
			wrt = append(wrt, gr.in[i])
		}
	}
	grads, err := G.Grad(gr.cost, wrt...)
	if err != nil {
		return nil, err
	}
	values := make([]G.Value, len(grads))
	for i, n := range grads {
		G.Read(n, &values[i])
	}
	cost := gr.readCost()
	var opts []G.VMOpt
	if !G.CUDA {
		opts = append(opts, G.BindDualValues(wrt...))
	}
	m, err := vm.New(gr.g, opts...)
	if err != nil {
		return nil, err
	}
	defer m.Close()

	var runs []run
	if !G.CUDA {
		first := run{name: "tape machine, dual values"}
		if first.gradients, err = gr.runAndRead(m, p, func(i int) (G.Value, error) { return gr.in[i].Grad() }); err != nil {
			return nil, err
		}
		first.cost = cost()
		m.Reset()
		runs = append(runs, first)
	}
	second := run{name: "tape machine, second run"}
	if second.gradients, err = gr.runAndRead(m, p, func(i int) (G.Value, error) { return values[nodes[i]], nil }); err != nil {
		return nil, err
	}
	second.cost = cost()
	return append(runs, second), nil
}

// lisp runs a LispMachine, which can run once only and takes no graph that holds Grad's nodes.
func lisp(build Build, p *point) (run, error) {
	r := run{name: "lisp machine"}
	gr, err := newGraph(build, p)
	if err != nil {
		return r, err
	}
	m := G.NewLispMachine(gr.g)
	defer m.Close()
	if r.gradients, err = gr.runAndRead(m, p, func(i int) (G.Value, error) { return gr.in[i].Grad() }); err != nil {
		return r, err
	}
	r.cost = gr.cost.Value().Data().(float64)
	return r, nil
}

func (gr *graph) runAndRead(m G.VM, p *point, read func(i int) (G.Value, error)) ([][]float64, error) {
	if err := gr.run(m, p.origin()); err != nil {
		return nil, err
	}
	return gr.gradients(p, read)
}
