//go:build cuda

package gorgonia

import (
	"fmt"
	"math"
	"testing"

	"github.com/gumbel-go/gumbel/internal/cuda/tool/device"
	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// ulps returns the error of got in units in T's last place.
func ulps[T kernel.Float](got T, want float64) float64 {
	if math.IsNaN(float64(got)) && math.IsNaN(want) || float64(got) == want || float64(got) == float64(T(want)) {
		return 0
	}
	mantissa, smallest := 23, math.SmallestNonzeroFloat32
	if plan.FloatOf[T]() == plan.Float64 {
		mantissa, smallest = 52, math.SmallestNonzeroFloat64
	}
	_, exponent := math.Frexp(want)
	return math.Abs(float64(got)-want) / max(math.Ldexp(1, exponent-1-mantissa), smallest)
}

// inPlace plans a launch as Gorgonia's engines do.
func inPlace(name string, n int, operands ...plan.Pointer) plan.Launch {
	const threads = 1024
	l := plan.Launch{Kernel: name, Blocks: kernel.CeilDiv(n, threads), Threads: threads, Params: plan.Pointers(operands...).Ints(n)}
	if l.Blocks == 1 {
		l.Threads = n
	}
	return l
}

var special = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.5, -2.5, 3, 1e-30, -1e-30, 1e-3, 17.25, -17.25, 60, -60, 88, -88, 100, -100, 3000, -3000,
	math.Inf(1), math.Inf(-1), math.NaN(),
}

// values returns n numbers that begin with the special ones.
func values[T kernel.Float](n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(math.Sin(float64(i)) * float64(i%37) / 4)
		if i < len(special) {
			x[i] = T(special[i])
		}
	}
	return x
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func TestBinaryElementwise(t *testing.T) {
	binary := map[string]struct {
		want func(a, b float64) float64
		ulps float64
	}{
		"add": {func(a, b float64) float64 { return a + b }, 0.51},
		"sub": {func(a, b float64) float64 { return a - b }, 0.51},
		"mul": {func(a, b float64) float64 { return a * b }, 0.51},
		"div": {func(a, b float64) float64 { return a / b }, 0.51},
		// math.Pow is not more accurate than that.
		"pow": {math.Pow, 32},
		"mod": {math.Mod, 0},
		"lt":  {func(a, b float64) float64 { return truth(a < b) }, 0},
		"lte": {func(a, b float64) float64 { return truth(a <= b) }, 0},
		"gt":  {func(a, b float64) float64 { return truth(a > b) }, 0},
		"gte": {func(a, b float64) float64 { return truth(a >= b) }, 0},
		"eq":  {func(a, b float64) float64 { return truth(a == b) }, 0},
		"ne":  {func(a, b float64) float64 { return truth(a != b) }, 0},
	}
	if n := len(entriesOf(t, "elembinop")); n != len(binary)*8 {
		t.Errorf("%d kernels, %d operations", n, len(binary))
	}
	for name, op := range binary {
		t.Run(name, func(t *testing.T) {
			d := device.Open(t)
			testBinary[float32](d, name, op.want, op.ulps)
			testBinary[float64](d, name, op.want, op.ulps)
		})
	}
}

func testBinary[T kernel.Float](d device.Device, name string, want func(a, b float64) float64, tolerance float64) {
	for _, form := range []string{"vv", "vs", "sv", "ss"} {
		kernel := fmt.Sprintf("elembinop.%s_%s_%s", name, form, plan.FloatOf[T]())
		n := 1500
		if form == "ss" {
			n = 1
		}
		a, b := values[T](n), make([]T, n)
		for i := range b {
			b[i] = a[(i*7+3)%n]
		}
		if form == "sv" {
			a = []T{2.5}
		}
		if form == "vs" {
			b = []T{-0.75}
		}
		pa, pb := device.Upload(d, a), device.Upload(d, b)
		d.Run(inPlace(kernel, n, pa, pb))
		out := pa
		if form == "sv" {
			out = pb
		}
		for i, got := range device.Download[T](d, out, n) {
			x, y := float64(a[i%len(a)]), float64(b[i%len(b)])
			if u := ulps(got, want(x, y)); !(u <= tolerance) {
				d.Fatalf("%s(%v, %v) = %v, want %v (%.1f units in the last place)", kernel, x, y, got, want(x, y), u)
			}
		}
	}
}

// sign returns 0 and NaN unchanged, as Gorgonia's does on the CPU.
func sign(x float64) float64 {
	if x > 0 || x < 0 {
		return math.Copysign(1, x)
	}
	return x
}

func TestUnaryElementwise(t *testing.T) {
	unary := map[string]struct {
		want func(x float64) float64
		ulps float64
	}{
		"abs":      {math.Abs, 0},
		"sign":     {sign, 0},
		"ceil":     {math.Ceil, 0},
		"floor":    {math.Floor, 0},
		"sin":      {math.Sin, 4},
		"cos":      {math.Cos, 4},
		"exp":      {math.Exp, 4},
		"ln":       {math.Log, 4},
		"log2":     {func(x float64) float64 { return math.Log(x) / math.Ln2 }, 4},
		"neg":      {func(x float64) float64 { return -x }, 0},
		"square":   {func(x float64) float64 { return x * x }, 0.51},
		"sqrt":     {math.Sqrt, 0.51},
		"inv":      {func(x float64) float64 { return 1 / x }, 0.51},
		"invSqrt":  {func(x float64) float64 { return 1 / math.Sqrt(x) }, 2},
		"cube":     {func(x float64) float64 { return x * x * x }, 2},
		"tanh":     {math.Tanh, 6},
		"sigmoid":  {sigmoid, 6},
		"log1p":    {math.Log1p, 4},
		"expm1":    {math.Expm1, 4},
		"softplus": {func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }, 6},
	}
	if n := len(entriesOf(t, "elemunaryop")); n != len(unary)*2 {
		t.Errorf("%d kernels, %d operations", n, len(unary))
	}
	for name, op := range unary {
		t.Run(name, func(t *testing.T) {
			d := device.Open(t)
			testUnary[float32](d, name, op.want, op.ulps)
			testUnary[float64](d, name, op.want, op.ulps)
		})
	}
}

// sigmoid avoids 1-y, in which small numbers would be lost.
func sigmoid(x float64) float64 {
	if x < 0 {
		return math.Exp(x) / (1 + math.Exp(x))
	}
	return 1 / (1 + math.Exp(-x))
}

func testUnary[T kernel.Float](d device.Device, name string, want func(x float64) float64, tolerance float64) {
	kernel := fmt.Sprintf("elemunaryop.%s_%s", name, plan.FloatOf[T]())
	x := values[T](1500)
	p := device.Upload(d, x)
	d.Run(inPlace(kernel, len(x), p))
	for i, got := range device.Download[T](d, p, len(x)) {
		if u := ulps(got, want(float64(x[i]))); !(u <= tolerance) {
			d.Fatalf("%s(%v) = %v, want %v (%.1f units in the last place)", kernel, x[i], got, want(float64(x[i])), u)
		}
	}
}

func entriesOf(t *testing.T, name string) []string {
	t.Helper()
	for _, m := range Modules() {
		if m.Name == name {
			return m.Entries
		}
	}
	t.Fatalf("there is no module %s", name)
	return nil
}
