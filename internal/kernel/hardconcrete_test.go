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
}
