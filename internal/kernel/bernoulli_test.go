package kernel

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/gumbel-go/gumbel/internal/philox"
)

// Logistic noise has the same bits at every level, wherever it is cut, and its law.
func TestLogistic(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testLogistic[float32](t, 1e-6) })
	t.Run("float64", func(t *testing.T) { testLogistic[float64](t, 1e-14) })
}

func testLogistic[T Float](t *testing.T, tolerance float64) {
	const n = 20_000
	s := Stream{Key: philox.DeriveKey(7, 8), Draw: 3}
	var want []T
	eachLevel(t, func(t *testing.T) {
		got, part, words := make([]T, n), make([]T, n-70), make([]uint32, n)
		fill(got, s, 3, prefetch[T]{}, logisticLaw)
		fill(part, s, 73, prefetch[T]{}, logisticLaw)
		philox.Fill(words, s.Key, s.Draw, 3)
		if want == nil {
			want = got
		}
		for i, l := range got {
			if l != want[i] || i >= 70 && part[i-70] != l {
				t.Fatalf("element %d is %v, from another start %v, in plain Go %v", i, l, part[max(i-70, 0)], want[i])
			}
			v := (float64(words[i]) + 0.5) / (1 << 32) // 1 − u
			if l := float64(l); math.Abs(l-(math.Log1p(-v)-math.Log(v))) > tolerance*(1+math.Abs(l)) {
				t.Fatalf("element %d is %v, but the uniform is %v", i, l, 1-v)
			}
		}
	})
}

// The numbers were computed independently, of the logit 0.8 at tau 0.6 with u = 0.3, and
// at tau 1.3.
func TestBernoulliNumbers(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		one := func(f func(dst []float64)) float64 {
			dst := []float64{0}
			f(dst)
			return dst[0]
		}
		b := Bernoulli[float64]{[]float64{0.8}, Noise[float64]{Given: []float64{-0.847297860387}}, 0.6}
		y := []float64{0}
		x := one(func(dst []float64) {
			if err := b.Soft(dst, y); err != nil {
				t.Fatal(err)
			}
		})
		g, yes, no := []float64{1}, []float64{1}, []float64{0}
		c := Bernoulli[float64]{Logits: []float64{0.8}, Tau: 1.3}
		adaptive := adaptiveGap(sigmoidOf(-0.8))
		for name, v := range map[string][2]float64{
			"y":                     {y[0], -0.078829767312},
			"x":                     {x, 0.480302757222},
			"dx/da":                 {one(func(dst []float64) { b.Grad(dst, y, g) }), 0.416020031045},
			"dx/dtau":               {b.GradTau(y, g), 0.0327947622444},
			"ReinMax of 1":          {one(func(dst []float64) { c.GradReinMax(dst, yes, g) }), 0.182335524489},
			"ReinMax of 0":          {one(func(dst []float64) { c.GradReinMax(dst, no, g) }), 0.331503649478},
			"straight through":      {one(func(dst []float64) { c.Grad(dst, []float64{0.8 / 1.3}, g) }), 0.175191438836},
			"gapped, open":          {one(func(dst []float64) { c.GradGapped(dst, yes, g, 0.5) }), 0.175191438836},
			"gapped, other sampled": {one(func(dst []float64) { c.GradGapped(dst, no, g, 0.5) }), slope(0.5/1.3) / 1.3},
			"adaptive gap":          {one(func(dst []float64) { c.GradGapped(dst, no, g, AdaptiveGap) }), slope(adaptive/1.3) / 1.3},
		} {
			if math.Abs(v[0]-v[1]) > 1e-11 {
				t.Errorf("%s is %v, want %v", name, v[0], v[1])
			}
		}
	})
}

// Every estimator is that of a choice between the logit and 0.
func TestBernoulliIsBinaryChoice(t *testing.T) {
	for _, a := range []float64{-30, -2, -0.3, 0, 0.8, 5, 40} {
		for _, tau := range []float64{0.05, 1, 3} {
			for _, hard := range []float64{0, 1} {
				b := Bernoulli[float64]{Logits: []float64{a}, Tau: tau}
				c := Choice[float64]{Dims{1, 2, 1}, []float64{a, 0}, []float64{fromClass[float64](1 - int(hard))}, tau}
				for name, f := range map[string][2]func(dst, grad []float64){
					"ReinMax": {func(dst, g []float64) { b.GradReinMax(dst, []float64{hard}, g) }, c.GradReinMax},
					"gapped": {
						func(dst, g []float64) { b.GradGapped(dst, []float64{hard}, g, 0.7) },
						func(dst, g []float64) { c.GradGapped(dst, g, 0.7) },
					},
					"adaptive": {
						func(dst, g []float64) { b.GradGapped(dst, []float64{hard}, g, AdaptiveGap) },
						func(dst, g []float64) { c.GradGapped(dst, g, AdaptiveGap) },
					},
					"softmax": {func(dst, g []float64) { b.Grad(dst, []float64{a / tau}, g) }, c.GradSoftmax},
				} {
					got, want := make([]float64, 1), make([]float64, 2)
					f[0](got, []float64{1.5})
					f[1](want, []float64{1.5, 0})
					if math.Abs(got[0]-want[0]) > 1e-13 {
						t.Errorf("%s of %v, tau %v, sample %v: the gradient is %v, want %v", name, a, tau, hard, got[0], want[0])
					}
				}
			}
		}
	}
}

// P(x > ½) = sigmoid(a) at every temperature, Gumbel-Rao has the mean of the relaxed
// gradient, and its conditional noise with the sample has the law of the noise.
func TestBernoulliLaw(t *testing.T) {
	t.Run("float32", testBernoulliLaw[float32])
	t.Run("float64", testBernoulliLaw[float64])
}

func testBernoulliLaw[T Float](t *testing.T) {
	const n = 100_000
	for _, a := range []float64{-1.5, 0, 0.8} {
		for _, tau := range []float64{0.1, 1, 5} {
			logits, ones := slices.Repeat([]T{T(a)}, n), slices.Repeat([]T{1}, n)
			stream := Stream{Key: philox.DeriveKey(3, 3)}
			b := Bernoulli[T]{logits, Noise[T]{Stream: &stream}, tau}
			soft, y, hard, straight, rao := make([]T, n), make([]T, n), make([]T, n), make([]T, n), make([]T, n)
			if err := errors.Join(b.Soft(soft, y), b.Hard(hard, nil)); err != nil {
				t.Fatal(err)
			}
			b.Grad(straight, y, ones)
			b.GradRao(rao, hard, ones, stream, 3)
			var positive, s, r []float64
			for i, x := range soft {
				if (x > 0.5) != (hard[i] == 1) && y[i] != 0 {
					t.Fatalf("the relaxed sample is %v, the hard one %v", x, hard[i])
				}
				positive, s, r = append(positive, float64(hard[i])), append(s, float64(straight[i])), append(r, float64(rao[i]))
			}
			p := sigmoidOf(a)
			if mean, _ := moments(positive); math.Abs(mean-p) > manySigmas*math.Sqrt(p*(1-p)/n) {
				t.Errorf("logit %v, tau %v: %v of the samples are above ½, want %v", a, tau, mean, p)
			}
			want, wantError := moments(s)
			got, gotError := moments(r)
			if math.Abs(got-want) > manySigmas*math.Hypot(gotError, wantError) {
				t.Errorf("logit %v, tau %v: the mean of Gumbel-Rao is %v ± %v, want %v ± %v", a, tau, got, gotError, want, wantError)
			}
		}
	}
}

// Certain outcomes have a gradient of exactly 0, and no finite logit has NaN.
func TestBernoulliExtremes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testBernoulliExtremes[float32])
		t.Run("float64", testBernoulliExtremes[float64])
	})
}

func testBernoulliExtremes[T Float](t *testing.T) {
	const n = 40
	logits, inf := make([]T, n), math.Inf(1)
	for i := range logits {
		logits[i] = T([]float64{1e4, -1e4, -inf, inf, 0, 1e30, -1e30, 3}[i%8])
	}
	for _, tau := range []float64{1e-12, 0.01, 1, 100} {
		for _, upstream := range []float64{1, inf, math.NaN()} {
			grad := slices.Repeat([]T{T(upstream)}, n)
			b := Bernoulli[T]{logits, Noise[T]{Stream: &testedStream}, tau}
			soft, y, log, hard, got := make([]T, n), make([]T, n), make([]T, n), make([]T, n), make([]T, n)
			if err := errors.Join(b.Soft(soft, y), b.Logit(log), b.Hard(hard, nil)); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(y, log) {
				t.Fatal("two logits of the same samples")
			}
			for name, f := range map[string]func(){
				"soft": func() { b.Grad(got, y, grad) }, "logit": func() { b.GradLogit(got, y, grad) },
				"ReinMax": func() { b.GradReinMax(got, hard, grad) }, "gapped": func() { b.GradGapped(got, hard, grad, 1) },
				"adaptive": func() { b.GradGapped(got, hard, grad, AdaptiveGap) }, "Rao": func() { b.GradRao(got, hard, grad, testedStream, 2) },
			} {
				f()
				for i, v := range got {
					switch certain := math.IsInf(float64(logits[i]), 0); {
					case certain && (v != 0 || hard[i] != soft[i] || hard[i] != T(i%8-2)):
						t.Fatalf("%s: logit %v has the samples %v and %v, and the gradient %v", name, logits[i], soft[i], hard[i], v)
					case !certain && (upstream == 1) != isFinite(v):
						t.Fatalf("%s, tau %v: logit %v has the gradient %v of one of %v", name, tau, logits[i], v, upstream)
					case !certain && !isFinite(y[i]):
						t.Fatalf("tau %v: logit %v has a sample of the logit %v", tau, logits[i], y[i])
					}
				}
			}
			if v := b.GradTau(y, grad); upstream == 1 && !isFinite(v) {
				t.Errorf("the gradient to tau is %v", v)
			}
		}
	}
	for _, test := range []struct {
		logit, noise float64
		problem      Problem
	}{{math.NaN(), 0, BadFirst}, {0, math.NaN(), BadSecond}, {inf, -inf, BadSecond}, {float64(-least[T]()), float64(-least[T]()), Overflow}} {
		b := Bernoulli[T]{[]T{0, 0, T(test.logit)}, Noise[T]{Given: []T{0, 0, T(test.noise)}}, 1}
		var bad *InputError
		if err := b.Soft(make([]T, 3), nil); !errors.As(err, &bad) || bad.Index != 2 || bad.Problem != test.problem {
			t.Errorf("logit %v and noise %v: error %v", test.logit, test.noise, err)
		}
	}
}

// An infinite logit changes no bit of other samples.
func TestBernoulliBesideInfinity(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testBernoulliBesideInfinity[float32])
		t.Run("float64", testBernoulliBesideInfinity[float64])
	})
}

func testBernoulliBesideInfinity[T Float](t *testing.T) {
	const n = 1000
	logits := finite[T](n, 1)
	b := Bernoulli[T]{logits, Noise[T]{Stream: &testedStream}, 0.7}
	want, got := make([]T, n), make([]T, n)
	if err := b.Logit(want); err != nil {
		t.Fatal(err)
	}
	logits[500], want[500] = T(math.Inf(-1)), T(math.Inf(-1))
	if err := b.Logit(got); err != nil || !slices.Equal(got, want) {
		t.Errorf("an infinite logit changes other samples (error %v)", err)
	}
}

// bernoulli compares its vector code with plain Go.
func (c *vectorCheck[T]) bernoulli() {
	for _, x := range [][]T{c.x, c.infinite} {
		c.near("tempered", func(plain bool, dst []T) (float64, bool) {
			return 0, clearIf(choose(plain, temperedGo[T], tempered[T])(dst, x, c.y, &temperedScalars[T]{0.7, 9}), dst)
		})
		c.equal("step", func(plain bool, dst []T) { choose(plain, stepGo[T], step[T])(dst, x) })
		c.near("sigmoid", func(plain bool, dst []T) (float64, bool) {
			choose(plain, sigmoidGo[T], sigmoid[T])(dst, x)
			return 0, false
		})
		c.near("gradSigmoid", func(plain bool, dst []T) (float64, bool) {
			choose(plain, gradSigmoidGo[T], gradSigmoid[T])(dst, x, c.g, &slopeScalars[T]{1.7})
			return 0, false
		})
		c.near("reinMaxSlope", func(plain bool, dst []T) (float64, bool) {
			choose(plain, reinMaxSlopeGo[T], reinMaxSlope[T])(dst, x, c.g, &sideScalars[T]{inverse: 0.7})
			return 0, false
		})
		c.near("gapSlope", func(plain bool, dst []T) (float64, bool) {
			choose(plain, gapSlopeGo[T], gapSlope[T])(dst, x, c.g, &sideScalars[T]{0.7, 1.2})
			return 0, false
		})
	}
	c.near("addSlope", func(plain bool, dst []T) (float64, bool) {
		copy(dst, c.g)
		choose(plain, addSlopeGo[T], addSlope[T])(dst, c.x, c.e, &sideScalars[T]{inverse: 0.7})
		return 0, false
	})
}
