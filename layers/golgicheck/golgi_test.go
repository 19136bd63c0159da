// Package golgicheck holds no code. Its tests keep two things true: that the
// layers of package layers satisfy golgi's Layer, and that they compose with
// golgi's own. They are a module of their own so that nobody who uses the
// layers has to take golgi with them.
package golgicheck

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/golgi"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/layers"
	"github.com/gumbel-go/gumbel/ops"
)

var (
	_ golgi.Layer = (*layers.Linear)(nil)
	_ golgi.Layer = (*layers.Sequential)(nil)
	_ golgi.Layer = (*layers.CategoricalLatent)(nil)

	// The two interfaces are one: each can be had from the other.
	_ golgi.Layer  = layers.Layer(nil)
	_ layers.Layer = golgi.Layer(nil)
)

const batch, in, width, latents, classes = 3, 5, 4, 2, 3

// parts are a layer of golgi's and two of ours, in one graph.
type parts struct {
	x      *G.Node
	fc     *golgi.FC
	linear *layers.Linear
	latent *layers.CategoricalLatent
}

func newParts(t *testing.T) parts {
	t.Helper()
	g := G.NewGraph()
	init := layers.GlorotUniform(1)
	matrix := func(name string, rows, cols int) *G.Node {
		return G.NewMatrix(g, tensor.Float64, G.WithShape(rows, cols), G.WithName(name), G.WithInit(init))
	}
	linear, err := layers.NewLinear(g, "linear", tensor.Float64, width, latents*classes, layers.WithInit(init))
	if err != nil {
		t.Fatal(err)
	}
	tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.5))
	latent, err := layers.NewCategoricalLatent("latent", tau, latents, classes, ops.WithSource(ops.NewSource(1)))
	if err != nil {
		t.Fatal(err)
	}
	return parts{
		x: matrix("x", batch, in),
		fc: golgi.NewFC(golgi.WithName("fc"), golgi.AsBatched(true), golgi.WithActivation(G.Tanh),
			golgi.WithWB(matrix("fc.W", in, width), matrix("fc.B", 1, width))),
		linear: linear,
		latent: latent,
	}
}

// run checks the layer's model, runs it on x with its gradients, and returns
// the sample that it gives.
func run(t *testing.T, l golgi.Layer, p parts) []float64 {
	t.Helper()
	y := l.Fwd(p.x)
	if err := y.Err(); err != nil {
		t.Fatal(err)
	}
	want := append(p.fc.Model(), p.linear.Model()...)
	if got := l.Model(); !slices.Equal(got, want) {
		t.Errorf("Model() = %v, want %v", got, want)
	}
	var sample G.Value
	G.Read(y.Node(), &sample)
	cost := G.Must(G.Sum(G.Must(G.Square(y.Node()))))
	grads, err := G.Grad(cost, want...)
	if err != nil {
		t.Fatal(err)
	}
	m := G.NewTapeMachine(cost.Graph(), G.BindDualValues(want...))
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	for i, grad := range grads {
		if !slices.ContainsFunc(grad.Value().Data().([]float64), func(v float64) bool { return v != 0 }) {
			t.Errorf("the gradient of %s is all zero", want[i].Name())
		}
	}
	return sample.Data().([]float64)
}

// Ours inside golgi's composition and golgi's inside our sequence are one model.
func TestComposesWithGolgi(t *testing.T) {
	p := newParts(t)
	composition, err := golgi.ComposeSeq(p.x, p.fc, p.linear, p.latent)
	if err != nil {
		t.Fatal(err)
	}
	composed := run(t, composition, p)

	p = newParts(t)
	sequential, err := layers.NewSequential("sequential", p.fc, p.linear, p.latent)
	if err != nil {
		t.Fatal(err)
	}
	chained := run(t, sequential, p)

	if !slices.Equal(composed, chained) {
		t.Errorf("golgi's composition gives %v, our sequence %v", composed, chained)
	}
	if len(composed) != batch*latents*classes {
		t.Fatalf("%d values, want %d", len(composed), batch*latents*classes)
	}
	for block := range slices.Chunk(composed, classes) {
		sum := 0.0
		for _, v := range block {
			sum += v
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Errorf("block %v sums to %v, want 1", block, sum)
		}
	}
}

// An error of ours comes out of golgi's composition with the layer's name.
func TestErrorsPassThroughGolgi(t *testing.T) {
	p := newParts(t)
	err := golgi.Compose(p.fc, p.latent).Fwd(p.x).Err()
	if err == nil {
		t.Fatal("a latent layer took logits of the wrong width")
	}
	const want = `layers: CategoricalLatent "latent": Fwd: input`
	if !strings.Contains(err.Error(), want) {
		t.Errorf("error is\n\t%v\nwant it to hold\n\t%s", err, want)
	}
}
