package gradcheck

import (
	"errors"
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/layout"
	"github.com/gumbel-go/gumbel/ops"
)

// graph is a graph that a Build made.
type graph struct {
	g      *G.ExprGraph
	source *ops.Source
	start  []byte // the source's state before a run
	cost   *G.Node
	wrt    G.Nodes
	leaves []leaf // what wrt hold, once bound

	onDevice *G.Node // see read
}

// leaf is the memory of an input, which the next run reads.
type leaf struct {
	scalar *G.F64 // nil for a tensor
	data   []float64
}

func (l leaf) set(e int, v float64) {
	if l.scalar != nil {
		*l.scalar = G.F64(v)
		return
	}
	l.data[e] = v
}

func (c *config) newGraph(build Build) (*graph, error) {
	gr := &graph{g: G.NewGraph(), source: ops.NewSource(c.seed)}
	var err error
	if gr.cost, gr.wrt, err = build(gr.g, gr.source); err != nil {
		return nil, err
	}
	if err := gr.checkCost(); err != nil {
		return nil, err
	}
	if err := gr.checkInputs(); err != nil {
		return nil, err
	}
	gr.start, err = gr.source.MarshalBinary()
	return gr, err
}

func (gr *graph) checkCost() error {
	switch {
	case gr.cost == nil:
		return errors.New("build returned no cost")
	case gr.cost.Graph() != gr.g:
		return errors.New("the cost is in another graph, want the one that build was given")
	case !gr.cost.IsScalar():
		return fmt.Errorf("the cost has shape %v, want a scalar: reduce it with gorgonia.Sum", gr.cost.Shape())
	case gr.cost.Dtype() != tensor.Float64:
		return fmt.Errorf("the cost has dtype %v, want float64", gr.cost.Dtype())
	}
	return nil
}

func (gr *graph) checkInputs() error {
	if len(gr.wrt) == 0 {
		return errors.New("build returned no inputs to differentiate by")
	}
	for i, n := range gr.wrt {
		switch {
		case n == nil:
			return fmt.Errorf("input %d is nil", i)
		case n.Graph() != gr.g:
			return fmt.Errorf("the input %s is in another graph, want the one that build was given", nameOf(n, i))
		case !n.IsVar():
			return fmt.Errorf("%v is not an input: differentiate by variables, which hold a value", n)
		case n.Dtype() != tensor.Float64:
			return fmt.Errorf("the input %s has dtype %v, want float64", nameOf(n, i), n.Dtype())
		case slices.Contains(gr.wrt[:i], n):
			return fmt.Errorf("the input %s is listed twice; Gorgonia merges inputs of equal name and shape", nameOf(n, i))
		}
	}
	return nil
}

// bind gives the inputs copies of the point's values.
func (gr *graph) bind(p *point) error {
	if len(gr.wrt) != len(p.inputs) {
		return fmt.Errorf("build returned %d inputs, want %d as in the first call", len(gr.wrt), len(p.inputs))
	}
	for i, n := range gr.wrt {
		in := p.inputs[i]
		if !n.Shape().Eq(in.shape) {
			return fmt.Errorf("the input %s has shape %v, want %v as in the first call of build", nameOf(n, i), n.Shape(), in.shape)
		}
		data := slices.Clone(in.values)
		value := layout.Value(in.shape, data)
		if err := G.Let(n, value); err != nil {
			return fmt.Errorf("the input %s: %w", in.name, err)
		}
		scalar, _ := value.(*G.F64)
		gr.leaves = append(gr.leaves, leaf{scalar, data})
	}
	return nil
}

// read keeps the value of a node in each run. Gorgonia's CUDA machine panics at
// a Read if no node runs on the device, so read adds one that does.
func (gr *graph) read(n *G.Node, into *G.Value) {
	G.Read(n, into)
	if G.CUDA && gr.onDevice == nil {
		one := G.NewScalar(gr.g, tensor.Float64, G.WithName("gradcheck: on the device"), G.WithValue(1.0))
		gr.onDevice = G.Must(G.Square(one))
	}
}

// run rewinds the source and runs the machine, which the caller resets.
func (gr *graph) run(m G.VM) error {
	if err := gr.source.UnmarshalBinary(gr.start); err != nil {
		return err
	}
	return m.RunAll()
}

// checkUntouched finds inputs that a run has changed, as some of Gorgonia's ops
// do that work in place.
func (gr *graph) checkUntouched(p *point) error {
	for i, n := range gr.wrt {
		in := p.inputs[i]
		values, err := layout.Slice[float64](n.Value(), in.shape)
		if err != nil {
			return fmt.Errorf("after a run, the input %s %w", in.name, err)
		}
		for e, v := range values {
			if v != in.values[e] {
				return fmt.Errorf("a run changed the input %s%s from %v to %v", in.name, layout.Coordinates(in.shape, e), in.values[e], v)
			}
		}
	}
	return nil
}

// gradients calls read for each input and copies what it returns.
func (gr *graph) gradients(p *point, read func(i int) (G.Value, error)) ([][]float64, error) {
	all := make([][]float64, len(p.inputs))
	for i, in := range p.inputs {
		v, err := read(i)
		if err != nil {
			return nil, fmt.Errorf("the gradient of %s: %w", in.name, err)
		}
		if v == nil {
			return nil, fmt.Errorf("the gradient of %s has no value", in.name)
		}
		gradient, err := layout.Slice[float64](v, in.shape)
		if err != nil {
			return nil, fmt.Errorf("the gradient of %s %w", in.name, err)
		}
		all[i] = slices.Clone(gradient)
	}
	return all, nil
}

// checkRoots finds nodes that a LispMachine would backpropagate from besides
// the cost.
func (gr *graph) checkRoots() error {
	var alone bool
	for _, n := range gr.g.Roots() {
		unusedScalar := n.IsVar() && n.IsScalar()
		switch {
		case n == gr.cost:
			alone = true
		case !isRead(n) && !unusedScalar:
			return fmt.Errorf("%v is an output besides the cost, and a LispMachine differentiates the sum of all outputs: leave it out of the graph, or use WithoutLispMachine", n)
		}
	}
	if !alone {
		return errors.New("another node uses the cost, and a LispMachine differentiates the last node: return that one, or use WithoutLispMachine")
	}
	return nil
}

// isRead reports whether n was made by gorgonia.Read.
func isRead(n *G.Node) bool { return n.Op() != nil && fmt.Sprintf("%T", n.Op()) == "gorgonia.readOp" }
