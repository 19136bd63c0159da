package layers_test

import (
	"math"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/layers"
)

func TestGlorotUniformLaw(t *testing.T) {
	for _, c := range []struct {
		shape []int
		fans  float64
	}{
		{[]int{300, 200}, 500},
		{[]int{3}, 4},
		{[]int{30, 20, 7, 5}, 50 * 7 * 5},
	} {
		var w []float64
		for init := layers.GlorotUniform(7); len(w) < 20000; {
			v := init(tensor.Float64, c.shape...).([]float64)
			if len(v) != tensor.Shape(c.shape).TotalSize() {
				t.Fatalf("shape %v: %d values", c.shape, len(v))
			}
			w = append(w, v...)
		}
		a := math.Sqrt(6 / c.fans)
		if lo, hi := slices.Min(w), slices.Max(w); lo < -a || hi > a || lo > -0.999*a || hi < 0.999*a {
			t.Errorf("shape %v: values span [%v, %v], want almost all of ±%v", c.shape, lo, hi, a)
		}
		if d := distance(w, a); d > 1.95/math.Sqrt(float64(len(w))) { // the 0.1% point of Kolmogorov's law
			t.Errorf("shape %v: Kolmogorov-Smirnov distance %v from U(-a, a)", c.shape, d)
		}
	}
}

// distance is the Kolmogorov-Smirnov statistic of w against U(-a, a).
func distance(w []float64, a float64) float64 {
	w = slices.Sorted(slices.Values(w))
	n, d := float64(len(w)), 0.0
	for i, v := range w {
		f := (v + a) / (2 * a)
		d = max(d, f-float64(i)/n, float64(i+1)/n-f)
	}
	return d
}

func TestGlorotUniformSeeds(t *testing.T) {
	draw := func(seed uint64) ([]float64, []float64) {
		f := layers.GlorotUniform(seed)
		return f(tensor.Float64, 4, 5).([]float64), f(tensor.Float64, 4, 5).([]float64)
	}
	a1, a2 := draw(1)
	b1, b2 := draw(1)
	c1, _ := draw(2)
	if !slices.Equal(a1, b1) || !slices.Equal(a2, b2) {
		t.Error("equal seeds gave different weights")
	}
	if slices.Equal(a1, a2) {
		t.Error("the second call repeated the first")
	}
	if slices.Equal(a1, c1) {
		t.Error("different seeds gave equal weights")
	}
	// Held so that a seed means the same weights in the next release.
	if got, want := a1[0], -0.42715314060293186; got != want {
		t.Errorf("the first weight of seed 1 is %v, was %v", got, want)
	}
	for i, v := range layers.GlorotUniform(1)(tensor.Float32, 4, 5).([]float32) {
		if v != float32(a1[i]) {
			t.Errorf("float32 weight %d is %v, want %v rounded", i, v, a1[i])
		}
	}
}

// What it cannot do is no panic: a dtype without weights gives nil, which
// NewLinear reports, and a scalar is a matrix of one weight.
func TestGlorotUniformElsewhere(t *testing.T) {
	if got := layers.GlorotUniform(1)(tensor.Int, 2, 2); got != nil {
		t.Errorf("weights of dtype int: %v", got)
	}
	got, ok := layers.GlorotUniform(1)(tensor.Float64).([]float64)
	if !ok || len(got) != 1 || math.Abs(got[0]) > math.Sqrt(3) {
		t.Errorf("a scalar's weights: %v", got)
	}
}
