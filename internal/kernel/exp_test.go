package kernel

import (
	"math"
	"testing"
)

// exp32 is within 2 units in the last place over all of its range, denormals
// included.
func TestExp32(t *testing.T) {
	worst, at := 0.0, float32(0)
	for x := float32(0); x > -110; x = math.Nextafter32(x, -200) - 1e-5 {
		want := math.Exp(float64(x))
		ulp := max(math.Exp2(math.Floor(math.Log2(want))-23), math.SmallestNonzeroFloat32)
		if off := math.Abs(float64(exp32(x))-want) / ulp; off > worst {
			worst, at = off, x
		}
	}
	t.Logf("worst error %.2f ulp at %v", worst, at)
	if worst > 2 {
		t.Errorf("exp32(%v) is off by %v ulp", at, worst)
	}
	for x, want := range map[float32]float32{0: 1, -200: 0, float32(math.Inf(-1)): 0, -math.MaxFloat32: 0} {
		if got := exp32(x); got != want {
			t.Errorf("exp32(%v) = %v, want %v", x, got, want)
		}
	}
}

// log1p32 is within 3 units in the last place on [0, 1].
func TestLog1p32(t *testing.T) {
	worst, at := 0.0, float32(0)
	for x := float32(1e-38); x <= 1; x = x*1.00001 + 1e-45 {
		want := math.Log1p(float64(x))
		ulp := math.Exp2(math.Floor(math.Log2(want)) - 23)
		if off := math.Abs(float64(log1p32(x))-want) / ulp; off > worst {
			worst, at = off, x
		}
	}
	t.Logf("worst error %.2f ulp at %v", worst, at)
	if worst > 3 {
		t.Errorf("log1p32(%v) is off by %v ulp", at, worst)
	}
	if log1p32(0) != 0 {
		t.Error("log1p32(0) is not 0")
	}
}
