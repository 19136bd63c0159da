//go:build cuda

package gorgonia

import (
	"math"
	"runtime"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Gorgonia's tape machine finds the elementwise kernels: its own ops fail without
// them.
func TestMachineHasItsKernels(t *testing.T) {
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		t.Run(dt.String(), func(t *testing.T) { testMachine(t, dt) })
	}
}

func testMachine(t *testing.T, dt tensor.Dtype) {
	x := []float64{-3, -1, -0.25, 0.5, 1, 2.5}
	w := []float64{1, 2, -1, 3, -2, 0.5}
	g := G.NewGraph()
	nx := G.NewMatrix(g, dt, G.WithShape(2, 3), G.WithName("x"), G.WithValue(dense(dt, x)))
	nw := G.NewMatrix(g, dt, G.WithShape(2, 3), G.WithName("w"), G.WithValue(dense(dt, w)))
	half := G.NewConstant(scalar(dt, 0.5))
	// x·w·σ(x) + (1/2-x)/(1/2)
	gated := G.Must(G.HadamardProd(G.Must(G.HadamardProd(nx, nw)), G.Must(G.Sigmoid(nx))))
	y := G.Must(G.Add(gated, G.Must(G.HadamardDiv(G.Must(G.Sub(half, nx)), half))))
	loss := G.Must(G.Sum(y))
	grads, err := G.Grad(loss, nx)
	if err != nil {
		t.Fatal(err)
	}
	var out, grad G.Value
	G.Read(y, &out)
	G.Read(grads[0], &grad)

	// A machine's context belongs to an OS thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m := G.NewTapeMachine(g)
	defer func() {
		// Close hangs if the engine's goroutine has not started.
		engine := &any(m).(G.CUDAMachine).Engines()[0]
		if err := engine.Context().Do(func() error { return nil }); err != nil {
			t.Error(err)
		}
		m.Close()
	}()
	for range 3 {
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		gotOut, gotGrad := floats(t, out), floats(t, grad)
		for i := range x {
			s := sigmoid(x[i])
			wantOut := x[i]*w[i]*s + 1 - 2*x[i]
			wantGrad := w[i]*s + x[i]*w[i]*s*(1-s) - 2
			if math.Abs(gotOut[i]-wantOut) > 1e-6 || math.Abs(gotGrad[i]-wantGrad) > 1e-6 {
				t.Errorf("x = %v: %v with gradient %v, want %v and %v", x[i], gotOut[i], gotGrad[i], wantOut, wantGrad)
			}
		}
		m.Reset()
	}
}

func dense(dt tensor.Dtype, x []float64) tensor.Tensor {
	if dt == tensor.Float64 {
		return tensor.New(tensor.WithShape(2, 3), tensor.WithBacking(append([]float64(nil), x...)))
	}
	y := make([]float32, len(x))
	for i := range x {
		y[i] = float32(x[i])
	}
	return tensor.New(tensor.WithShape(2, 3), tensor.WithBacking(y))
}

func scalar(dt tensor.Dtype, x float64) any {
	if dt == tensor.Float64 {
		return x
	}
	return float32(x)
}

func floats(t *testing.T, v G.Value) []float64 {
	t.Helper()
	switch x := v.Data().(type) {
	case []float64:
		return x
	case []float32:
		y := make([]float64, len(x))
		for i := range x {
			y[i] = float64(x[i])
		}
		return y
	}
	t.Fatalf("a value of %T", v.Data())
	return nil
}
