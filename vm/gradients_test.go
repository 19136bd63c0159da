package vm_test

import (
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/vm"
)

// byHand is a learnable whose gradient is computed in Go.
type byHand struct{ value, grad G.Value }

func (p byHand) Value() G.Value         { return p.value }
func (p byHand) Grad() (G.Value, error) { return p.grad, nil }

// Solvers change the weights as they do with gradients computed by hand, and the
// next run uses the changed weights. The cost is s·Σ(w−t)².
func TestSolvers(t *testing.T) {
	target := []float64{0.5, -1, 2, 0}
	all := map[string]func() G.Solver{
		"Adam":     func() G.Solver { return G.NewAdamSolver(G.WithLearnRate(0.1)) },
		"Vanilla":  func() G.Solver { return G.NewVanillaSolver(G.WithLearnRate(0.1)) },
		"RMSProp":  func() G.Solver { return G.NewRMSPropSolver(G.WithLearnRate(0.1)) },
		"Momentum": func() G.Solver { return G.NewMomentum(G.WithLearnRate(0.1)) },
		"AdaGrad":  func() G.Solver { return G.NewAdaGradSolver() },
		"Barzilai": func() G.Solver { return G.NewBarzilaiBorweinSolver(G.WithLearnRate(0.1)) },
	}
	for name, solver := range all {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			t.Run(name+"/"+dt.String(), func(t *testing.T) {
				onlyTensors := name == "Barzilai" // float64 ones, as it happens
				if onlyTensors && dt == tensor.Float32 {
					t.Skip("takes float64 alone")
				}
				g := G.NewGraph()
				w := G.NewVector(g, dt, G.WithShape(4), G.WithName("w"), G.WithValue(dense(dt, []float64{1, 2, 3, 4}, 4)))
				to := G.NewVector(g, dt, G.WithShape(4), G.WithName("t"), G.WithValue(dense(dt, target, 4)))
				s := G.NewScalar(g, dt, G.WithName("s"), G.WithValue(scalar(dt, 0.3)))
				cost := G.Must(G.Mul(s, G.Must(G.Sum(G.Must(G.Square(G.Must(G.Sub(w, to))))))))
				if _, err := G.Grad(cost, w, s); err != nil {
					t.Fatal(err)
				}
				learnables := G.Nodes{w, s}
				hand := []byHand{{value: dense(dt, []float64{1, 2, 3, 4}, 4)}, {value: G.NewScalar(G.NewGraph(), dt, G.WithValue(scalar(dt, 0.3))).Value()}}
				if onlyTensors {
					learnables, hand = learnables[:1], hand[:1]
				}
				gradients, err := vm.ReadGradients(learnables...)
				if err != nil {
					t.Fatal(err)
				}
				m := open(t, g)
				machine, reference := solver(), solver()
				for range 3 {
					run(t, m)
					if err := machine.Step(gradients.ValueGrads()); err != nil {
						t.Fatal(err)
					}
					if err := reference.Step(handGradients(t, dt, hand, target)); err != nil {
						t.Fatal(err)
					}
					for i, n := range learnables {
						near(t, n.Name(), floats(t, n.Value()), floats(t, hand[i].value), 1e-5)
					}
				}
			})
		}
	}
}

func handGradients(t *testing.T, dt tensor.Dtype, hand []byHand, target []float64) []G.ValueGrad {
	w, s := floats(t, hand[0].value), 0.3
	if len(hand) > 1 {
		s = floats(t, hand[1].value)[0]
	}
	dw, ds := make([]float64, len(w)), 0.0
	for i := range w {
		dw[i] = 2 * s * (w[i] - target[i])
		ds += (w[i] - target[i]) * (w[i] - target[i])
	}
	hand[0].grad = dense(dt, dw, len(dw))
	model := []G.ValueGrad{hand[0]}
	if len(hand) > 1 {
		hand[1].grad = G.NewScalar(G.NewGraph(), dt, G.WithValue(scalar(dt, ds))).Value()
		model = append(model, hand[1])
	}
	return model
}

// A solver may change a gradient: that changes neither another learnable's
// gradient nor an input, although all three are one node.
func TestGradientsShareNothing(t *testing.T) {
	g := G.NewGraph()
	vector := func(name string, values ...float64) *G.Node {
		return G.NewVector(g, tensor.Float64, G.WithShape(2), G.WithName(name), G.WithValue(dense(tensor.Float64, values, 2)))
	}
	a, b, upstream := vector("a", 1, 2), vector("b", 3, 4), vector("upstream", 10, 20)
	sum := G.Must(G.Add(a, b))
	if _, err := G.Backpropagate(G.Nodes{sum}, G.Nodes{upstream}, G.Nodes{a, b}); err != nil {
		t.Fatal(err)
	}
	gradients, err := vm.ReadGradients(a, b)
	if err != nil {
		t.Fatal(err)
	}
	m := open(t, g)
	solver := G.NewVanillaSolver(G.WithLearnRate(0.1))
	for range 2 {
		run(t, m)
		if err := solver.Step(gradients.ValueGrads()); err != nil {
			t.Fatal(err)
		}
	}
	near(t, "a", floats(t, a.Value()), []float64{-1, -2}, 1e-12)
	near(t, "b", floats(t, b.Value()), []float64{1, 0}, 1e-12)
	near(t, "upstream", floats(t, upstream.Value()), []float64{10, 20}, 0)
}

func TestReadGradientsRefuses(t *testing.T) {
	g := newMixed(t, tensor.Float32)
	product := G.Must(G.Square(g.x))
	for name, tc := range map[string]struct {
		n    *G.Node
		want string
	}{
		"nil":            {nil, "learnable 1: is nil"},
		"not a variable": {product, "is not a variable"},
		"no gradient":    {g.x, "x has no gradient"},
	} {
		if _, err := vm.ReadGradients(g.w, tc.n); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestGradientBeforeRun(t *testing.T) {
	g := newMixed(t, tensor.Float32)
	gradients, err := vm.ReadGradients(g.w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gradients.ValueGrads()[0].Grad(); err == nil || !strings.Contains(err.Error(), "run the machine first") {
		t.Errorf("error %v", err)
	}
}
