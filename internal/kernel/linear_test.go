package kernel

import (
	"math"
	"slices"
	"testing"
)

var activations = map[Activation]struct{ f, derivative func(float64) float64 }{
	Identity: {func(z float64) float64 { return z }, func(float64) float64 { return 1 }},
	ReLU: {func(z float64) float64 { return math.Max(z, 0) }, func(z float64) float64 {
		if z > 0 {
			return 1
		}
		return 0
	}},
	Tanh:    {math.Tanh, func(z float64) float64 { return 1 / (math.Cosh(z) * math.Cosh(z)) }},
	Sigmoid: {func(z float64) float64 { return 1 / (1 + math.Exp(-z)) }, func(z float64) float64 { return math.Exp(-z) / math.Pow(1+math.Exp(-z), 2) }},
}

func TestActivate(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testActivate[float32](t, 1e-6) })
	t.Run("float64", func(t *testing.T) { testActivate[float64](t, 1e-14) })
}

func testActivate[T Float](t *testing.T, tolerance float64) {
	// Small sizes, and one large enough to be split. One z is exactly 0.
	for _, dims := range [][2]int{{1, 1}, {3, 4}, {300, 257}} {
		rows, width := dims[0], dims[1]
		z, bias, grad := finite[T](rows*width, 1), finite[T](width, 2), finite[T](rows*width, 3)
		z[0], bias[0] = 1, -1
		for a, want := range activations {
			y, kept, dz := slices.Clone(z), make([]T, len(z)), make([]T, len(z))
			Activate(a, y, bias, kept)
			GradActivate(a, dz, y, grad)
			if !slices.Equal(y, kept) {
				t.Errorf("%v %v: the kept copy differs from y", a, dims)
			}
			for i := range y {
				x := float64(z[i] + bias[i%width])
				if w := want.f(x); !(math.Abs(float64(y[i])-w) <= tolerance*math.Abs(w)) {
					t.Fatalf("%v(%v) is %v, want %v", a, x, y[i], w)
				}
				if w := float64(grad[i]) * want.derivative(x); !(math.Abs(float64(dz[i])-w) <= tolerance*math.Abs(float64(grad[i]))) {
					t.Fatalf("gradient of %v at %v is %v, want %v", a, x, dz[i], w)
				}
			}
		}
	}
}

// finite returns normals without infinities.
func finite[T Float](n int, seed uint64) []T {
	x := normals[T](n, 1, seed)
	for i := range x {
		x[i] = max(x[i], -3)
	}
	return x
}

func TestActivateExtremes(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for a, want := range map[Activation][]float64{
		Identity: {-inf, inf}, ReLU: {0, inf}, Tanh: {-1, 1}, Sigmoid: {0, 1},
	} {
		y := []float64{-inf, inf, nan}
		Activate(a, y, []float64{0, 0, 0}, nil)
		if y[0] != want[0] || y[1] != want[1] || !math.IsNaN(y[2]) {
			t.Errorf("%v of -Inf, +Inf, NaN is %v", a, y)
		}
	}
	// A gradient that is not finite must not pass a unit that is off.
	dz := make([]float32, 2)
	GradActivate(ReLU, dz, []float32{0, 1}, []float32{float32(nan), 2})
	if dz[0] != 0 || dz[1] != 2 {
		t.Errorf("gradient is %v", dz)
	}
}

func TestSumRows(t *testing.T) {
	dst := []float64{9, 9}
	SumRows(dst, []float64{1, 2, 3, 4, 5, 6})
	if !slices.Equal(dst, []float64{9, 12}) {
		t.Errorf("the sums are %v, want [9 12]", dst)
	}
	if SumRows(dst, nil); !slices.Equal(dst, []float64{0, 0}) {
		t.Errorf("the sums of no rows are %v", dst)
	}
	SumRows(nil, []float64{1}) // returns
}

// The error of a sum does not grow with the number of rows, and an infinity or NaN
// passes through.
func TestSumRowsAccuracy(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const rows, width = 1_000_000, 9
		m, dst := make([]float32, rows*width), make([]float32, width)
		for i := range m {
			m[i] = 0.1
		}
		SumRows(dst, m)
		for i, v := range dst {
			if want := rows * float64(float32(0.1)); math.Abs(float64(v)/want-1) > 1e-7 {
				t.Fatalf("sum %d of 10⁶ rows of 0.1 is %v, want %v", i, v, want)
			}
		}
		inf := float32(math.Inf(1))
		m[3*width], m[5*width+1], m[6*width+1] = inf, inf, -inf
		if SumRows(dst, m); dst[0] != inf || dst[1] == dst[1] || !isFinite(dst[2]) {
			t.Errorf("infinite rows have the sums %v", dst)
		}
	})
}
