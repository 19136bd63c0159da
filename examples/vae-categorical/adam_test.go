package main

import (
	"math"
	"math/rand/v2"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// weight is a tensor with its gradient, as a solver sees them.
type weight struct{ value, gradient *tensor.Dense }

func (w weight) Value() G.Value         { return w.value }
func (w weight) Grad() (G.Value, error) { return w.gradient, nil }

func newWeight(values []float32) weight {
	n := len(values)
	return weight{
		tensor.New(tensor.WithShape(n), tensor.WithBacking(values)),
		tensor.New(tensor.WithShape(n), tensor.WithBacking(make([]float32, n))),
	}
}

// Both do float32 operations in the same order, so they differ only where a
// compiler fuses a multiplication with an addition: by a few roundings a step,
// 2⁻²⁴ of the weight or, while moments of opposite sign cancel, of the update.
func TestAdamAgainstGorgonia(t *testing.T) {
	const n, steps, rate = 1000, 50, 0.01
	r := rand.New(rand.NewPCG(1, 2))
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	mine, theirs := newWeight(append([]float32(nil), values...)), newWeight(append([]float32(nil), values...))
	a, g := newAdam([]int{n}), G.NewAdamSolver(G.WithLearnRate(rate))
	a.rate = rate
	for step := range steps {
		for i := range n {
			// From tiny to large, with zeros among them.
			v := float32(r.NormFloat64()*math.Pow(10, float64(i%9)-6)) * float32(min(i%11, 1))
			mine.gradient.Data().([]float32)[i] = v
			theirs.gradient.Data().([]float32)[i] = v
		}
		if err := a.Step([]G.ValueGrad{mine}); err != nil {
			t.Fatal(err)
		}
		if err := g.Step([]G.ValueGrad{theirs}); err != nil {
			t.Fatal(err)
		}
		got, want := mine.value.Data().([]float32), theirs.value.Data().([]float32)
		tolerance := float64(step+1) * 4 * 0x1p-24
		for i := range n {
			if d := math.Abs(float64(got[i] - want[i])); !(d <= tolerance*math.Max(1, math.Abs(float64(want[i])))) {
				t.Fatalf("step %d: weight %d is %v, Gorgonia's %v", step, i, got[i], want[i])
			}
		}
	}
}

// After one step from zero moments, algorithm 1 moves each weight by
// rate·g/(|g| + ε).
func TestAdamFirstStep(t *testing.T) {
	w := newWeight([]float32{1, 1, 1})
	copy(w.gradient.Data().([]float32), []float32{3, -0.25, 0})
	a := newAdam([]int{3})
	a.rate = 0.5
	if err := a.Step([]G.ValueGrad{w}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{0.5, 1.5, 1} {
		if got := w.value.Data().([]float32)[i]; math.Abs(float64(got)-want) > 1e-5 {
			t.Errorf("weight %d is %v, want %v", i, got, want)
		}
	}
}

func TestAdamErrors(t *testing.T) {
	double := weight{tensor.New(tensor.WithBacking([]float64{1})), tensor.New(tensor.WithBacking([]float64{1}))}
	for name, model := range map[string][]G.ValueGrad{
		"number of tensors": {newWeight([]float32{1}), newWeight([]float32{1})},
		"length":            {newWeight([]float32{1, 2})},
		"dtype":             {double},
	} {
		if err := newAdam([]int{1}).Step(model); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
