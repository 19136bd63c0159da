package optest

import (
	"fmt"
	"math"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// A Value is a node of vectors with its value, and the gradients of the sum of its
// elements, to 12 digits.
type Value struct {
	Build     func(b *Builder) *G.Node
	Data      map[string][]float64 // of inputs
	Want      []float64
	Gradients map[string][]float64 // to inputs
}

func (r Row) testValues(t *testing.T, dt tensor.Dtype) {
	for i, v := range r.Values {
		t.Run(fmt.Sprint("value ", i), func(t *testing.T) { v.test(t, dt) })
	}
}

func (v Value) test(t *testing.T, dt tensor.Dtype) {
	b := newBuilder(G.NewGraph(), dt, Layout{}, ops.NewSource(1))
	for name, data := range v.Data {
		shape := tensor.Shape{len(data)}
		if name == "tau" {
			shape = tensor.ScalarShape()
		}
		b.Shape = tensor.Shape{len(data)}
		b.Input(name, shape, data)
	}
	y := v.Build(b)
	nodes, wants := G.Nodes{y}, [][]float64{v.Want}
	up := make([]float64, y.Shape().TotalSize())
	for i := range up {
		up[i] = 1
	}
	// One call for all inputs, because another one of the same output fails.
	var wrt G.Nodes
	for name, want := range v.Gradients {
		wrt, wants = append(wrt, b.byName[name]), append(wants, want)
	}
	if len(wrt) > 0 {
		grads, err := G.Backpropagate(G.Nodes{y}, G.Nodes{newInput(b.Graph, dt, "upstream", y.Shape(), up)}, wrt)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, grads...)
	}
	tolerance := 2e-12
	if dt == tensor.Float32 {
		tolerance = 2e-6
	}
	for i, got := range drawing(t, b, nodes...)() {
		if len(got) != len(wants[i]) {
			t.Fatalf("%v is %v, want %v", nodes[i], got, wants[i])
		}
		for j, x := range got {
			if want := wants[i][j]; x != want && !(math.Abs(x-want) <= tolerance*max(1, math.Abs(want))) {
				t.Errorf("element %d of %v is %v, want %v", j, nodes[i], x, want)
			}
		}
	}
}
