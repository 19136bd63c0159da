//go:build cuda

package cuda

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gumbel-go/gumbel/internal/cuda/tool/device"
	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// A bernoulliCase is a function of two arrays, or a gradient of one, on the device and on
// the host in float64.
type bernoulliCase struct {
	name   string
	launch func(out, x, y, grad, status plan.Pointer) plan.Launch
	host   func(dst, x, y, grad []float64) error
}

func bernoulliCases(f plan.Float, n int, tau float64, tauAt plan.Pointer) []bernoulliCase {
	density := func(out, logits, value, grad, status plan.Pointer) plan.RelaxedDensity {
		return plan.RelaxedDensity{Float: f, N: n, Out: out, Logits: logits, Value: value, Tau: tauAt, Grad: grad, Status: status}
	}
	onHost := func(logits, value []float64) kernel.RelaxedDensity[float64] {
		return kernel.RelaxedDensity[float64]{Logits: logits, Value: value, Tau: tau}
	}
	return []bernoulliCase{
		{"the divergence", func(out, q, p, _, status plan.Pointer) plan.Launch { return plan.BernoulliKL(f, out, q, p, n, status) },
			func(dst, q, p, _ []float64) error { return kernel.BernoulliKL(dst, q, p) }},
		{"its gradient to q", func(out, q, p, grad, status plan.Pointer) plan.Launch {
			return plan.GradBernoulliKLQ(f, out, q, p, grad, n, status)
		}, kernel.GradBernoulliKLQ[float64]},
		{"its gradient to p", func(out, q, p, grad, status plan.Pointer) plan.Launch {
			return plan.GradBernoulliKLP(f, out, q, p, grad, n, status)
		}, kernel.GradBernoulliKLP[float64]},
		{"the log density", func(out, logits, value, grad, status plan.Pointer) plan.Launch {
			return density(out, logits, value, grad, status).Log()
		}, func(dst, logits, value, _ []float64) error { return onHost(logits, value).Log(dst) }},
		{"its gradient to the logits", func(out, logits, value, grad, status plan.Pointer) plan.Launch {
			return density(out, logits, value, grad, status).GradLogits()
		}, func(dst, logits, value, grad []float64) error { return onHost(logits, value).GradLogits(dst, grad) }},
		{"its gradient to the value", func(out, logits, value, grad, status plan.Pointer) plan.Launch {
			return density(out, logits, value, grad, status).GradValue()
		}, func(dst, logits, value, grad []float64) error { return onHost(logits, value).GradValue(dst, grad) }},
	}
}

// The device agrees with the host for logits of all sizes and differences.
func TestBernoulliKernels(t *testing.T) {
	t.Run("float32", testBernoulliKernels[float32])
	t.Run("float64", testBernoulliKernels[float64])
}

func testBernoulliKernels[T kernel.Float](t *testing.T) {
	d, f := device.Open(t), plan.FloatOf[T]()
	sizes := []float64{0, 1e-30, 1e-6, 0.5, 3, 20, 88, 104, 708, 745, 1e4, 1e30, 3e38}
	r := rand.New(rand.NewPCG(1, 0))
	var x, y, g []T
	add := func(a, b float64) { x, y, g = append(x, T(a)), append(y, T(b)), append(g, T(r.NormFloat64())) }
	for _, a := range sizes {
		for _, b := range sizes {
			add(a, b)
			add(-a, b)
			add(a, -b)
		}
		for _, difference := range []float64{0, 1e-6, 0.01, 0.7, 1.99, 2, 5} {
			add(a, a+difference)
			add(-a, difference-a)
		}
	}
	n := len(x)
	const tau = 0.5
	dx, dy, dg, at := device.Upload(d, x), device.Upload(d, y), device.Upload(d, g), device.Upload(d, []T{tau})
	for _, c := range bernoulliCases(f, n, tau, at) {
		got, bad := runs[T](d, n, func(out, status plan.Pointer) plan.Launch { return c.launch(out, dx, dy, dg, status) })
		want := make([]float64, n)
		if err := c.host(want, widened(x), widened(y), widened(g)); err != nil || bad != 0 {
			t.Fatalf("%s: status %d, error %v", c.name, bad, err)
		}
		for i := range n {
			want[i] = max(want[i], -greatest[T]())
			// Where nothing cancels, a few exponentials and roundings; a denormal
			// exponential may be off by its difference.
			tolerance := 8*epsilon[T]()*math.Abs(want[i]) + 4*tiny[T]()*(1+math.Abs(float64(x[i])-float64(y[i])))
			if !near(got[i], want[i], tolerance) {
				t.Errorf("%s of %v and %v is %v, want %v", c.name, x[i], y[i], got[i], want[i])
			}
		}
	}
}

// greatest is the greatest finite number.
func greatest[T kernel.Float]() float64 {
	if plan.FloatOf[T]() == plan.Float32 {
		return math.MaxFloat32
	}
	return math.MaxFloat64
}

// Kernels refuse NaN and infinities.
func TestBernoulliKernelsRefuse(t *testing.T) {
	t.Run("float32", testBernoulliKernelsRefuse[float32])
	t.Run("float64", testBernoulliKernelsRefuse[float64])
}

func testBernoulliKernelsRefuse[T kernel.Float](t *testing.T) {
	d, f := device.Open(t), plan.FloatOf[T]()
	const n = 300
	at := device.Upload(d, []T{1})
	for _, v := range []T{T(math.NaN()), T(math.Inf(1)), T(math.Inf(-1))} {
		for which := range 2 {
			in := [2][]T{make([]T, n), make([]T, n)}
			in[which][n-1] = v
			x, y, g := device.Upload(d, in[0]), device.Upload(d, in[1]), device.Upload(d, make([]T, n))
			for _, c := range bernoulliCases(f, n, 1, at) {
				if _, status := runs[T](d, n, func(out, status plan.Pointer) plan.Launch { return c.launch(out, x, y, g, status) }); status != 1 {
					t.Errorf("%s: input %d has %v: status %d", c.name, which, v, status)
				}
			}
		}
	}
}
