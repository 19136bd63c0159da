package gumbel_test

import (
	"testing"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/vm"
)

// newMachine opens a tape machine, on the GPU where the tests are built for one.
func newMachine(t testing.TB, g *G.ExprGraph, opts ...G.VMOpt) G.VM {
	t.Helper()
	m, err := vm.New(g, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// lispToo is for tests of both machines: whether to take the LispMachine, which
// has no place on CUDA.
func lispToo() []bool {
	if G.CUDA {
		return []bool{false}
	}
	return []bool{false, true}
}

// backpropagate runs the graph once and returns the gradients to in.
func backpropagate(t testing.TB, g *G.ExprGraph, cost *G.Node, in G.Nodes, lisp bool) ([]G.Value, error) {
	t.Helper()
	values := make([]G.Value, len(in))
	if lisp {
		m := G.NewLispMachine(g)
		defer m.Close()
		if err := m.RunAll(); err != nil {
			return nil, err
		}
		for i, n := range in {
			var err error
			if values[i], err = n.Grad(); err != nil {
				return nil, err
			}
		}
		return values, nil
	}
	grads, err := G.Grad(cost, in...)
	if err != nil {
		return nil, err
	}
	for i, n := range grads {
		G.Read(n, &values[i])
	}
	m := newMachine(t, g)
	defer m.Close()
	return values, m.RunAll()
}
