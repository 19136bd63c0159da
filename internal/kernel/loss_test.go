package kernel

import (
	"errors"
	"math"
	"testing"
)

func TestBCE(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", func(t *testing.T) { testBCE[float32](t, 4e-7) })
		t.Run("float64", func(t *testing.T) { testBCE[float64](t, 1e-15) })
	})
}

func testBCE[T Float](t *testing.T, tolerance float64) {
	for _, x := range []T{0, 1e-6, -1e-6, 0.5, -0.5, 3, -3, 20, -20, 80, -80, 104, 1e4, -1e4, 3e38, -3e38} {
		for _, z := range []T{0, 0.25, 0.5, 1} {
			var loss, toLogit, toTarget [1]T
			xs, zs, g := []T{x}, []T{z}, []T{2}
			if err := errors.Join(BCE(loss[:], xs, zs), GradBCELogits(toLogit[:], xs, zs, g), GradBCETargets(toTarget[:], xs, zs, g)); err != nil {
				t.Fatal(err)
			}
			x, z := float64(x), float64(z)
			// As sums of positive terms, which do not cancel.
			e := math.Exp(-math.Abs(x))
			wantLoss, wantLogit := -x*z+math.Log1p(e), e/(1+e)-z
			if x > 0 {
				wantLoss, wantLogit = x*(1-z)+math.Log1p(e), 1-z-e/(1+e)
			}
			for _, c := range []struct {
				name             string
				got, want, scale float64
			}{
				{"loss", float64(loss[0]), wantLoss, wantLoss},
				{"gradient to the logit", float64(toLogit[0]), 2 * wantLogit, 2 * max(math.Abs(wantLogit), e/(1+e))},
				{"gradient to the target", float64(toTarget[0]), -2 * x, 2 * x},
			} {
				if math.Abs(c.got-c.want) > tolerance*math.Abs(c.scale)+1e-44 && !math.IsInf(float64(T(c.want)), 0) {
					t.Errorf("x %v, z %v: %s is %v, want %v", x, z, c.name, c.got, c.want)
				}
			}
			if math.IsNaN(float64(loss[0])) || math.IsInf(float64(loss[0]), 0) {
				t.Errorf("x %v, z %v: loss %v", x, z, loss[0])
			}
		}
	}
}

// Small divergences, whose terms are many times greater, are as precise as float64
// allows.
func TestSmallKL(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, size := range []float64{1e-4, 1e-3, 1e-2, 0.3} {
			q := []float32{float32(size), 0, float32(-2 * size), float32(size / 2)}
			d := Dims{1, len(q), 1}
			soft, _ := plainSoftmax(q, make([]float32, len(q)), d, 1)
			var want float64
			for _, y := range soft {
				want += y * math.Log1p(4*y-1)
			}
			var kl [1]float32
			if err := KL(kl[:], q, nil, d); err != nil {
				t.Fatal(err)
			}
			// The terms of the reference cancel to this precision.
			if math.Abs(float64(kl[0])-want) > 1e-5*want+1e-15 {
				t.Errorf("logits of %v: %v, want %v", size, kl[0], want)
			}
		}
	})
}

// Elements in whole registers and those left over have the same bits.
func TestBCETails(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		x, g := normals[float32](61, 3, 1), normals[float32](61, 3, 2)
		z := make([]float32, len(x))
		for i := range x {
			x[i], g[i] = max(x[i], -9), max(g[i], -9)
			z[i] = float32(i%5) / 4
		}
		loss, grad := make([]float32, len(x)), make([]float32, len(x))
		if err := errors.Join(BCE(loss, x, z), GradBCELogits(grad, x, z, g)); err != nil {
			t.Fatal(err)
		}
		for i := range x {
			var l, d [1]float32
			if err := errors.Join(BCE(l[:], x[i:i+1], z[i:i+1]), GradBCELogits(d[:], x[i:i+1], z[i:i+1], g[i:i+1])); err != nil {
				t.Fatal(err)
			}
			if l[0] != loss[i] || d[0] != grad[i] {
				t.Errorf("element %d is %v and %v by itself, %v and %v among others", i, l[0], d[0], loss[i], grad[i])
			}
		}
	})
}

func TestBCEBadInput(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testBCEBadInput[float32])
		t.Run("float64", testBCEBadInput[float64])
	})
}

func testBCEBadInput[T Float](t *testing.T) {
	for v, problem := range map[T]Problem{T(math.NaN()): BadFirst, T(math.Inf(1)): InfiniteLoss, T(math.Inf(-1)): InfiniteLoss} {
		var bad *InputError
		if err := BCE(make([]T, 2), []T{0, v}, []T{0, 0.5}); !errors.As(err, &bad) || bad.Index != 1 || bad.Problem != problem {
			t.Errorf("logit %v: %v", v, err)
		}
		if err := BCE(make([]T, 2), []T{0, 0}, []T{v, 0}); !errors.As(err, &bad) || bad.Index != 0 || bad.Problem != BadSecond {
			t.Errorf("target %v: %v", v, err)
		}
	}
}

// The divergence and its gradients match their definitions, wherever the classes are.
func TestKL(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", func(t *testing.T) { testKL[float32](t, 4e-6) })
		t.Run("float64", func(t *testing.T) { testKL[float64](t, 1e-12) })
	})
}

func testKL[T Float](t *testing.T, tolerance float64) {
	for _, d := range allDims {
		q, p := normals[T](d.Size(), 3, 1), normals[T](d.Size(), 3, 2)
		grad := normals[T](d.Rows(), 1, 3)
		for i := range grad {
			grad[i] = max(grad[i], -9)
		}
		for o := range d.Rows() { // no distribution is masked whole
			at := o/d.Inner*d.Classes*d.Inner + o%d.Inner
			q[at], p[at] = 0, 0
		}
		softQ, _ := plainSoftmax(q, make([]T, d.Size()), d, 1)
		for _, uniform := range []bool{true, false} {
			softP, _ := plainSoftmax(p, make([]T, d.Size()), d, 1)
			other := p
			if uniform {
				other = nil
				for i := range softP {
					softP[i] = 1 / float64(d.Classes)
				}
			}
			kl, toQ, toP := make([]T, d.Rows()), make([]T, d.Size()), make([]T, d.Size())
			if err := errors.Join(KL(kl, q, other, d), GradKLQ(toQ, q, other, grad, d)); err != nil {
				t.Fatal(err)
			}
			if !uniform {
				if err := GradKLP(toP, q, other, grad, d); err != nil {
					t.Fatal(err)
				}
			}
			for o := range d.Rows() {
				at := func(c int) int { return (o/d.Inner*d.Classes+c)*d.Inner + o%d.Inner }
				term := func(c int) float64 {
					if softQ[at(c)] == 0 {
						return 0
					}
					return math.Log(softQ[at(c)] / softP[at(c)])
				}
				want := 0.0
				for c := range d.Classes {
					want += softQ[at(c)] * term(c)
				}
				if math.Abs(float64(kl[o])-want) > tolerance*(1+want) {
					t.Fatalf("%v: KL %d is %v, want %v", d, o, kl[o], want)
				}
				for c := range d.Classes {
					if w := float64(grad[o]) * softQ[at(c)] * (term(c) - want); math.Abs(float64(toQ[at(c)])-w) > tolerance*(1+want) {
						t.Fatalf("%v: gradient to q %d is %v, want %v", d, at(c), toQ[at(c)], w)
					}
					if w := float64(grad[o]) * (softP[at(c)] - softQ[at(c)]); !uniform && math.Abs(float64(toP[at(c)])-w) > tolerance {
						t.Fatalf("%v: gradient to p %d is %v, want %v", d, at(c), toP[at(c)], w)
					}
				}
			}
		}
	}
}

func TestKLBadInput(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testKLBadInput[float32])
		t.Run("float64", testKLBadInput[float64])
	})
}

func testKLBadInput[T Float](t *testing.T) {
	nan, inf := T(math.NaN()), T(math.Inf(1))
	d := Dims{2, 2, 1}
	for _, test := range []struct {
		q, p    []T
		at      int
		problem Problem
	}{
		{[]T{0, 0, nan, 0}, nil, 2, BadFirst},
		{[]T{0, inf, 0, 0}, nil, 1, BadFirst},
		{[]T{0, 0, 0, 0}, []T{0, 0, 0, nan}, 3, BadSecond},
		{[]T{0, 0, -inf, -inf}, nil, 2, AllMasked},
		{[]T{0, 0, 0, 0}, []T{-inf, -inf, 0, 0}, 0, AllMaskedSecond},
		{[]T{0, 0, 0, 0}, []T{0, -inf, 0, 0}, 1, Infinite},
	} {
		var bad *InputError
		if err := KL(make([]T, 2), test.q, test.p, d); !errors.As(err, &bad) || bad.Index != test.at || bad.Problem != test.problem {
			t.Errorf("q %v, p %v: %v", test.q, test.p, err)
		}
	}
}

// An infinite logit is a probability of 0 or 1: it has the loss 0 and no gradient
// beside the target that it predicts, and is an error beside another.
func TestBCEInfinite(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testBCEInfinite[float32])
		t.Run("float64", testBCEInfinite[float64])
	})
}

func testBCEInfinite[T Float](t *testing.T) {
	inf := T(math.Inf(1))
	for _, n := range []int{1, 7, 40} {
		logits, targets, grad := make([]T, n), make([]T, n), make([]T, n)
		plain := [3][]T{make([]T, n), make([]T, n), make([]T, n)}
		got := [3][]T{make([]T, n), make([]T, n), make([]T, n)}
		run := func(dst [3][]T) error {
			return errors.Join(BCE(dst[0], logits, targets), GradBCELogits(dst[1], logits, targets, grad), GradBCETargets(dst[2], logits, targets, grad))
		}
		for i := range n {
			logits[i], targets[i], grad[i] = T(i%5)-2, 0.25, T(i)+1
		}
		if err := run(plain); err != nil {
			t.Fatal(err)
		}
		for at, x := range map[int]T{0: inf, n - 1: -inf, n / 2: inf} {
			logits[at], targets[at] = x, 0
			if x > 0 {
				targets[at] = 1
			}
		}
		if err := run(got); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			for which, dst := range got {
				want := plain[which][i]
				if !isFinite(logits[i]) {
					want = 0
				}
				if dst[i] != want {
					t.Errorf("%d elements: result %d of element %d is %v, want %v", n, which, i, dst[i], want)
				}
			}
		}
		for _, bad := range []struct {
			target  T
			problem Problem
		}{{0, InfiniteLoss}, {0.5, InfiniteLoss}, {-inf, BadSecond}, {T(math.NaN()), BadSecond}} {
			logits[n/2], targets[n/2] = inf, bad.target
			var e *InputError
			if err := BCE(got[0], logits, targets); !errors.As(err, &e) || e.Problem != bad.problem || e.Index != n/2 {
				t.Errorf("a target of %v: error %v", bad.target, err)
			}
		}
	}
}
