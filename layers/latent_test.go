package layers_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/layers"
	"github.com/gumbel-go/gumbel/ops"
)

func temperature(g *G.ExprGraph, v float64) *G.Node {
	return G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(v))
}

func latent(t *testing.T, tau *G.Node, latents, classes int, opts ...ops.SampleOption) *layers.CategoricalLatent {
	t.Helper()
	c, err := layers.NewCategoricalLatent("z", tau, latents, classes, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sampled runs a layer of 3 latents of 4 classes on 5 rows, runs times.
func sampled(t *testing.T, runs int, opts ...ops.SampleOption) [][]float64 {
	t.Helper()
	g := G.NewGraph()
	y := forward(t, latent(t, temperature(g, 0.7), 3, 4, opts...), input(g, "logits", 5, 12))
	var v G.Value
	G.Read(y, &v)
	m := newMachine(t, g)
	defer m.Close()
	var all [][]float64
	for range runs {
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		all = append(all, slices.Clone(v.Data().([]float64)))
		m.Reset()
	}
	return all
}

func TestLatentSamples(t *testing.T) {
	for name, opts := range map[string][]ops.SampleOption{"soft": nil, "hard": {ops.WithHard()}} {
		for _, y := range sampled(t, 3, append(opts, ops.WithSource(ops.NewSource(1)))...) {
			for block := range slices.Chunk(y, 4) {
				ones, sum := 0, 0.0
				for _, v := range block {
					if v == 1 {
						ones++
					}
					if v < 0 || v > 1 {
						t.Errorf("%s: %v leaves [0, 1]", name, block)
					}
					sum += v
				}
				if math.Abs(sum-1) > 1e-12 {
					t.Errorf("%s: %v sums to %v, want 1", name, block, sum)
				}
				if hard := name == "hard"; hard != (ones == 1 && sum == 1) {
					t.Errorf("%s: block is %v", name, block)
				}
			}
		}
	}
}

// A latent passes its estimator on: the samples are those of WithHard, and tau has no
// gradient.
func TestLatentEstimator(t *testing.T) {
	hard := sampled(t, 2, ops.WithHard(), ops.WithSource(ops.NewSource(1)))
	for i, y := range sampled(t, 2, ops.WithEstimator(ops.ReinMax()), ops.WithSource(ops.NewSource(1))) {
		if !slices.Equal(y, hard[i]) {
			t.Errorf("the sample is %v, with WithHard %v", y, hard[i])
		}
	}
	g := G.NewGraph()
	tau, logits := temperature(g, 1), input(g, "logits", 5, 12)
	y := forward(t, latent(t, tau, 3, 4, ops.WithEstimator(ops.ReinMax())), logits)
	if _, err := G.Grad(G.Must(G.Sum(y)), logits, tau); err == nil {
		t.Error("tau has a gradient under ReinMax")
	}
}

func TestLatentSeeds(t *testing.T) {
	draw := func(seed uint64) [][]float64 { return sampled(t, 2, ops.WithSource(ops.NewSource(seed))) }
	a, b, c := draw(1), draw(1), draw(2)
	if !slices.Equal(a[0], b[0]) || !slices.Equal(a[1], b[1]) {
		t.Error("equal seeds gave different samples")
	}
	if slices.Equal(a[0], a[1]) {
		t.Error("the second run repeated the first")
	}
	if slices.Equal(a[0], c[0]) {
		t.Error("different seeds gave equal samples")
	}
}

func TestLatentKL(t *testing.T) {
	const rows, latents, classes = 5, 3, 4
	g := G.NewGraph()
	c := latent(t, temperature(g, 0.7), latents, classes)
	logits := input(g, "logits", rows, latents*classes)
	forward(t, c, logits)
	kl, err := c.KL()
	if err != nil {
		t.Fatal(err)
	}
	if !kl.Shape().Eq(tensor.Shape{rows, latents}) {
		t.Fatalf("KL has shape %v, want (%d, %d)", kl.Shape(), rows, latents)
	}
	i := 0
	got := runNode(t, kl)
	for block := range slices.Chunk(logits.Value().Data().([]float64), classes) {
		if want := klFromUniform(block); math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("KL[%d] = %v, want %v", i, got[i], want)
		}
		i++
	}
}

// klFromUniform is Σ q log(q·k) for q = softmax(logits) of k classes.
func klFromUniform(logits []float64) float64 {
	total, kl := 0.0, 0.0
	for _, l := range logits {
		total += math.Exp(l)
	}
	for _, l := range logits {
		q := math.Exp(l) / total
		kl += q * math.Log(q*float64(len(logits)))
	}
	return kl
}

func TestLatentNodes(t *testing.T) {
	g := G.NewGraph()
	c := latent(t, temperature(g, 0.7), 3, 4)
	if c.Logits() != nil || c.Sample() != nil {
		t.Error("logits or a sample before Fwd")
	}
	_, err := c.KL()
	checkError(t, err, `layers: CategoricalLatent "z": KL: `, "call Fwd first")
	if c.Name() != "z" || len(c.Model()) != 0 {
		t.Errorf("name %q, model %v", c.Name(), c.Model())
	}

	x := input(g, "x", 5, 12)
	first := forward(t, c, x)
	before := len(g.AllNodes())
	kl1, err := c.KL()
	if err != nil {
		t.Fatal(err)
	}
	if after := len(g.AllNodes()); after != before+1 {
		t.Errorf("KL added %d nodes, want 1: none at Fwd, one at the first call", after-before)
	}
	if again, _ := c.KL(); again != kl1 {
		t.Error("the second call built another node")
	}
	second := forward(t, c, input(g, "xx", 2, 12))
	if first == second || c.Sample() != second || c.Logits().Name() != "xx" {
		t.Error("Sample and Logits are not those of the last Fwd")
	}
	if kl2, _ := c.KL(); kl2 == kl1 || !kl2.Shape().Eq(tensor.Shape{2, 3}) {
		t.Error("KL is not that of the last Fwd")
	}
	c.Fwd(nil)
	if c.Sample() != second {
		t.Error("a failed Fwd changed the sample")
	}
}

// Each Fwd draws noise of its own, even for one input.
func TestLatentFwdIsIndependent(t *testing.T) {
	g := G.NewGraph()
	c := latent(t, temperature(g, 0.7), 3, 4, ops.WithSource(ops.NewSource(1)))
	x := input(g, "x", 5, 12)
	difference := G.Must(G.Sub(forward(t, c, x), forward(t, c, x)))
	for i, v := range runNode(t, difference) {
		if v == 0 {
			t.Errorf("element %d is the same in both samples", i)
		}
	}
}

func TestLatentGradients(t *testing.T) {
	checkGradients(t, func(g *G.ExprGraph) (*G.Node, G.Nodes) {
		x := input(g, "x", 2, 3)
		l := linear(t, g, "l", 3, 6)
		z := latent(t, temperature(g, 0.7), 2, 3, ops.WithNoise(input(g, "noise", 2, 6)))
		out := linear(t, g, "out", 6, 2, layers.WithActivation(layers.Tanh))
		s := sequential(t, "s", l, z, out)
		y := forward(t, s, x)
		kl, err := z.KL()
		if err != nil {
			t.Fatal(err)
		}
		return G.Must(G.Add(weigh(y), weigh(kl))), s.Model()
	})
}

func TestNewCategoricalLatentErrors(t *testing.T) {
	tau := temperature(G.NewGraph(), 1)
	for _, c := range []struct {
		name             string
		tau              *G.Node
		latents, classes int
		want             string
	}{
		{"", tau, 2, 3, "layers: NewCategoricalLatent: the name is empty"},
		{"z", nil, 2, 3, `layers: NewCategoricalLatent "z": tau is nil`},
		{"z", tau, 0, 3, `layers: NewCategoricalLatent "z": latents, classes are 0, 3`},
		{"z", tau, 2, -3, `layers: NewCategoricalLatent "z": latents, classes are 2, -3`},
	} {
		l, err := layers.NewCategoricalLatent(c.name, c.tau, c.latents, c.classes)
		checkError(t, err, c.want, "")
		if l != nil {
			t.Errorf("a layer came with the error %v", err)
		}
	}
}

func TestCategoricalLatentFwdErrors(t *testing.T) {
	g := G.NewGraph()
	tau := temperature(g, 1)
	x := input(g, "x", 2, 6)
	for _, c := range []struct {
		tau  *G.Node
		x    G.Input
		want string
	}{
		{tau, nil, "input is nil"},
		{tau, G.Err(errors.New("carried")), "carried"},
		{tau, input(g, "narrow", 2, 5), "input narrow has shape (2, 5); want (batch, 6)"},
		{tau, G.NewMatrix(g, tensor.Float32, G.WithShape(2, 6), G.WithName("half")), "float32"},
		{x, x, "tau has shape (2, 6)"},
		{temperature(G.NewGraph(), 1), x, "graph"},
	} {
		checkError(t, latent(t, c.tau, 2, 3).Fwd(c.x).Err(), `layers: CategoricalLatent "z": Fwd: `, c.want)
	}
}
