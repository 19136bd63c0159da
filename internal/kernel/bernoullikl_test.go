package kernel

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// The divergence and its gradients have a small relative error for every pair of logits,
// however near to each other or far from 0 they are. Below the smallest normal number,
// exponentials have absolute errors, which a difference of logits multiplies.
func TestBernoulliKL(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testBernoulliKL[float32](t, 0x1p-23, math.SmallestNonzeroFloat32) })
	t.Run("float64", func(t *testing.T) { testBernoulliKL[float64](t, 0x1p-52, math.SmallestNonzeroFloat64) })
}

func testBernoulliKL[T Float](t *testing.T, epsilon, tiny float64) {
	var a, b []T
	var want [][3]float64
	for _, p := range bernoulliPairs() {
		x, y := T(p[0]), T(p[1])
		a, b, want = append(a, x, -x), append(b, y, -y), append(want, bigBernoulliKL(float64(x), float64(y)))
	}
	n := len(a)
	kl, toA, toB, ones := make([]T, n), make([]T, n), make([]T, n), slices.Repeat([]T{1}, n)
	eachLevel(t, func(t *testing.T) {
		if err := errors.Join(BernoulliKL(kl, a, b), GradBernoulliKLQ(toA, a, b, ones), GradBernoulliKLP(toB, a, b, ones)); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			want, d := want[i/2], 1+math.Abs(float64(a[i])-float64(b[i]))
			if i%2 == 1 { // the opposite outcomes
				want = [3]float64{want[0], -want[1], -want[2]}
			}
			for which, got := range []T{kl[i], toA[i], toB[i]} {
				tolerance := 8*epsilon*math.Abs(want[which]) + 4*tiny*[3]float64{d, d, 1}[which]
				if !(math.Abs(float64(got)-want[which]) <= tolerance) || which == 0 && got < 0 {
					t.Errorf("a %v, b %v: result %d is %v, want %v", a[i], b[i], which, got, want[which])
				}
			}
		}
	})
}

// Many random pairs in float32 have the accuracy of the few above. The reference is
// float64's divergence.
func TestBernoulliKLRandom(t *testing.T) {
	const n = 200_000
	r := rand.New(rand.NewPCG(7, 8))
	a, b, got := make([]float32, n), make([]float32, n), make([]float32, n)
	wideA, wideB, want := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		a[i] = float32(r.NormFloat64() * math.Exp(4*r.Float64()-2))
		if b[i] = float32(r.NormFloat64() * math.Exp(4*r.Float64()-2)); i%2 == 0 {
			b[i] = a[i] + float32(r.NormFloat64()*math.Exp(1-12*r.Float64()))
		}
		wideA[i], wideB[i] = float64(a[i]), float64(b[i])
	}
	if err := BernoulliKL(want, wideA, wideB); err != nil {
		t.Fatal(err)
	}
	eachLevel(t, func(t *testing.T) {
		if err := BernoulliKL(got, a, b); err != nil {
			t.Fatal(err)
		}
		for i, v := range want {
			if math.Abs(float64(got[i])-v) > 8*0x1p-23*v+0x1p-140 {
				t.Errorf("a %v, b %v: %v, want %v", a[i], b[i], got[i], v)
			}
		}
	})
}

// bernoulliPairs returns logits of all sizes, differences of all sizes, and random pairs.
func bernoulliPairs() (pairs [][2]float64) {
	sizes := []float64{0, 1e-30, 1e-6, 0.1, 0.5, 1, 2, 3, 7, 16, 40, 80, 88, 95, 103, 300, 708, 746, 1e4, 3e38}
	for _, x := range sizes {
		for _, y := range sizes {
			pairs = append(pairs, [2]float64{x, y}, [2]float64{x, -y})
		}
		for _, d := range []float64{0, 1e-20, 1e-7, 1e-4, 0.01, 0.1, 0.3, 0.7, 1, 1.5, 1.99, 2, 2.01, 2.5, 3, 5, 10, 50, 200} {
			pairs = append(pairs, [2]float64{x, x + d}, [2]float64{x, x - d})
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		x := 6 * r.NormFloat64()
		pairs = append(pairs, [2]float64{x, 6 * r.NormFloat64()}, [2]float64{x, x + r.NormFloat64()*math.Exp(-8*r.Float64())})
	}
	return pairs
}

// bigBernoulliKL returns the divergence and its gradients to a and b, computed in so many
// bits that cancellation does not matter.
func bigBernoulliKL(a, b float64) [3]float64 {
	if a > 0 { // the opposite outcomes, because 1 − σ(a) needs many bits
		r := bigBernoulliKL(-a, -b)
		return [3]float64{r[0], -r[1], -r[2]}
	}
	one := number(1)
	sigmoid := func(x float64) *big.Float {
		e := bigExp(-math.Abs(x))
		if x > 0 {
			return quo(one, sum(one, e))
		}
		return quo(e, sum(one, e))
	}
	softplus := func(x float64) *big.Float {
		return sum(number(max(x, 0)), bigLog1p(bigExp(-math.Abs(x))))
	}
	p, d := sigmoid(a), difference(number(b), number(a))
	kl := difference(difference(softplus(b), softplus(a)), product(p, d))
	toA := product(product(p, sigmoid(-a)), difference(number(a), number(b)))
	toB := difference(sigmoid(b), p)
	var r [3]float64
	for i, x := range []*big.Float{kl, toA, toB} {
		r[i], _ = x.Float64()
	}
	return r
}

const bigBits = 320

func number(x float64) *big.Float           { return new(big.Float).SetPrec(bigBits).SetFloat64(x) }
func sum(x, y *big.Float) *big.Float        { return number(0).Add(x, y) }
func difference(x, y *big.Float) *big.Float { return number(0).Sub(x, y) }
func product(x, y *big.Float) *big.Float    { return number(0).Mul(x, y) }
func quo(x, y *big.Float) *big.Float        { return number(0).Quo(x, y) }

// bigExp returns e^x for x ≤ 0, 0 where that is far below the smallest float64.
func bigExp(x float64) *big.Float {
	if x < -2000 {
		return number(0)
	}
	const halvings = 24
	r := product(number(x), number(math.Ldexp(1, -halvings)))
	e, term := number(1), number(1)
	for k := 1.0; k < 24; k++ {
		term = quo(product(term, r), number(k))
		e = sum(e, term)
	}
	for range halvings {
		e = product(e, e)
	}
	return e
}

// bigLog1p returns log(1+x) for x in [0, 1], as 2 artanh(x/(2+x)).
func bigLog1p(x *big.Float) *big.Float {
	s := quo(x, sum(number(2), x))
	square, power, log := product(s, s), number(0).Add(s, s), number(0)
	for k := 1.0; k < 210 && power.Sign() != 0; k += 2 {
		log = sum(log, quo(power, number(k)))
		power = product(power, square)
	}
	return log
}

// A certain outcome has the divergence softplus(∓b), and its gradient is 0. A divergence from
// a certain outcome is 0 or infinite.
func TestBernoulliKLInfinite(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testBernoulliKLInfinite[float32])
		t.Run("float64", testBernoulliKLInfinite[float64])
	})
}

func testBernoulliKLInfinite[T Float](t *testing.T) {
	inf, nan := T(math.Inf(1)), T(math.NaN())
	for _, n := range []int{1, 7, 40} {
		zeros, grad := make([]T, n), slices.Repeat([]T{inf}, n)
		run := func(a, b []T) (kl, toA, toB []T, err error) {
			kl, toA, toB = make([]T, n), make([]T, n), make([]T, n)
			err = errors.Join(BernoulliKL(kl, a, b), GradBernoulliKLQ(toA, a, b, grad), GradBernoulliKLP(toB, a, b, slices.Repeat([]T{1}, n)))
			return kl, toA, toB, err
		}
		for _, test := range []struct{ a, b, kl, toB float64 }{
			{math.Inf(1), 2, math.Log1p(math.Exp(-2)), 1/(1+math.Exp(-2)) - 1},
			{math.Inf(1), -1e4, 1e4, -1},
			{math.Inf(1), 1e4, 0, 0},
			{math.Inf(-1), 2, 2 + math.Log1p(math.Exp(-2)), 1 / (1 + math.Exp(-2))},
			{math.Inf(-1), 0, math.Ln2, 0.5},
			{math.Inf(-1), -1e30, 0, 0},
			{math.Inf(1), math.Inf(1), 0, 0},
			{math.Inf(-1), math.Inf(-1), 0, 0},
		} {
			a, b := slices.Clone(zeros), slices.Clone(zeros)
			a[n-1], b[n-1] = T(test.a), T(test.b)
			kl, toA, toB, err := run(a, b)
			if err != nil {
				t.Fatal(err)
			}
			close := func(got T, want float64) bool { return math.Abs(float64(got)-want) <= 1e-6*math.Abs(want) }
			if at := n - 1; !close(kl[at], test.kl) || toA[at] != 0 || !close(toB[at], test.toB) {
				t.Errorf("%d elements, a %v, b %v: %v, gradients %v and %v; want %v, 0 and %v", n, test.a, test.b, kl[at], toA[at], toB[at], test.kl, test.toB)
			}
		}
		for _, test := range []struct {
			a, b    T
			problem Problem
			value   T
		}{
			{nan, 0, BadFirst, nan}, {nan, inf, BadFirst, nan}, {0, nan, BadSecond, nan}, {inf, nan, BadSecond, nan},
			{0, inf, InfiniteKL, inf}, {1e4, inf, InfiniteKL, inf}, {inf, -inf, InfiniteKL, -inf}, {-inf, inf, InfiniteKL, inf}, {-2, -inf, InfiniteKL, -inf},
		} {
			a, b := slices.Clone(zeros), slices.Clone(zeros)
			a[n/2], b[n/2] = test.a, test.b
			_, _, _, err := run(a, b)
			for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
				var bad *InputError
				if !errors.As(err, &bad) || bad.Index != n/2 || bad.Problem != test.problem || !same(T(bad.Value), test.value) {
					t.Errorf("a %v, b %v: error %v", test.a, test.b, err)
				}
			}
		}
	}
}

func same[T Float](x, y T) bool { return x == y || x != x && y != y }

// bernoulliKL compares its vector code with plain Go.
func (c *vectorCheck[T]) bernoulliKL() {
	inf := T(math.Inf(1))
	for _, worse := range []func(a, b []T){
		func(_, _ []T) {},
		func(a, _ []T) { a[c.n/2] = -inf },
		func(a, _ []T) { a[c.n-1] = T(math.NaN()) },
		func(_, b []T) { b[0] = inf },
	} {
		a, b := slices.Clone(c.x), slices.Clone(c.y)
		worse(a, b)
		c.near("bernoulliKL", func(plain bool, dst []T) (float64, bool) {
			return 0, clearIf(choose(plain, bernoulliKLGo[T], bernoulliKL[T])(dst, a, b), dst)
		})
		c.near("gradBernoulliKLQ", func(plain bool, dst []T) (float64, bool) {
			return 0, clearIf(choose(plain, gradBernoulliKLQGo[T], gradBernoulliKLQ[T])(dst, a, b, c.g), dst)
		})
		c.near("gradBernoulliKLP", func(plain bool, dst []T) (float64, bool) {
			return 0, clearIf(choose(plain, gradBernoulliKLPGo[T], gradBernoulliKLP[T])(dst, a, b, c.g), dst)
		})
	}
}
