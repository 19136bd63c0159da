package layers_test

import (
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/layers"
)

func TestSequentialChains(t *testing.T) {
	g := G.NewGraph()
	x := input(g, "x", 2, 4)
	a := linear(t, g, "a", 4, 3, layers.WithActivation(layers.Tanh))
	b := linear(t, g, "b", 3, 2)
	s := sequential(t, "s", a, b)
	y, want := runNode(t, forward(t, s, x)), runNode(t, forward(t, b, forward(t, a, x)))
	if !slices.Equal(y, want) {
		t.Errorf("the sequence gives %v, its layers by hand %v", y, want)
	}
	if s.Name() != "s" {
		t.Errorf("Name() = %q", s.Name())
	}
}

func TestSequentialModel(t *testing.T) {
	g := G.NewGraph()
	a, b := linear(t, g, "a", 3, 3), linear(t, g, "b", 3, 3)
	s := sequential(t, "s", a, b, a, sequential(t, "inner", b))
	want := G.Nodes{a.Weights(), a.Bias(), b.Weights(), b.Bias()}
	if got := s.Model(); !slices.Equal(got, want) {
		t.Errorf("Model() = %v, want %v", got, want)
	}
}

func TestSequentialKeepsItsLayers(t *testing.T) {
	g := G.NewGraph()
	a, b := linear(t, g, "a", 3, 3), linear(t, g, "b", 3, 3)
	ls := []layers.Layer{a}
	s := sequential(t, "s", ls...)
	ls[0] = b
	if s.Model()[0] != a.Weights() {
		t.Error("changing the caller's slice changed the sequence")
	}
}

func TestNewSequentialErrors(t *testing.T) {
	a := linear(t, G.NewGraph(), "a", 3, 3)
	for _, c := range []struct {
		name   string
		layers []layers.Layer
		want   string
	}{
		{"", []layers.Layer{a}, "layers: NewSequential: name is empty"},
		{"s", nil, `layers: NewSequential "s": no layers`},
		{"s", []layers.Layer{a, nil}, `layers: NewSequential "s": layer 1 is nil`},
		{"s", []layers.Layer{(*layers.Linear)(nil)}, `layers: NewSequential "s": layer 0 is nil`},
	} {
		s, err := layers.NewSequential(c.name, c.layers...)
		checkError(t, err, c.want, "")
		if s != nil {
			t.Errorf("a sequence came with the error %v", err)
		}
	}
}

func TestSequentialFwdErrors(t *testing.T) {
	g := G.NewGraph()
	s := sequential(t, "s", linear(t, g, "a", 4, 3), linear(t, g, "b", 2, 2))
	checkError(t, s.Fwd(nil).Err(), `layers: Sequential "s": Fwd: `, "input is nil")
	checkError(t, s.Fwd(G.NewMatrix(g, tensor.Float64, G.WithShape(1, 5), G.WithName("x"))).Err(),
		`layers: Sequential "s": Fwd: layer 0 (a): `, "(1, 5); want (batch, 4)")
	checkError(t, s.Fwd(input(g, "y", 1, 4)).Err(),
		`layers: Sequential "s": Fwd: layer 1 (b): `, "(1, 3); want (batch, 2)")
}
