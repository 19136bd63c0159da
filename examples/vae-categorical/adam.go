package main

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

const (
	adamBeta1   = 0.9
	adamBeta2   = 0.999
	adamEpsilon = 1e-8
)

// adam is algorithm 1 of Kingma & Ba, "Adam: A Method for Stochastic
// Optimization" (2015), for float32 tensors. Gorgonia's AdamSolver gives the
// same numbers, but its state cannot be saved.
type adam struct {
	rate  float64 // for the next step
	state adamState
}

// adamState is what a checkpoint keeps: the steps taken, and the running means
// of gradients and of their squares, one slice a tensor.
type adamState struct {
	Steps        int
	Mean, Square [][]float32
}

// newAdam returns an adam for tensors of the given sizes.
func newAdam(sizes []int) *adam {
	a := &adam{}
	for _, n := range sizes {
		a.state.Mean = append(a.state.Mean, make([]float32, n))
		a.state.Square = append(a.state.Square, make([]float32, n))
	}
	return a
}

// Step changes the weights in place. The model must be the same, in the same
// order, at each call.
func (a *adam) Step(model []G.ValueGrad) error {
	if len(model) != len(a.state.Mean) {
		return fmt.Errorf("adam: %d tensors, made for %d", len(model), len(a.state.Mean))
	}
	tensors := make([]adamTensor, len(model))
	for i, n := range model {
		var err error
		if tensors[i], err = a.tensor(i, n); err != nil {
			return fmt.Errorf("adam: tensor %d: %w", i, err)
		}
	}
	a.state.Steps++
	k := a.coefficients()
	for _, t := range tensors {
		k.Update(t.weights, t.gradient, t.mean, t.square)
	}
	return nil
}

// adamTensor is a tensor, its gradient and its moments, elementwise.
type adamTensor struct{ weights, gradient, mean, square []float32 }

// tensor reads tensor i of the model.
func (a *adam) tensor(i int, n G.ValueGrad) (t adamTensor, err error) {
	t.mean, t.square = a.state.Mean[i], a.state.Square[i]
	if t.weights, err = floats(n.Value()); err != nil {
		return t, err
	}
	gradient, err := n.Grad()
	if err != nil {
		return t, err
	}
	if t.gradient, err = floats(gradient); err != nil {
		return t, fmt.Errorf("gradient: %w", err)
	}
	if n := len(t.mean); len(t.weights) != n || len(t.gradient) != n {
		return t, fmt.Errorf("%d weights and %d gradients, made for %d", len(t.weights), len(t.gradient), n)
	}
	return t, nil
}

func (a *adam) coefficients() kernel.Adam[float32] {
	t := float64(a.state.Steps)
	return kernel.Adam[float32]{
		Beta1: adamBeta1, Beta2: adamBeta2, Epsilon: adamEpsilon,
		Rate:         float32(a.rate),
		UnbiasMean:   1 / float32(1-math.Pow(adamBeta1, t)),
		UnbiasSquare: 1 / float32(1-math.Pow(adamBeta2, t)),
	}
}

// floats returns the elements of a dense float32 tensor, not a copy.
func floats(v G.Value) ([]float32, error) {
	d, ok := v.(*tensor.Dense)
	if !ok {
		return nil, fmt.Errorf("value is a %T, want a dense tensor", v)
	}
	f, ok := d.Data().([]float32)
	if !ok {
		return nil, fmt.Errorf("tensor of %v, want float32", d.Dtype())
	}
	return f, nil
}
