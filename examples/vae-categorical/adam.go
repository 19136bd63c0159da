package main

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
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

// Step changes the weights in place and sets the gradients, which Gorgonia
// accumulates, back to zero. The model must be the same, in the same order, at
// each call.
func (a *adam) Step(model []G.ValueGrad) error {
	if len(model) != len(a.state.Mean) {
		return fmt.Errorf("adam: %d tensors, made for %d", len(model), len(a.state.Mean))
	}
	a.state.Steps++
	k := a.coefficients()
	for i, n := range model {
		gradient, err := n.Grad()
		if err != nil {
			return fmt.Errorf("adam: tensor %d: %w", i, err)
		}
		w, err := floats(n.Value())
		if err != nil {
			return fmt.Errorf("adam: tensor %d: %w", i, err)
		}
		g, err := floats(gradient)
		if err != nil {
			return fmt.Errorf("adam: gradient %d: %w", i, err)
		}
		if want := len(a.state.Mean[i]); len(w) != want || len(g) != want {
			return fmt.Errorf("adam: tensor %d has %d weights and %d gradients, made for %d", i, len(w), len(g), want)
		}
		k.update(w, g, a.state.Mean[i], a.state.Square[i])
	}
	return nil
}

type coefficients struct {
	rate, unbiasMean, unbiasSquare float32
}

func (a *adam) coefficients() coefficients {
	t := float64(a.state.Steps)
	return coefficients{
		rate:         float32(a.rate),
		unbiasMean:   1 / float32(1-math.Pow(adamBeta1, t)),
		unbiasSquare: 1 / float32(1-math.Pow(adamBeta2, t)),
	}
}

// update makes one pass: memory, not arithmetic, is what Adam waits for.
func (k coefficients) update(w, g, mean, square []float32) {
	const beta1, beta2, epsilon = float32(adamBeta1), float32(adamBeta2), float32(adamEpsilon)
	g, mean, square = g[:len(w)], mean[:len(w)], square[:len(w)] // spares the bounds checks
	for i := range w {
		m := beta1*mean[i] + (1-beta1)*g[i]
		s := beta2*square[i] + (1-beta2)*(g[i]*g[i])
		w[i] -= k.rate * (m * k.unbiasMean) / (float32(math.Sqrt(float64(s*k.unbiasSquare))) + epsilon)
		mean[i], square[i], g[i] = m, s, 0
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
