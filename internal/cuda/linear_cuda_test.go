//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gumbel-go/gumbel/internal/cuda/tool/device"
	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/plan"
)

var activationNames = map[kernel.Activation]string{
	kernel.Identity: "identity", kernel.ReLU: "relu", kernel.Tanh: "tanh", kernel.Sigmoid: "sigmoid",
}

// A matrix has rows × columns elements.
type matrix[T kernel.Float] struct {
	rows, columns int
	data          []T
}

func random[T kernel.Float](rows, columns int, seed uint64) matrix[T] {
	r := rand.New(rand.NewPCG(seed, uint64(rows)<<32|uint64(columns)))
	m := matrix[T]{rows, columns, make([]T, rows*columns)}
	for i := range m.data {
		m.data[i] = T(r.NormFloat64())
	}
	return m
}

func (m matrix[T]) at(i, j int) float64 { return float64(m.data[i*m.columns+j]) }

func (m matrix[T]) transposed() matrix[T] {
	t := matrix[T]{m.columns, m.rows, make([]T, len(m.data))}
	for i := range m.rows {
		for j := range m.columns {
			t.data[j*m.rows+i] = m.data[i*m.columns+j]
		}
	}
	return t
}

// times returns the product in float64, and the error that each element may have if it
// is summed in T: a rounding per term, of a sum as large as that of the terms' absolute
// values.
func (m matrix[T]) times(n matrix[T]) (product, off []float64) {
	for i := range m.rows {
		for j := range n.columns {
			var sum, size float64
			for k := range m.columns {
				term := m.at(i, k) * n.at(k, j)
				sum += term
				size += math.Abs(term)
			}
			product, off = append(product, sum), append(off, epsilon[T]()/2*float64(m.columns)*size)
		}
	}
	if plan.FloatOf[T]() == plan.Float64 { // the product has the same errors
		for i := range off {
			off[i] *= 2
		}
	}
	return product, off
}

// both computes a product in tiles of both sizes and returns the result. The bits must
// be the same, because the order of a sum does not depend on the tiles.
func both[T kernel.Float](d device.Device, rows, columns int, launch func(out plan.Pointer) plan.Launch) []T {
	d.Helper()
	out := device.Alloc[T](d, rows*columns)
	l := launch(out)
	d.Run(l)
	got := device.Download[T](d, out, rows*columns)
	if !strings.Contains(l.Kernel, "_small_") {
		d.Fatalf("%s for %d × %d", l.Kernel, rows, columns)
	}
	l.Kernel = strings.Replace(l.Kernel, "_small_", "_large_", 1)
	l.Blocks = kernel.CeilDiv(rows, plan.LargeTile) * kernel.CeilDiv(columns, plan.LargeTile)
	out = device.Alloc[T](d, rows*columns)
	l.Params[0] = uint64(out)
	d.Run(l)
	if !slices.Equal(got, device.Download[T](d, out, rows*columns)) {
		d.Errorf("%s differs from the small tiles", l.Kernel)
	}
	return got
}

func TestLinearKernels(t *testing.T) {
	t.Run("float32", testLinearKernels[float32])
	t.Run("float64", testLinearKernels[float64])
}

func testLinearKernels[T kernel.Float](t *testing.T) {
	f := plan.FloatOf[T]()
	for _, size := range []struct{ batch, in, out int }{
		{1, 0, 1}, {3, 0, 65}, {1, 1, 1}, {1, 17, 1}, {3, 1, 17}, {17, 3, 3}, {17, 16, 64}, {64, 64, 64},
		{65, 33, 1}, {1, 70, 100}, {65, 17, 65}, {100, 70, 3}, {64, 15, 129}, {129, 65, 31},
	} {
		batch, in, out := size.batch, size.in, size.out
		x, w, b := random[T](batch, in, 1), random[T](in, out, 2), random[T](1, out, 3)
		grad := random[T](batch, out, 4)
		product, off := x.times(w)
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			d := device.Open(t)
			dx, dw, db, dg := device.Upload(d, x.data), device.Upload(d, w.data), device.Upload(d, b.data), device.Upload(d, grad.data)
			for a, name := range activationNames {
				y := both[T](d, batch, out, func(y plan.Pointer) plan.Launch { return plan.Linear(f, y, dx, dw, db, batch, in, out, a) })
				dz := both[T](d, batch, out, func(dz plan.Pointer) plan.Launch { return plan.GradLinearZ(f, dz, dx, dw, db, dg, batch, in, out, a) })
				for i := range y {
					z := product[i] + b.at(0, i%out)
					// The bias is one more rounding. No activation is steeper than
					// the identity, and no derivative except ReLU's is.
					off := off[i] + epsilon[T]()*math.Abs(z)
					g, want := grad.at(0, i), plainActivate(a, z)
					if !near(y[i], want, off+4*epsilon[T]()*math.Abs(want)) {
						t.Fatalf("%s: element %d is %v, want %v", name, i, y[i], want)
					}
					if a == kernel.ReLU && math.Abs(z) <= off {
						continue
					}
					if want := g * plainSlope(a, z); !near(dz[i], want, math.Abs(g)*(off+8*epsilon[T]())) {
						t.Fatalf("%s: gradient to z, element %d, is %v, want %v", name, i, dz[i], want)
					}
				}
			}
			wantX, offX := grad.times(w.transposed())
			wantW, offW := x.transposed().times(grad)
			if in > 0 {
				closeAll(t, "gradient to x", both[T](d, batch, in, func(dx plan.Pointer) plan.Launch { return plan.GradLinearX(f, dx, dg, dw, batch, in, out) }), wantX, offX)
				closeAll(t, "gradient to W", both[T](d, in, out, func(dw plan.Pointer) plan.Launch { return plan.GradLinearW(f, dw, dx, dg, batch, in, out) }), wantW, offW)
			}
		})
	}
}

func closeAll[T kernel.Float](t *testing.T, name string, got []T, want, off []float64) {
	t.Helper()
	for i := range got {
		if !near(got[i], want[i], off[i]) {
			t.Fatalf("%s: element %d is %v, want %v", name, i, got[i], want[i])
		}
	}
}

func plainActivate(a kernel.Activation, z float64) float64 {
	switch a {
	case kernel.ReLU:
		return math.Max(z, 0)
	case kernel.Tanh:
		return math.Tanh(z)
	case kernel.Sigmoid:
		return 1 / (1 + math.Exp(-z))
	default:
		return z
	}
}

func plainSlope(a kernel.Activation, z float64) float64 {
	switch y := plainActivate(a, z); {
	case a == kernel.ReLU && z <= 0:
		return 0
	case a == kernel.Tanh:
		return 1 - y*y
	case a == kernel.Sigmoid:
		return y * (1 - y)
	default:
		return 1
	}
}

// Products that the planner divides into large tiles, with edges in both directions.
func TestLinearKernelsLarge(t *testing.T) {
	const batch, in, out = 961, 2, 1023
	d := device.Open(t)
	x, w, b := random[float32](batch, in, 1), random[float32](in, out, 2), random[float32](1, out, 3)
	l := plan.Linear(plan.Float32, device.Alloc[float32](d, batch*out), device.Upload(d, x.data), device.Upload(d, w.data), device.Upload(d, b.data), batch, in, out, kernel.ReLU)
	if !strings.Contains(l.Kernel, "_large_") {
		t.Fatalf("planned %s", l.Kernel)
	}
	d.Run(l)
	product, off := x.times(w)
	for i, y := range device.Download[float32](d, plan.Pointer(l.Params[0]), batch*out) {
		z := product[i] + b.at(0, i%out)
		if !near(y, math.Max(z, 0), off[i]+0x1p-23*math.Abs(z)) {
			t.Fatalf("element %d is %v, want %v", i, y, z)
		}
	}
}

// The activations agree with the host's at the ends of their range. The input is the
// bias alone, because a product of depth 0 is 0.
func TestActivationKernels(t *testing.T) {
	t.Run("float32", testActivationKernels[float32])
	t.Run("float64", testActivationKernels[float64])
}

func testActivationKernels[T kernel.Float](t *testing.T) {
	f, inf, nan := plan.FloatOf[T](), math.Inf(1), math.NaN()
	var z, grad []T
	for _, v := range []float64{0, 1e-30, 1e-4, 0.5, 1, 10, 20, 87, 88, 89, 103, 104, 700, 709, 745, 1e30, inf} {
		for _, g := range []float64{1.5, 0, nan, inf} {
			z, grad = append(z, T(v), T(-v)), append(grad, T(g), T(g))
		}
	}
	z, grad = append(z, T(nan)), append(grad, 1)
	n := len(z)
	for a, name := range activationNames {
		t.Run(name, func(t *testing.T) {
			d := device.Open(t)
			b, g := device.Upload(d, z), device.Upload(d, grad)
			y, dz := device.Alloc[T](d, n), device.Alloc[T](d, n)
			d.Run(plan.Linear(f, y, 0, 0, b, 1, 0, n, a), plan.GradLinearZ(f, dz, 0, 0, b, g, 1, 0, n, a))
			gotY, gotZ := device.Download[T](d, y, n), device.Download[T](d, dz, n)
			wantY, wantZ := make([]T, n), make([]T, n)
			kernel.Activate(a, wantY, z, nil)
			kernel.GradActivate(a, wantZ, gotY, grad)
			for i := range z {
				same := wantY[i] == gotY[i] || math.IsNaN(float64(wantY[i])) && math.IsNaN(float64(gotY[i]))
				if !same && !near(gotY[i], float64(wantY[i]), 4*(epsilon[T]()*math.Abs(float64(wantY[i]))+tiny[T]())) {
					t.Errorf("of %v: %v, want %v", z[i], gotY[i], wantY[i])
				}
				if gotZ[i] != wantZ[i] && !(math.IsNaN(float64(wantZ[i])) && math.IsNaN(float64(gotZ[i]))) {
					t.Errorf("gradient %v at %v: %v, want %v", grad[i], z[i], gotZ[i], wantZ[i])
				}
			}
		})
	}
}

// A NaN reaches its own row or column alone, also at the edges of the matrix.
func TestLinearKernelsNaN(t *testing.T) {
	const batch, in, out = 5, 18, 35
	d := device.Open(t)
	x, w, b := random[float32](batch, in, 1), random[float32](in, out, 2), random[float32](1, out, 3)
	x.data[3*in+17], w.data[17*out+34] = float32(math.NaN()), float32(math.Inf(1))
	dx, dw, db := device.Upload(d, x.data), device.Upload(d, w.data), device.Upload(d, b.data)
	y := device.Alloc[float32](d, batch*out)
	d.Run(plan.Linear(plan.Float32, y, dx, dw, db, batch, in, out, kernel.Tanh))
	for i, v := range device.Download[float32](d, y, batch*out) {
		switch row, column := i/out, i%out; {
		case row == 3:
			if v == v {
				t.Errorf("element %d,%d is %v, want NaN", row, column, v)
			}
		case column == 34:
			if want := math.Copysign(1, x.at(row, 17)); float64(v) != want {
				t.Errorf("element %d,%d is %v, want %v", row, column, v, want)
			}
		case !(math.Abs(float64(v)) <= 1):
			t.Errorf("element %d,%d is %v", row, column, v)
		}
	}
}

func TestGradLinearBKernels(t *testing.T) {
	t.Run("float32", testGradLinearBKernels[float32])
	t.Run("float64", testGradLinearBKernels[float64])
}

func testGradLinearBKernels[T kernel.Float](t *testing.T) {
	d := device.Open(t)
	for _, size := range []struct{ batch, out int }{{0, 5}, {1, 1}, {3, 17}, {8, 32}, {9, 33}, {100, 65}, {1000, 3}} {
		dz := random[T](size.batch, size.out, 1)
		db := device.Alloc[T](d, size.out)
		d.Run(plan.GradLinearB(plan.FloatOf[T](), db, device.Upload(d, dz.data), size.batch, size.out))
		for j, got := range device.Download[T](d, db, size.out) {
			var want, scale float64
			for i := range size.batch {
				want += dz.at(i, j)
				scale += math.Abs(dz.at(i, j))
			}
			// Summed in float64 in another order, then rounded once.
			if !near(got, want, epsilon[T]()/2*math.Abs(want)+0x1p-52*float64(size.batch)*scale) {
				t.Errorf("%v: the sum of column %d is %v, want %v", size, j, got, want)
			}
		}
	}
}

func TestZeroKernels(t *testing.T) {
	d := device.Open(t)
	for _, n := range []int{1, 256, 1000} {
		x32, x64 := device.Upload(d, random[float32](1, n+1, 1).data), device.Upload(d, random[float64](1, n+1, 1).data)
		d.Run(plan.Zero(plan.Float32, x32, n), plan.Zero(plan.Float64, x64, n))
		got32, got64 := device.Download[float32](d, x32, n+1), device.Download[float64](d, x64, n+1)
		if slices.ContainsFunc(got32[:n], func(v float32) bool { return v != 0 }) || got32[n] == 0 {
			t.Errorf("float32: %v", got32)
		}
		if slices.ContainsFunc(got64[:n], func(v float64) bool { return v != 0 }) || got64[n] == 0 {
			t.Errorf("float64: %v", got64)
		}
	}
}
