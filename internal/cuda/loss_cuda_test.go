//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gumbel-go/gumbel/internal/cuda/tool/device"
	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// epsilon is the distance from 1 to the next T.
func epsilon[T kernel.Float]() float64 {
	if plan.FloatOf[T]() == plan.Float32 {
		return 0x1p-23
	}
	return 0x1p-52
}

// runs runs a launch with a new output and a status of 0, and returns both.
func runs[T kernel.Float](d device.Device, n int, launch func(out, status plan.Pointer) plan.Launch) ([]T, int32) {
	d.Helper()
	out, status := device.Alloc[T](d, n), device.Upload(d, []int32{0})
	d.Run(launch(out, status))
	return device.Download[T](d, out, n), device.Download[int32](d, status, 1)[0]
}

func TestBCEKernels(t *testing.T) {
	t.Run("float32", testBCEKernels[float32])
	t.Run("float64", testBCEKernels[float64])
}

func testBCEKernels[T kernel.Float](t *testing.T) {
	d, f := device.Open(t), plan.FloatOf[T]()
	sizes := []float64{0, 1e-30, 1e-6, 0.5, 3, 20, 88, 89, 103, 104, 708, 745, 1e4, 1e30, 3e38}
	if f == plan.Float64 {
		sizes = append(sizes, 1.7e308)
	}
	r := rand.New(rand.NewPCG(1, 0))
	var x, z, g []T
	for _, size := range sizes {
		for _, x0 := range []float64{size, -size} {
			for _, z0 := range []float64{0, 0.25, 1, r.Float64()} {
				x, z, g = append(x, T(x0)), append(z, T(z0)), append(g, 2)
			}
		}
	}
	for len(x) < 700 {
		x, z, g = append(x, T(5*r.NormFloat64())), append(z, T(r.Float64())), append(g, T(r.NormFloat64()))
	}
	for _, n := range []int{1, 256, len(x)} {
		x, z, g := x[len(x)-n:], z[len(x)-n:], g[len(x)-n:]
		dx, dz, dg := device.Upload(d, x), device.Upload(d, z), device.Upload(d, g)
		loss, bad := runs[T](d, n, func(out, status plan.Pointer) plan.Launch { return plan.BCE(f, out, dx, dz, n, status) })
		toX, badX := runs[T](d, n, func(out, status plan.Pointer) plan.Launch { return plan.GradBCELogits(f, out, dx, dz, dg, n, status) })
		toZ, badZ := runs[T](d, n, func(out, status plan.Pointer) plan.Launch { return plan.GradBCETargets(f, out, dx, dz, dg, n, status) })
		if bad != 0 || badX != 0 || badZ != 0 {
			t.Fatalf("%d elements: statuses %d, %d, %d", n, bad, badX, badZ)
		}
		for i := range n {
			// Sums of positive terms do not cancel.
			x, z, g := float64(x[i]), float64(z[i]), float64(g[i])
			e := math.Exp(-math.Abs(x))
			want, slope := -x*z+math.Log1p(e), e/(1+e)-z
			if x > 0 {
				want, slope = x*(1-z)+math.Log1p(e), 1-z-e/(1+e)
			}
			for _, c := range []struct {
				name        string
				got         T
				want, scale float64
			}{
				{"loss", loss[i], want, want},
				{"gradient to the logit", toX[i], g * slope, math.Abs(g) * max(math.Abs(slope), e/(1+e))},
				{"gradient to the target", toZ[i], -g * x, math.Abs(g * x)},
			} {
				// An exponential and a logarithm of two units each, and three
				// roundings; for denormals, a few units in the last place.
				if tolerance := 5 * (epsilon[T]()*c.scale + tiny[T]()); !near(c.got, c.want, tolerance) {
					t.Errorf("%d elements, x %v, z %v, g %v: the %s is %v, want %v", n, x, z, g, c.name, c.got, c.want)
				}
			}
		}
	}
}

// tiny is the smallest positive number.
func tiny[T kernel.Float]() float64 {
	if plan.FloatOf[T]() == plan.Float32 {
		return math.SmallestNonzeroFloat32
	}
	return math.SmallestNonzeroFloat64
}

// near reports whether got is within the tolerance of want.
func near[T kernel.Float](got T, want, tolerance float64) bool {
	return got == T(want) || math.Abs(float64(got)-want) <= tolerance
}

func TestBCEKernelsRefuse(t *testing.T) {
	t.Run("float32", testBCEKernelsRefuse[float32])
	t.Run("float64", testBCEKernelsRefuse[float64])
}

func testBCEKernelsRefuse[T kernel.Float](t *testing.T) {
	d, f := device.Open(t), plan.FloatOf[T]()
	const n = 300
	for _, v := range []T{T(math.NaN()), T(math.Inf(1)), T(math.Inf(-1))} {
		for _, at := range []int{0, 255, 299} {
			for which := range 2 {
				in := [2][]T{make([]T, n), make([]T, n)}
				in[which][at] = v
				x, z, g := device.Upload(d, in[0]), device.Upload(d, in[1]), device.Upload(d, make([]T, n))
				for name, launch := range map[string]func(out, status plan.Pointer) plan.Launch{
					"BCE":            func(out, status plan.Pointer) plan.Launch { return plan.BCE(f, out, x, z, n, status) },
					"GradBCELogits":  func(out, status plan.Pointer) plan.Launch { return plan.GradBCELogits(f, out, x, z, g, n, status) },
					"GradBCETargets": func(out, status plan.Pointer) plan.Launch { return plan.GradBCETargets(f, out, x, z, g, n, status) },
				} {
					if _, status := runs[T](d, n, launch); status != 1 {
						t.Errorf("%s: input %d has %v at %d: status %d", name, which, v, at, status)
					}
				}
			}
		}
	}
}

// klCase is the input of the divergence's kernels.
type klCase[T kernel.Float] struct {
	kernel.Dims
	q, p, grad []T // a nil p is the uniform distribution
}

// outcome holds the results, and whether the input was refused.
type outcome[T kernel.Float] struct {
	kl, toQ, toP []T // toP is nil without a p
	refused      [3]bool
}

func (c klCase[T]) device(d device.Device) outcome[T] {
	f := plan.FloatOf[T]()
	q, grad, p := device.Upload(d, c.q), device.Upload(d, c.grad), plan.Pointer(0)
	if c.p != nil {
		p = device.Upload(d, c.p)
	}
	var o outcome[T]
	var status [3]int32
	o.kl, status[0] = runs[T](d, c.Rows(), func(out, status plan.Pointer) plan.Launch { return plan.KL(f, out, q, p, c.Dims, status) })
	o.toQ, status[1] = runs[T](d, c.Size(), func(out, status plan.Pointer) plan.Launch { return plan.GradKLQ(f, out, q, p, grad, c.Dims, status) })
	if c.p != nil {
		o.toP, status[2] = runs[T](d, c.Size(), func(out, status plan.Pointer) plan.Launch { return plan.GradKLP(f, out, q, p, grad, c.Dims, status) })
	}
	for i, s := range status {
		o.refused[i] = s == 1
	}
	return o
}

// host computes in float64, whatever T is.
func (c klCase[T]) host() outcome[float64] {
	q, p, grad := widened(c.q), widened(c.p), widened(c.grad)
	o := outcome[float64]{kl: make([]float64, c.Rows()), toQ: make([]float64, c.Size())}
	o.refused[0] = kernel.KL(o.kl, q, p, c.Dims) != nil
	o.refused[1] = kernel.GradKLQ(o.toQ, q, p, grad, c.Dims) != nil
	if p != nil {
		o.toP = make([]float64, c.Size())
		o.refused[2] = kernel.GradKLP(o.toP, q, p, grad, c.Dims) != nil
	}
	return o
}

func widened[T kernel.Float](x []T) []float64 {
	if x == nil {
		return nil
	}
	wide := make([]float64, len(x))
	for i, v := range x {
		wide[i] = float64(v)
	}
	return wide
}

// masked returns random logits with about one in nine masked in both q and p, and at
// least one class per distribution not masked.
func masked[T kernel.Float](d kernel.Dims, scale float64, seed uint64) klCase[T] {
	r := rand.New(rand.NewPCG(seed, 0))
	c := klCase[T]{d, make([]T, d.Size()), make([]T, d.Size()), make([]T, d.Rows())}
	for i := range c.q {
		c.q[i], c.p[i] = T(scale*r.NormFloat64()), T(scale*r.NormFloat64())
		if class := i / d.Inner % d.Classes; class == i%d.Inner%d.Classes {
			continue
		}
		switch r.IntN(18) {
		case 0:
			c.q[i] = T(math.Inf(-1))
		case 1:
			c.q[i], c.p[i] = T(math.Inf(-1)), T(math.Inf(-1))
		}
	}
	for i := range c.grad {
		c.grad[i] = T(r.NormFloat64())
	}
	return c
}

func TestKLKernels(t *testing.T) {
	t.Run("float32", testKLKernels[float32])
	t.Run("float64", testKLKernels[float64])
}

func testKLKernels[T kernel.Float](t *testing.T) {
	for _, d := range []kernel.Dims{
		{Outer: 3, Classes: 1, Inner: 1}, {Outer: 300, Classes: 2, Inner: 1}, {Outer: 41, Classes: 10, Inner: 1},
		{Outer: 5, Classes: 7, Inner: 3}, {Outer: 2, Classes: 10, Inner: 33}, {Outer: 1, Classes: 3, Inner: 257},
		{Outer: 5, Classes: 33, Inner: 1}, {Outer: 3, Classes: 128, Inner: 2}, {Outer: 3, Classes: 130, Inner: 1},
		{Outer: 1, Classes: 1000, Inner: 2}, {Outer: 2, Classes: 2100, Inner: 1}, {Outer: 1, Classes: 7000, Inner: 2},
		{Outer: 1, Classes: 65536, Inner: 1},
	} {
		for _, scale := range []float64{1e-3, 3, 300} {
			c := masked[T](d, scale, 1)
			t.Run(fmt.Sprintf("%v/%v", d, scale), func(t *testing.T) { c.check(t) })
			c.p = nil
			t.Run(fmt.Sprintf("%v/%v/uniform", d, scale), func(t *testing.T) { c.check(t) })
		}
	}
}

// check compares the device's results with the host's. Both compute in float64, where
// terms as large as the difference of the logits may cancel, and round once.
func (c klCase[T]) check(t *testing.T) {
	got, want := c.device(device.Open(t)), c.host()
	if got.refused != want.refused {
		t.Fatalf("refused: %v, want %v", got.refused, want.refused)
	}
	if want.refused != [3]bool{} {
		return
	}
	size := c.size()
	noise := func(scale float64) float64 { return 0x1p-52 * scale * (8 + math.Sqrt(float64(c.Classes))) }
	for r, kl := range got.kl {
		if !near(kl, want.kl[r], epsilon[T]()/2*want.kl[r]+noise(size)) || !(kl >= 0) {
			t.Fatalf("divergence %d is %v, want %v", r, kl, want.kl[r])
		}
	}
	gradients := func(name string, logits, got []T, want []float64, scale float64) {
		for i := range got {
			g := math.Abs(float64(c.grad[i/(c.Classes*c.Inner)*c.Inner+i%c.Inner]))
			if !near(got[i], want[i], epsilon[T]()/2*math.Abs(want[i])+noise(g*scale)+tiny[T]()) {
				t.Fatalf("gradient to %s, element %d: %v, want %v", name, i, got[i], want[i])
			}
			if math.IsInf(float64(logits[i]), -1) && got[i] != 0 {
				t.Fatalf("gradient to %s, masked element %d: %v", name, i, got[i])
			}
		}
	}
	gradients("q", c.q, got.toQ, want.toQ, size)
	gradients("p", c.p, got.toP, want.toP, 1+size)
}

// size returns the order of the largest logarithm of a probability.
func (c klCase[T]) size() float64 {
	size := 1 + math.Log(float64(c.Classes))
	for _, x := range [][]T{c.q, c.p} {
		for _, v := range x {
			if v := math.Abs(float64(v)); !math.IsInf(v, 0) {
				size = max(size, v)
			}
		}
	}
	return 2 * size
}

// Logits far from each other, where probabilities leave the range of T.
func TestKLKernelsExtremes(t *testing.T) {
	t.Run("float32", testKLKernelsExtremes[float32])
	t.Run("float64", testKLKernelsExtremes[float64])
}

func testKLKernelsExtremes[T kernel.Float](t *testing.T) {
	sizes := []float64{0, 88, 104, 700, 745, 750, 1e30, 3e38}
	if plan.FloatOf[T]() == plan.Float64 {
		sizes = append(sizes, 4e307)
	}
	for _, a := range sizes {
		for _, b := range sizes {
			for _, sign := range []float64{1, -1} {
				c := klCase[T]{kernel.Dims{Outer: 2, Classes: 3, Inner: 1}, []T{T(a), 0, T(-a), 1, T(a), 1}, []T{T(sign * b), T(-sign * b), 0, T(sign * b), 1, 2}, []T{1, 2}}
				t.Run(fmt.Sprintf("%v,%v", a, sign*b), func(t *testing.T) { c.check(t) })
			}
		}
	}
}

// The kernels refuse what the host refuses, wherever in a block it is.
func TestKLKernelsRefuse(t *testing.T) {
	t.Run("float32", testKLKernelsRefuse[float32])
	t.Run("float64", testKLKernelsRefuse[float64])
}

func testKLKernelsRefuse[T kernel.Float](t *testing.T) {
	nan, inf := T(math.NaN()), T(math.Inf(1))
	fill := func(x []T, v T) {
		for i := range x {
			x[i] = v
		}
	}
	for name, spoil := range map[string]func(q, p []T, at int){ // a distribution, and a class of it
		"nothing":                func(q, p []T, at int) {},
		"NaN in q":               func(q, p []T, at int) { q[at] = nan },
		"NaN in p":               func(q, p []T, at int) { p[at] = nan },
		"+Inf in q":              func(q, p []T, at int) { q[at] = inf },
		"+Inf in p":              func(q, p []T, at int) { p[at] = inf },
		"q masked whole":         func(q, p []T, at int) { fill(q, -inf) },
		"p masked whole":         func(q, p []T, at int) { fill(p, -inf) },
		"both masked whole":      func(q, p []T, at int) { fill(q, -inf); fill(p, -inf) },
		"q all NaN":              func(q, p []T, at int) { fill(q, nan) },
		"p masks a class of q's": func(q, p []T, at int) { p[at] = -inf },
		"q masks a class of p's": func(q, p []T, at int) { q[at] = -inf },
		"both mask a class":      func(q, p []T, at int) { q[at], p[at] = -inf, -inf },
		"p masks one of no mass": func(q, p []T, at int) { q[at], p[at] = -1e5, -inf },
		"q allows a class alone": func(q, p []T, at int) { fill(q, -inf); q[at] = 2 },
		"NaN where q is masked":  func(q, p []T, at int) { fill(q, -inf); q[0], q[len(q)-1] = 0, 0; p[at] = nan },
	} {
		t.Run(name, func(t *testing.T) {
			for _, classes := range []int{2, 10, 40, 300} {
				for _, place := range []struct{ row, class int }{{0, 0}, {0, classes - 1}, {8, classes / 2}} {
					c := klCase[T]{Dims: kernel.Dims{Outer: 9, Classes: classes, Inner: 1}}
					c.q, c.p, c.grad = make([]T, c.Size()), make([]T, c.Size()), make([]T, c.Rows())
					lo, hi := place.row*classes, (place.row+1)*classes
					spoil(c.q[lo:hi], c.p[lo:hi], place.class)
					c.check(t)
					c.p = nil
					c.check(t)
				}
			}
		})
	}
}

// Small divergences, whose terms are much larger, keep float64's accuracy.
func TestKLKernelSmall(t *testing.T) {
	for _, size := range []float64{1e-4, 1e-3, 1e-2} {
		q := []float32{float32(size), 0, float32(-2 * size), float32(size / 2)}
		d := device.Open(t)
		in := device.Upload(d, q)
		kl, _ := runs[float32](d, 1, func(out, status plan.Pointer) plan.Launch {
			return plan.KL(plan.Float32, out, in, 0, kernel.Dims{Outer: 1, Classes: len(q), Inner: 1}, status)
		})
		var sum, want float64
		for _, v := range q {
			sum += math.Exp(float64(v))
		}
		for _, v := range q {
			y := math.Exp(float64(v)) / sum
			want += y * math.Log1p(4*y-1)
		}
		if !near(kl[0], want, 1e-5*want+1e-15) {
			t.Errorf("logits of %v: %v, want %v", size, kl[0], want)
		}
	}
}

// The log density of samples in log space and its gradients are those of the host, with
// any number of classes, some of them masked.
func TestConcreteKernels(t *testing.T) {
	t.Run("float32", testConcreteKernels[float32])
	t.Run("float64", testConcreteKernels[float64])
}

func testConcreteKernels[T kernel.Float](t *testing.T) {
	for _, dims := range []kernel.Dims{
		{Outer: 3, Classes: 1, Inner: 1}, {Outer: 300, Classes: 2, Inner: 1}, {Outer: 5, Classes: 7, Inner: 3},
		{Outer: 5, Classes: 33, Inner: 1}, {Outer: 1, Classes: 1000, Inner: 2}, {Outer: 1, Classes: 65536, Inner: 1},
	} {
		for _, tau := range []T{0.01, 0.7, 100} {
			in := masked[T](dims, 3, 1)
			for i, l := range in.q {
				if in.p[i] /= tau; math.IsInf(float64(l), -1) {
					in.p[i] = l
				}
			}
			t.Run(fmt.Sprintf("%v/%v", dims, tau), func(t *testing.T) { checkConcrete(t, in, tau) })
		}
	}
}

func checkConcrete[T kernel.Float](t *testing.T, in klCase[T], tau T) {
	d, f := device.Open(t), plan.FloatOf[T]()
	p := plan.Concrete{
		Dims: in.Dims, Float: f, Logits: device.Upload(d, in.q), Value: device.Upload(d, in.p), Tau: device.Upload(d, []T{tau}),
		Scratch: device.Alloc[float64](d, in.Rows()),
	}
	with := func(launch func(plan.Concrete) plan.Launch, grad plan.Pointer) func(out, status plan.Pointer) plan.Launch {
		return func(out, status plan.Pointer) plan.Launch {
			p := p
			p.Out, p.Status, p.Grad = out, status, grad
			return launch(p)
		}
	}
	grad := device.Upload(d, in.grad)
	log, bad := runs[T](d, in.Rows(), with(plan.Concrete.LogProb, 0))
	toLogits, badLogits := runs[T](d, in.Size(), with(plan.Concrete.GradLogits, grad))
	toValue, badValue := runs[T](d, in.Size(), with(plan.Concrete.GradValue, grad))
	shares, badTau := runs[float64](d, in.Rows(), func(out, status plan.Pointer) plan.Launch {
		p := p
		p.Scratch, p.Status, p.Grad = out, status, grad
		return p.GradTau()[0]
	})
	if bad != 0 || badLogits != 0 || badValue != 0 || badTau != 0 {
		t.Fatalf("statuses %d, %d, %d, %d", bad, badLogits, badValue, badTau)
	}
	c := kernel.Concrete[float64]{Dims: in.Dims, Logits: widened(in.q), Value: widened(in.p), Tau: float64(tau)}
	want, slopes, toTau := make([]float64, in.Rows()), make([]float64, in.Size()), make([]float64, in.Rows())
	if err := c.LogProb(want, slopes, toTau); err != nil {
		t.Fatal(err)
	}
	// Sums of as many terms as there are classes, of scores that are rounded.
	noise := 0x1p-52 * (100 + math.Sqrt(float64(in.Classes)))
	classes := float64(in.Classes)
	for r, x := range log {
		if size := math.Abs(want[r]) + classes*(10+math.Abs(math.Log(c.Tau))); !near(x, want[r], epsilon[T]()/2*math.Abs(want[r])+noise*size) {
			t.Fatalf("log density %d is %v, want %v", r, x, want[r])
		}
	}
	var sum, wantSum, size float64
	for i, slope := range slopes {
		r := i/(in.Classes*in.Inner)*in.Inner + i%in.Inner
		g := float64(in.grad[r])
		allowed := func(want float64) float64 {
			return epsilon[T]()*math.Abs(want) + noise*math.Abs(g)*classes*max(1, c.Tau)
		}
		if !near(toLogits[i], g*slope, allowed(g*slope)) || !near(toValue[i], -c.Tau*g*slope, allowed(c.Tau*g*slope)) {
			t.Fatalf("gradients %d are %v, %v, want %v, %v", i, toLogits[i], toValue[i], g*slope, -c.Tau*g*slope)
		}
		if math.IsInf(float64(in.q[i]), -1) {
			if toLogits[i] != 0 || toValue[i] != 0 {
				t.Fatalf("masked element %d has gradients %v, %v", i, toLogits[i], toValue[i])
			}
			continue
		}
		size += math.Abs(g) * (math.Abs(c.Value[i])*classes + 1/c.Tau)
	}
	for r, share := range shares {
		sum -= share / c.Tau
		wantSum += toTau[r] * float64(in.grad[r])
	}
	if math.Abs(sum-wantSum) > noise*size {
		t.Errorf("the gradient to tau is %v, want %v", sum, wantSum)
	}
}
