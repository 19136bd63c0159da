package kernel

import (
	"math"
	"testing"

	"github.com/chewxy/math32"
)

// The reason why the float32 kernels do not use the logarithm of math32: see exp.go.
func TestMath32IsWrongForDenormals(t *testing.T) {
	const x = 1e-40
	if got, want := float64(math32.Log(x)), math.Log(x); math.Abs(got-want) < 1 {
		t.Errorf("math32.Log(%v) is %v, within 1 of %v: reconsider exp.go", x, got, want)
	}
}

func BenchmarkExp(b *testing.B) {
	x := normals[float32](1<<12, 10, 1)
	for i := range x {
		x[i] = min(x[i], -x[i])
	}
	for name, f := range map[string]func(float32) float32{"exp32": exp32, "math32": math32.Exp} {
		b.Run(name, func(b *testing.B) {
			var sum float32
			for b.Loop() {
				for _, v := range x {
					sum += f(v)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(x)), "ns/element")
		})
	}
}
