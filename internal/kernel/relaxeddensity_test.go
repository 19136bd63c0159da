package kernel

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// The log density has the accuracy of its terms, and the gradients a small relative error.
func TestRelaxedDensity(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testRelaxedDensity[float32](t, 0x1p-23, math.SmallestNonzeroFloat32) })
	t.Run("float64", func(t *testing.T) { testRelaxedDensity[float64](t, 0x1p-52, math.SmallestNonzeroFloat64) })
}

func testRelaxedDensity[T Float](t *testing.T, epsilon, tiny float64) {
	sizes := []float64{0, 1e-30, 1e-3, 0.5, 1, 3, 20, 89, 104, 300, 746, 1e4, 1e30}
	var a, y []T
	for _, x := range sizes {
		for _, v := range sizes {
			a, y = append(a, T(x), T(x), T(-x)), append(y, T(v), T(-v), T(v))
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		a, y = append(a, T(3*r.NormFloat64())), append(y, T(3*r.NormFloat64()))
	}
	n := len(a)
	for _, tau := range []T{0.01, 0.5, 100} {
		var want [][3]float64
		for i := range n {
			want = append(want, bigDensity(float64(a[i]), float64(y[i]), float64(tau)))
		}
		log, toA, toY, ones := make([]T, n), make([]T, n), make([]T, n), slices.Repeat([]T{1}, n)
		eachLevel(t, func(t *testing.T) {
			d := RelaxedDensity[T]{a, y, float64(tau)}
			if err := errors.Join(d.Log(log), d.GradLogits(toA, ones), d.GradValue(toY, ones)); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				terms, slope := want[i][1], want[i][2]
				for which, c := range []struct {
					got         T
					want, scale float64
				}{{log[i], want[i][0], terms}, {toA[i], -slope, math.Abs(slope)}, {toY[i], float64(tau) * slope, float64(tau) * math.Abs(slope)}} {
					if !(math.Abs(float64(c.got)-c.want) <= 4*(epsilon*c.scale+tiny)) {
						t.Errorf("logit %v, value %v, tau %v: result %d is %v, want %v", a[i], y[i], tau, which, c.got, c.want)
					}
				}
			}
		})
	}
}

// bigDensity returns the log density, the sum of the sizes of its terms, and tanh(u/2).
func bigDensity(a, y, tau float64) [3]float64 {
	u := difference(number(a), product(number(tau), number(y)))
	size := number(0).Abs(u)
	rounded, _ := size.Float64()
	e := bigExp(-rounded)
	log, _ := sum(size, product(number(2), bigLog1p(e))).Float64()
	slope, _ := quo(difference(number(1), e), sum(number(1), e)).Float64()
	slope *= float64(u.Sign())
	return [3]float64{math.Log(tau) - log, math.Abs(math.Log(tau)) + log, slope}
}

// The numbers were computed independently, of the logit 0.8 and the noise of u = 0.3 at
// tau 0.6.
func TestRelaxedDensityNumbers(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		d := RelaxedDensity[float64]{[]float64{0.8}, []float64{-0.078829767312}, 0.6}
		g, log, toA, toY := []float64{1}, []float64{0}, []float64{0}, []float64{0}
		toTau, err := d.GradTau(g)
		if err := errors.Join(err, d.Log(log), d.GradLogits(toA, g), d.GradValue(toY, g)); err != nil {
			t.Fatal(err)
		}
		got, want := []float64{log[0], toA[0], toY[0], toTau}, []float64{-2.07147337203, -0.4, 0.24, 1.63513475974}
		for i := range got {
			if math.Abs(got[i]-want[i]) > 1e-11 {
				t.Errorf("the log density and its gradients are %v, want %v", got, want)
			}
		}
	})
}

// The gradient to tau is the sum in float64, the same on any number of threads, also where
// its terms cancel, and certain outcomes add nothing.
func TestRelaxedDensityTau(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", func(t *testing.T) { testRelaxedDensityTau[float32](t, 0x1p-23) })
		t.Run("float64", func(t *testing.T) { testRelaxedDensityTau[float64](t, 0x1p-52) })
	})
}

func testRelaxedDensityTau[T Float](t *testing.T, epsilon float64) {
	const n, tau = 100_003, 0.75
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	a, y, g := make([]T, n), make([]T, n), make([]T, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		a[i], y[i], g[i] = T(2*r.NormFloat64()), T(2*r.NormFloat64()), T(r.NormFloat64())
	}
	for _, certain := range []bool{false, true} {
		if certain {
			for i := 0; i < n; i += 5000 {
				a[i] = T(math.Inf(1 - i/5000%2*2))
				y[i], g[i] = a[i], T(math.Inf(1))
			}
		}
		var sum kahan
		var variance float64
		for i, logit := range a {
			if isFinite(logit) {
				slope := math.Tanh((float64(logit) - tau*float64(y[i])) / 2)
				sum.add(float64(g[i]) * (1/tau + float64(y[i])*slope))
				variance += math.Pow(float64(g[i])*float64(y[i])*slope, 2)
			}
		}
		d := RelaxedDensity[T]{a, y, tau}
		got, err := d.GradTau(g)
		if err != nil {
			t.Fatal(err)
		}
		// Roundings of the terms are independent of each other.
		if math.Abs(got-sum.total) > 10*epsilon*math.Sqrt(variance)+n*0x1p-52 {
			t.Errorf("certain outcomes %v: the gradient is %v, want %v", certain, got, sum.total)
		}
		for _, procs := range []int{1, 2, 5} {
			runtime.GOMAXPROCS(procs)
			if again, err := d.GradTau(g); again != got || err != nil {
				t.Errorf("on %d processors the gradient is %v (%v), was %v", procs, again, err, got)
			}
		}
	}
}

// A certain outcome has the log density 0 and no gradient. Other infinities and NaN are
// errors. A log density out of range is the least number, with finite gradients.
func TestRelaxedDensityExtremes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testRelaxedDensityExtremes[float32])
		t.Run("float64", testRelaxedDensityExtremes[float64])
	})
}

func testRelaxedDensityExtremes[T Float](t *testing.T) {
	inf, nan, most := T(math.Inf(1)), T(math.NaN()), -least[T]()
	for _, n := range []int{1, 7, 40} {
		run := func(a, y, g T) (got [4]float64, all []error) {
			d := RelaxedDensity[T]{make([]T, n), make([]T, n), 4}
			grad, dst := make([]T, n), make([]T, n)
			d.Logits[n/2], d.Value[n/2], grad[n/2] = a, y, g
			for i, f := range []func() error{func() error { return d.Log(dst) }, func() error { return d.GradLogits(dst, grad) }, func() error { return d.GradValue(dst, grad) }} {
				all = append(all, f())
				got[i] = float64(dst[n/2])
			}
			tau, err := d.GradTau(grad)
			got[3] = tau
			return got, append(all, err)
		}
		for _, a := range []T{inf, -inf} {
			if got, errs := run(a, a, inf); got != [4]float64{} || errors.Join(errs...) != nil {
				t.Errorf("%d elements, a certain outcome has the log density and the gradients %v, errors %v", n, got, errs)
			}
		}
		for _, test := range []struct {
			a, y T
			want [4]float64
		}{
			{0, most, [4]float64{-float64(most), 1, -4, 0.25 - float64(most)}},
			{0, -most, [4]float64{-float64(most), -1, 4, 0.25 - float64(most)}},
			{most, 1, [4]float64{-float64(most), -1, 4, 1.25}},
		} {
			if got, errs := run(test.a, test.y, 1); got != test.want || errors.Join(errs...) != nil {
				t.Errorf("%d elements, logit %v, value %v: %v, errors %v; want %v", n, test.a, test.y, got, errs, test.want)
			}
		}
		for _, test := range []struct {
			a, y    T
			problem Problem
			value   T
		}{
			{nan, 0, BadFirst, nan}, {nan, inf, BadFirst, nan}, {0, nan, BadSecond, nan}, {inf, nan, BadSecond, nan},
			{0, inf, BadSecond, inf}, {0, -inf, BadSecond, -inf}, {inf, 2, ZeroDensity, 2}, {-inf, inf, ZeroDensity, inf}, {inf, -inf, ZeroDensity, -inf},
		} {
			_, errs := run(test.a, test.y, 1)
			for i, err := range errs {
				var bad *InputError
				if !errors.As(err, &bad) || bad.Index != n/2 || bad.Problem != test.problem || !same(T(bad.Value), test.value) {
					t.Errorf("%d elements, logit %v, value %v, result %d: error %v", n, test.a, test.y, i, err)
				}
			}
		}
	}
}

// relaxedDensity compares its vector code with plain Go.
func (c *vectorCheck[T]) relaxedDensity() {
	inf := T(math.Inf(1))
	for _, worse := range []func(logits, value []T){
		func(_, _ []T) {},
		func(logits, _ []T) { logits[c.n/2] = -inf },
		func(_, value []T) { value[c.n-1] = T(math.NaN()) },
		func(logits, value []T) { logits[0], value[0] = inf, inf },
	} {
		logits, value := slices.Clone(c.x), slices.Clone(c.y)
		worse(logits, value)
		c.near("relaxedDensity", func(plain bool, dst []T) (float64, bool) {
			s := densityScalars[T]{0.7, T(math.Log(0.7)), least[T]()}
			return 0, clearIf(choose(plain, relaxedDensityGo[T], relaxedDensity[T])(dst, logits, value, &s), dst)
		})
		s := gradDensityScalars[T]{0.7, 1}
		c.near("gradRelaxedDensity", func(plain bool, dst []T) (float64, bool) {
			return 0, clearIf(choose(plain, gradRelaxedDensityGo[T], gradRelaxedDensity[T])(dst, logits, value, c.g, &s), dst)
		})
		c.near("gradRelaxedDensityTau", func(plain bool, _ []T) (float64, bool) {
			var sums tauSums
			if choose(plain, gradRelaxedDensityTauGo[T], gradRelaxedDensityTau[T])(logits, value, c.g, &s, &sums) {
				return 0, true
			}
			return sums.gradient(0.7), false
		})
	}
}
