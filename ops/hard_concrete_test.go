package ops_test

import (
	"math"
	"reflect"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

func tauOf(g *G.ExprGraph, v float64) *G.Node {
	return G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(v))
}

// The noise, and so the relaxed sample that is stretched, is RelaxedBernoulli's. Certain
// gates change no other gate's draw.
func TestHardConcreteIsRelaxedBernoulli(t *testing.T) {
	g := G.NewGraph()
	x, logits := rowOf(g, "x", make([]float64, 1000)...), make([]float64, 1000)
	for i := range logits {
		if i%3 == 0 {
			logits[i] = math.Inf(1 - i%2*2)
		}
	}
	certain, tau, stretch := rowOf(g, "certain", logits...), tauOf(g, 0.8), ops.WithStretch(-0.3, 1.2)
	soft := G.Must(ops.RelaxedBernoulli(x, tau, ops.WithSource(ops.NewSource(3))))
	gates := G.Must(ops.HardConcrete(x, tau, ops.WithSource(ops.NewSource(3)), stretch))
	mixed := G.Must(ops.HardConcrete(certain, tau, ops.WithSource(ops.NewSource(3)), stretch))
	got := runOnce(t, G.Nodes{soft, gates, mixed})
	for i, s := range got[0] {
		z, m := got[1][i], got[2][i]
		if want := min(max(1.5*s-0.3, 0), 1); math.Abs(z-want) > 1e-14 {
			t.Fatalf("gate %d is %v, want %v", i, z, want)
		}
		if want := max(0, math.Copysign(1, logits[i])); i%3 == 0 && m != want || i%3 != 0 && m != z {
			t.Fatalf("gate %d of logit %v is %v beside certain gates, else %v", i, logits[i], m, z)
		}
	}
}

// Under EvalMode, the gate and its gradients have neither noise nor tau. The number of
// the gate was computed independently.
func TestHardConcreteEval(t *testing.T) {
	s := 1 / (1 + math.Exp(-0.5))
	want := [][]float64{{0.646951197442, 0, 1, 0, 1}, {1.2 * s * (1 - s), 0, 0, 0, 0}, {0}, {0, 0, 0, 0, 0}}
	for _, given := range []bool{false, true} {
		g := G.NewGraph()
		logAlpha, tau := rowOf(g, "logAlpha", 0.5, -3, 3, math.Inf(-1), math.Inf(1)), tauOf(g, 0.1)
		wrt, options := G.Nodes{logAlpha, tau}, []ops.HardConcreteOption{ops.WithDeterministicEval()}
		if given {
			noise := rowOf(g, "noise", 1, 2, 3, 4, 5)
			wrt, options = append(wrt, noise), append(options, ops.WithNoise(noise))
		}
		gates := G.Must(ops.HardConcrete(logAlpha, tau, options...))
		upstream := rowOf(g, "upstream", 1, 1, 1, math.NaN(), math.Inf(1))
		grads, err := G.Backpropagate(G.Nodes{gates}, G.Nodes{upstream}, wrt)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range runOnce(t, append(G.Nodes{gates}, grads...), G.EvalMode()) {
			if !slices.EqualFunc(got, want[i], func(x, y float64) bool { return x == y || y != 0 && y != 1 && math.Abs(x-y) < 1e-12 }) {
				t.Errorf("noise given %v: array %d is %v, want %v", given, i, got, want[i])
			}
		}
	}
}

// Options of other samples do not compile, and WithStretch compiles nowhere else.
func TestHardConcreteOptions(t *testing.T) {
	gate := reflect.TypeFor[ops.HardConcreteOption]()
	for option, fits := range map[reflect.Type]bool{
		reflect.TypeFor[ops.SourceOption](): true, reflect.TypeFor[ops.DrawOption](): true, reflect.TypeFor[ops.StretchOption](): true,
		reflect.TypeFor[ops.SampleOption](): false, reflect.TypeFor[ops.DistributionOption](): false, reflect.TypeFor[ops.NoiseOption](): false,
	} {
		if option.AssignableTo(gate) != fits {
			t.Errorf("%v is an option of HardConcrete: %v", option, !fits)
		}
	}
	for _, other := range []reflect.Type{
		reflect.TypeFor[ops.GumbelSoftmaxOption](), reflect.TypeFor[ops.CategoricalOption](), reflect.TypeFor[ops.SampleOption](),
		reflect.TypeFor[ops.DistributionOption](), reflect.TypeFor[ops.NoiseOption](),
	} {
		if reflect.TypeFor[ops.StretchOption]().AssignableTo(other) {
			t.Errorf("WithStretch is a %v", other)
		}
	}
	if o := reflect.TypeOf(ops.HardConcreteOpen).In(2).Elem(); o != reflect.TypeFor[ops.StretchOption]() {
		t.Errorf("the options of HardConcreteOpen are %v", o)
	}
}
