package kernel

import (
	"errors"
	"math"
	"slices"
	"testing"
)

var usual = Stretch{-0.1, 1.1}

// The numbers were computed independently, of the logit 0.5 at tau 2/3 with u = 0.3.
func TestGateNumbers(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		noise := []float64{math.Log(0.3 / 0.7)}
		for _, test := range []struct {
			b                       Bernoulli[float64]
			gate, gradient, gradTau float64
		}{
			{Bernoulli[float64]{[]float64{0.5}, Noise[float64]{Given: noise}, 2.0 / 3}, 0.347157042858, 0.420798788065, 0.219213778123},
			{Bernoulli[float64]{Logits: []float64{0.5}, Tau: 1}, 0.646951197442, 0.282004454642, -0.141002227321},
		} {
			z, y, gradient, one := []float64{0}, []float64{0}, []float64{0}, []float64{1}
			if err := test.b.Gate(z, y, usual); err != nil {
				t.Fatal(err)
			}
			test.b.GradGate(gradient, y, one, usual)
			for name, v := range map[string][2]float64{
				"the gate":               {z[0], test.gate},
				"the gradient":           {gradient[0], test.gradient},
				"the gradient to tau":    {test.b.GradGateTau(y, one, usual), test.gradTau},
				"the relaxed sample's z": {sigmoidOf(y[0])*1.2 - 0.1, test.gate},
			} {
				if math.Abs(v[0]-v[1]) > 1e-11 {
					t.Errorf("tau %v: %s is %v, want %v", test.b.Tau, name, v[0], v[1])
				}
			}
		}
	})
}

// A gate has the bits of the relaxed sample's logit, and where it is 0 or 1 a gradient of
// exactly 0, whatever gradient reaches it. This is so at any temperature and stretch.
func TestGateExtremes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testGateExtremes[float32])
		t.Run("float64", testGateExtremes[float64])
	})
}

func testGateExtremes[T Float](t *testing.T) {
	const n = 60
	logits, inf := make([]T, n), math.Inf(1)
	for i := range logits {
		logits[i] = T([]float64{1e4, -1e4, -inf, inf, 0, 1e30, -1e30, 3, -3, 0.4}[i%10])
	}
	for _, tau := range []float64{1e-12, 0.01, 2.0 / 3, 100} {
		for _, s := range []Stretch{usual, {-1e-9, 1 + 1e-9}, {-5, 1.001}, {-1e-3, 40}, {-1e30, 1e30}} {
			b := Bernoulli[T]{logits, Noise[T]{Stream: &testedStream}, tau}
			z, y, log, got := make([]T, n), make([]T, n), make([]T, n), make([]T, n)
			if err := errors.Join(b.Gate(z, y, s), b.Logit(log)); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(y, log) {
				t.Fatal("two logits of the same samples")
			}
			for _, upstream := range []float64{1, inf, math.NaN()} {
				grad := slices.Repeat([]T{T(upstream)}, n)
				b.GradGate(got, y, grad, s)
				for i, v := range got {
					switch between := z[i] > 0 && z[i] < 1; {
					case !(z[i] >= 0 && z[i] <= 1) || math.IsInf(float64(logits[i]), 0) && z[i] != T(i%10-2):
						t.Fatalf("tau %v, %v: logit %v has the gate %v", tau, s, logits[i], z[i])
					case !between && v != 0:
						t.Fatalf("tau %v, %v: a gate of %v has the gradient %v of one of %v", tau, s, z[i], v, upstream)
					case between && (upstream == 1) != isFinite(v), between && upstream == 1 && v < 0:
						t.Fatalf("tau %v, %v: a gate of %v has the gradient %v of one of %v", tau, s, z[i], v, upstream)
					}
				}
			}
			if v := b.GradGateTau(y, slices.Repeat([]T{1}, n), s); !isFinite(v) {
				t.Errorf("tau %v, %v: the gradient to tau is %v", tau, s, v)
			}
		}
	}
	for _, test := range []struct {
		logit, noise float64
		problem      Problem
	}{{math.NaN(), 0, BadFirst}, {0, math.NaN(), BadSecond}, {inf, -inf, BadSecond}, {float64(-least[T]()), float64(-least[T]()), Overflow}} {
		b := Bernoulli[T]{[]T{0, 0, T(test.logit)}, Noise[T]{Given: []T{0, 0, T(test.noise)}}, 1}
		var bad *InputError
		if err := b.Gate(make([]T, 3), nil, usual); !errors.As(err, &bad) || bad.Index != 2 || bad.Problem != test.problem {
			t.Errorf("logit %v and noise %v: error %v", test.logit, test.noise, err)
		}
	}
}

// A gate that reaches 0 or 1 exactly at an end of its range has a gradient of 0.
func TestGateAtBounds(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for s, want := range map[Stretch]float32{{-1.5, 1.5}: 0, {-1, 3}: 1} {
			y, z, gradient := make([]float32, 20), make([]float32, 20), make([]float32, 20)
			b := Bernoulli[float32]{Logits: make([]float32, 20), Tau: 0.5}
			if err := b.Gate(z, y, s); err != nil {
				t.Fatal(err)
			}
			ones := slices.Repeat([]float32{1}, 20)
			b.GradGate(gradient, y, ones, s)
			for i := range z {
				if z[i] != want || gradient[i] != 0 {
					t.Errorf("%v: the gate is %v, its gradient %v; want %v and 0", s, z[i], gradient[i], want)
				}
			}
			b.GradGate(gradient, slices.Repeat([]float32{0.001 * (1 - 2*want)}, 20), ones, s)
			if gradient[0] <= 0 {
				t.Errorf("%v: the gradient beside the bound is %v", s, gradient[0])
			}
		}
	})
}

// The numbers were computed independently, of the logits 0.5 and -0.5 at tau 2/3.
func TestOpeningNumbers(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		o := Opening[float64]{[]float64{0.5, -0.5}, 2.0 / 3, usual}
		p, gradient, g := []float64{0, 0}, []float64{0, 0}, []float64{1, -1}
		if err := errors.Join(o.Probability(p), o.Grad(gradient, g)); err != nil {
			t.Fatal(err)
		}
		tau, err := o.GradTau(g)
		got := append(append(p, gradient...), tau)
		want := []float64{0.89076672509, 0.749997104963, 0.0973013665627, -0.187501447514, -0.216290347710}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-11 || err != nil {
				t.Errorf("the numbers are %v, want %v (error %v)", got, want, err)
				break
			}
		}
	})
}

// Probabilities and gradients are finite and accurate for all finite logits, temperatures
// and stretches, and exact for infinite logits, whatever gradient reaches them.
func TestOpeningExtremes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", func(t *testing.T) { testOpeningExtremes[float32](t, 1e-6) })
		t.Run("float64", func(t *testing.T) { testOpeningExtremes[float64](t, 1e-13) })
	})
}

func testOpeningExtremes[T Float](t *testing.T, tolerance float64) {
	inf, most := math.Inf(1), float64(-least[T]())
	for _, s := range []Stretch{usual, {-1e-300, 1e300}, {-5e-324, most}, {-most / 2, 1.5}} {
		for _, tau := range []float64{1e-12, 2.0 / 3, 100, 1e30, most} {
			tau = float64(T(tau))
			shift := min(max(tau*s.Bound(), -most), most)
			logits := []T{T(shift), T(shift * (1 + 0x1p-20)), -T(shift), T(most), T(-most), 0, T(inf), T(-inf)}
			o := Opening[T]{logits, tau, s}
			p, gradient := make([]T, len(logits)), make([]T, len(logits))
			upstream := []T{1, 1, 1, 1, 1, 1, T(inf), T(math.NaN())}
			if err := errors.Join(o.Probability(p), o.Grad(gradient, upstream)); err != nil {
				t.Fatal(err)
			}
			for i, a := range logits[:6] {
				y := min(max(float64(a)-shift, -most), most)
				want := [2]float64{sigmoidOf(y), slope(y)}
				for j, got := range []T{p[i], gradient[i]} {
					if !(math.Abs(float64(got)-want[j]) <= tolerance*(1+min(math.Abs(y), 1000))*want[j]+float64(T(0x1p-120))) {
						t.Errorf("%v, tau %v: logit %v has %v, want %v", s, tau, a, got, want[j])
					}
				}
			}
			if p[6] != 1 || p[7] != 0 || gradient[6] != 0 || gradient[7] != 0 {
				t.Errorf("%v, tau %v: infinite logits have the probabilities %v and the gradients %v", s, tau, p[6:], gradient[6:])
			}
			if v, err := o.GradTau(make([]T, len(logits))); v != 0 || err != nil {
				t.Errorf("%v, tau %v: the gradient to tau is %v, %v", s, tau, v, err)
			}
		}
	}
	o := Opening[T]{[]T{0, 0, T(math.NaN())}, 1, usual}
	_, err := o.GradTau(make([]T, 3))
	for _, err := range []error{err, o.Probability(make([]T, 3)), o.Grad(make([]T, 3), make([]T, 3))} {
		var bad *InputError
		if !errors.As(err, &bad) || bad.Index != 2 || bad.Problem != BadFirst {
			t.Errorf("error %v", err)
		}
	}
}

// gates compares the vector code with plain Go.
func (c *vectorCheck[T]) gates() {
	for _, x := range [][]T{c.x, c.infinite} {
		for _, s := range []Stretch{usual, {-2, 1.2}} {
			scalars := newGateScalars[T](s, 0.7)
			c.near("gate", func(plain bool, dst []T) (float64, bool) {
				choose(plain, gateGo[T], gate[T])(dst, x, scalars)
				return 0, false
			})
			c.near("gradGate", func(plain bool, dst []T) (float64, bool) {
				choose(plain, gradGateGo[T], gradGate[T])(dst, x, c.g, scalars)
				return 0, false
			})
		}
	}
	for _, x := range [][]T{c.x, c.infinite} {
		c.near("shifted", func(plain bool, dst []T) (float64, bool) {
			return 0, clearIf(choose(plain, shiftedGo[T], shifted[T])(dst, x, &shiftScalars[T]{0.3, low, 2}), dst)
		})
	}
}
