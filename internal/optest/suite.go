package optest

import (
	"fmt"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
	"github.com/gumbel-go/gumbel/vm"
)

// A suite is a graph that holds several nodes with the gradients of their inputs. One
// machine serves all of them, because opening one takes half a second on a GPU.
type suite struct {
	graph  *G.ExprGraph
	source *ops.Source
	names  []string  // of the arrays below
	nodes  G.Nodes   // values of nodes, then gradients, then values of nodes, …
	exact  []bool    // the array has the same bits on every device
	reads  []G.Value // what the last run read
	inputs G.Nodes
}

// outcome holds the arrays of a suite after a run.
type outcome [][]float64

// newSuite builds nodes in some layouts, and the gradients to their inputs of a
// weighted sum of each.
func newSuite(t testing.TB, dt tensor.Dtype, nodes []Node, layouts ...Layout) *suite {
	t.Helper()
	s := &suite{graph: G.NewGraph(), source: ops.NewSource(3)}
	G.Must(G.Square(newInput(s.graph, dt, "anchor", tensor.Shape{2}, []float64{1, 2}))) // with nothing on the device, Gorgonia panics at a Read
	type built struct {
		Node
		y   *G.Node
		wrt G.Nodes
	}
	var all []built
	var costs, wrt G.Nodes
	for _, l := range layouts {
		for _, n := range nodes {
			b := newBuilder(s.graph, dt, l, s.source)
			if len(layouts) > 1 {
				n.Name += " " + l.String()
			}
			b.prefix = n.Name + "."
			one := built{Node: n, y: n.Build(b)}
			if differentiable(one.y) {
				one.wrt = b.wrt()
				costs, wrt = append(costs, b.Weigh(one.y)), append(wrt, one.wrt...)
			}
			all = append(all, one)
			s.inputs = append(s.inputs, b.inputs...)
		}
	}
	if len(wrt) > 0 {
		if _, err := G.Grad(total(costs), wrt...); err != nil {
			t.Fatal(err)
		}
	}
	for _, one := range all {
		s.add(one.Name, one.y, one.Exact)
		for _, x := range one.wrt {
			s.add("gradient to "+x.Name(), x.Deriv(), false)
		}
	}
	s.reads = make([]G.Value, len(s.nodes))
	for i, n := range s.nodes {
		G.Read(n, &s.reads[i])
	}
	return s
}

func (s *suite) add(name string, n *G.Node, exact bool) {
	s.names, s.nodes, s.exact = append(s.names, name), append(s.nodes, n), append(s.exact, exact)
}

// differentiable reports whether a node passes gradients to any of its inputs.
func differentiable(n *G.Node) bool {
	op, ok := n.Op().(G.SDOp)
	return ok && slices.Contains(op.DiffWRT(op.Arity()), true)
}

// run runs a machine of the suite once.
func (s *suite) run(t testing.TB, m G.VM) outcome {
	t.Helper()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	defer m.Reset()
	return s.outcome()
}

func (s *suite) outcome() outcome {
	o := make(outcome, len(s.reads))
	for i, v := range s.reads {
		o[i] = elements(v)
	}
	return o
}

// runs opens a machine and runs it a few times.
func (s *suite) runs(t testing.TB, times int, opts ...G.VMOpt) (all []outcome) {
	t.Helper()
	m := newMachine(t, s.graph, opts...)
	for range times {
		all = append(all, s.run(t, m))
	}
	return all
}

// equal checks that two outcomes are the same bits.
func (s *suite) equal(t testing.TB, what string, got, want outcome) {
	t.Helper()
	for i := range got {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("%s: %s is %v, want %v", what, s.names[i], got[i], want[i])
		}
	}
}

// newMachine opens a tape machine, on the GPU in a build for one, and closes it after
// the test.
func newMachine(t testing.TB, g *G.ExprGraph, opts ...G.VMOpt) *vm.Machine {
	t.Helper()
	m, err := vm.New(g, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// state returns the state of a source.
func state(t testing.TB, src *ops.Source) string {
	t.Helper()
	data, err := src.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", data)
}
