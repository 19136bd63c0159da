package kernel

import (
	"math"

	"github.com/gumbel-go/gumbel/internal/coeff"
)

// The float32 kernels have their own exponential and logarithm. Those of chewxy/math32
// take longer (BenchmarkExp), have assembly on some platforms, so that results would
// differ between machines, and are wrong for denormal numbers: math32.Log(1e-40) is
// -88.0, not -92.1.

// expUnderflow is below the logarithm of the least float32 above 0.
const expUnderflow = -104

// exp32 returns e^x for x ≤ 88, 0 for -Inf, to about one unit in the last place. The
// polynomial is coeff.Expf.
func exp32(x float32) float32 {
	if !(x > expUnderflow) {
		return 0
	}
	// Adding and subtracting 1.5·2²³ rounds to the nearest integer.
	const round = 3 << 22
	n := float32(float32(x*math.Log2E)+round) - round
	r := float32(x-float32(n*coeff.ExpfLn2Hi)) - float32(n*coeff.ExpfLn2Lo)
	z := float32(r * r)
	p01 := float32(coeff.ExpfC0 + float32(coeff.ExpfC1*r))
	p23 := float32(coeff.ExpfC2 + float32(coeff.ExpfC3*r))
	p45 := float32(coeff.ExpfC4 + float32(coeff.ExpfC5*r))
	p := float32(p01 + float32(z*float32(p23+float32(z*p45))))
	y := float32(float32(p*z)+r) + 1
	e := int32(n)
	if e < -126 { // a denormal number: two steps round it once
		return float32(y*exp2(e+64)) * exp2(-64)
	}
	return y * exp2(e)
}

// exp2 returns 2^e for -126 ≤ e ≤ 127.
func exp2(e int32) float32 { return math.Float32frombits(uint32(e+127) << 23) }

// expSum replaces x by e^x, for x ≤ 0, and returns the sum, in float64, so that many
// classes cost no accuracy.
func expSum[T Float](x []T) float64 {
	var sum float64
	switch x := any(x).(type) {
	case []float32:
		for i, v := range x {
			y := exp32(v)
			x[i] = y
			sum += float64(y)
		}
	case []float64:
		for i, v := range x {
			y := math.Exp(v)
			x[i] = y
			sum += y
		}
	}
	return sum
}
