package kernel

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/gumbel-go/gumbel/internal/philox"
)

var allDims = []Dims{
	{1, 1, 1}, {1, 5, 1}, {7, 3, 1}, {300, 10, 1}, {3, 5000, 1}, {1, 9000, 1},
	{1, 4, 5}, {3, 2, 7}, {2, 10, 33}, {1, 3, 5000}, {2, 700, 40}, {1, 1, 9},
}

// normals returns n normal numbers times scale, every 29th of them -Inf.
func normals[T Float](n int, scale float64, seed uint64) []T {
	r := rand.New(rand.NewPCG(seed, 0))
	x := make([]T, n)
	for i := range x {
		x[i] = T(r.NormFloat64() * scale)
		if i%29 == 28 {
			x[i] = T(math.Inf(-1))
		}
	}
	return x
}

// plainSoftmax computes the definition in float64, one distribution after another.
func plainSoftmax[T Float](logits, noise []T, d Dims, tau float64) (soft, hard []float64) {
	soft, hard = make([]float64, d.Size()), make([]float64, d.Size())
	for o := range d.Outer {
		for i := range d.Inner {
			at := func(c int) int { return (o*d.Classes+c)*d.Inner + i }
			z := func(c int) float64 { return float64(logits[at(c)]) + float64(noise[at(c)]) }
			best := 0
			for c := range d.Classes {
				if z(c) > z(best) {
					best = c
				}
			}
			var sum kahan
			for c := range d.Classes {
				soft[at(c)] = math.Exp((z(c) - z(best)) / tau)
				sum.add(soft[at(c)])
			}
			for c := range d.Classes {
				soft[at(c)] /= sum.total
			}
			hard[at(best)] = 1
		}
	}
	return soft, hard
}

// kahan is a compensated sum, which stays accurate for thousands of terms.
type kahan struct{ total, lost float64 }

func (k *kahan) add(x float64) {
	x -= k.lost
	next := k.total + x
	k.total, k.lost = next, (next-k.total)-x
}

// Samples are right wherever the classes are, with given noise and with drawn noise.
func TestSampler(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testSampler[float32])
		t.Run("float64", testSampler[float64])
	})
}

func testSampler[T Float](t *testing.T) {
	for _, d := range allDims {
		for _, tau := range []float64{0.05, 0.7, 10} {
			spread := 2 * (1 + 20*tau) // classes near enough to tell apart, and far
			logits := normals[T](d.Size(), spread, 1)
			for o := range d.Rows() { // no distribution is masked whole
				logits[o/d.Inner*d.Classes*d.Inner+o%d.Inner] = 1
			}
			stream := &Stream{Key: philox.DeriveKey(3, 4), Draw: 5}
			given := make([]T, d.Size())
			Gumbel(given, *stream, 0, 1)
			wantSoft, wantHard := plainSoftmax(logits, given, d, tau)
			for name, noise := range map[string]Noise[T]{"given": {Given: given}, "drawn": {Stream: stream}} {
				s := Sampler[T]{d, logits, noise, tau}
				soft, hard, kept := make([]T, d.Size()), make([]T, d.Size()), make([]T, d.Size())
				if err := s.Soft(soft); err != nil {
					t.Fatal(err)
				}
				if err := s.Hard(hard, kept); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(soft, kept) {
					t.Errorf("%v tau %v, %s noise: Hard's soft sample differs from Soft's", d, tau, name)
				}
				for i := range soft {
					if float64(hard[i]) != wantHard[i] {
						t.Fatalf("%v tau %v, %s noise: hard[%d] = %v, want %v", d, tau, name, i, hard[i], wantHard[i])
					}
					if !near(float64(soft[i]), wantSoft[i], tau, soft[i]) {
						t.Fatalf("%v tau %v, %s noise: soft[%d] = %v, want %v", d, tau, name, i, soft[i], wantSoft[i])
					}
				}
			}
		}
	}
}

// near reports whether a sample has the accuracy that is promised: a relative error of
// 2⁻²³(8 + |log y|) in float32. A denormal number may be off by a unit in the last place,
// or by a few thousand in float64, where math.Exp is less accurate. Many classes add
// nothing, because their sum is in float64. In float64 the reference itself is off by the
// rounding of logits + noise, which are less than 1024 here.
func near[T Float](got, want, tau float64, _ T) bool {
	epsilon, least, reference := 0x1p-23, 0x1p-149, 0.0
	if _, ok := any(T(0)).(float64); ok {
		epsilon, least, reference = 0x1p-52, 0x1p-1062, 1024/tau
	}
	if want == 0 || got == 0 {
		return math.Abs(got-want) <= least
	}
	return math.Abs(got-want) <= want*epsilon*(8+math.Abs(math.Log(want))+reference)+least
}

// The gradients match their formulas within a few roundings of the numbers in them.
func TestGradients(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", func(t *testing.T) { testGradients[float32](t, 0x1p-22) })
		t.Run("float64", func(t *testing.T) { testGradients[float64](t, 0x1p-49) })
	})
}

func testGradients[T Float](t *testing.T, epsilon float64) {
	for _, d := range allDims {
		const tau = 0.6
		logits := normals[T](d.Size(), 1, 1)
		for o := range d.Rows() {
			logits[o/d.Inner*d.Classes*d.Inner+o%d.Inner] = 0
		}
		noise, grad, soft := make([]T, d.Size()), normals[T](d.Size(), 1, 2), make([]T, d.Size())
		Gumbel(noise, Stream{}, 0, 1)
		for i := range grad {
			if math.IsInf(float64(grad[i]), 0) {
				grad[i] = 1
			}
		}
		s := Sampler[T]{d, logits, Noise[T]{Given: noise}, tau}
		if err := s.Soft(soft); err != nil {
			t.Fatal(err)
		}
		got := make([]T, d.Size())
		s.Grad(got, soft, grad)
		gotTau, err := s.GradTau(soft, grad)
		if err != nil {
			t.Fatal(err)
		}
		wantTau, sizeTau := 0.0, 0.0
		for o := range d.Outer {
			for i := range d.Inner {
				at := func(c int) int { return (o*d.Classes+c)*d.Inner + i }
				z := func(c int) float64 { return float64(logits[at(c)]) + float64(noise[at(c)]) }
				var sum, sizes kahan
				top := math.Inf(-1)
				for c := range d.Classes {
					term := float64(soft[at(c)]) * float64(grad[at(c)])
					sum.add(term)
					sizes.add(math.Abs(term))
					top = max(top, z(c))
				}
				mean := sum.total
				// A sum in order loses up to half a unit per term.
				sizes.total *= 1 + float64(d.Classes)/1024
				for c := range d.Classes {
					y, g := float64(soft[at(c)]), float64(grad[at(c)])
					want, size := y*(g-mean)/tau, y*(math.Abs(g)+sizes.total)/tau
					if math.Abs(float64(got[at(c)])-want) > epsilon*size {
						t.Fatalf("%v: gradient %d is %v, want %v", d, at(c), got[at(c)], want)
					}
					if y > 0 {
						wantTau -= (z(c) - top) / tau * want
						sizeTau += (1 + math.Abs(z(c)-top)) / tau * size
					}
				}
			}
		}
		if math.Abs(gotTau-wantTau) > epsilon*sizeTau {
			t.Errorf("%v: gradient to tau is %v, want %v", d, gotTau, wantTau)
		}
	}
}

// A masked class ignores a gradient that is not finite. Any other class passes it on,
// as an infinity or NaN, to its whole distribution and to tau, even where the sample
// underflows to 0.
func TestGradNotFinite(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testGradNotFinite[float32])
		t.Run("float64", testGradNotFinite[float64])
	})
}

func testGradNotFinite[T Float](t *testing.T) {
	masked, least := T(math.Inf(-1)), 1e-300 // in plain Go
	if isFloat32[T]() {
		least = 1e-30
	}
	close := func(got T, want float64) bool { return math.Abs(float64(got)/want-1) < 1e-6 }
	for _, k := range []int{3, 40, 100} {
		for _, tau := range []float64{1, least} {
			const rows = 19
			d := Dims{rows, k, 1}
			logits, soft, grad := make([]T, d.Size()), make([]T, d.Size()), make([]T, d.Size())
			noise := make([]T, d.Size())
			for r := range rows {
				soft[r*k], soft[r*k+2] = 0.25, 0.75
				grad[r*k], grad[r*k+2] = 1, 2
			}
			logits[4*k+1], grad[4*k+1] = masked, T(math.Inf(1))   // by its logit
			noise[7*k+1], grad[7*k+1] = masked, T(math.NaN())     // by its noise
			grad[11*k+1] = T(math.Inf(-1))                        // not masked: underflowed
			logits[18*k+1], grad[18*k+2] = masked, T(math.Inf(1)) // masked, but the gradient reaches another
			s := Sampler[T]{d, logits, Noise[T]{Given: noise}, tau}
			back := make([]T, d.Size())
			s.Grad(back, soft, grad)
			for r := range rows {
				row := back[r*k : (r+1)*k]
				switch {
				case r == 11 && (isFinite(row[0]) || isFinite(row[1]) || isFinite(row[2])):
					t.Errorf("%d classes, tau %v: an infinite gradient of a class that is not masked leaves %v", k, tau, row[:3])
				case r == 18 && (row[1] != 0 || isFinite(row[0]) || isFinite(row[2])):
					t.Errorf("%d classes, tau %v: an infinite gradient beside a masked class leaves %v", k, tau, row[:3])
				case r != 11 && r != 18 && !(row[1] == 0 && close(row[0], -0.1875/tau) && close(row[2], 0.1875/tau)):
					t.Errorf("%d classes, tau %v: row %d has gradient %v", k, tau, r, row[:3])
				}
			}
			for r, want := range map[int]bool{4: true, 7: true, 11: false, 18: false} {
				one := Sampler[T]{Dims{1, k, 1}, logits[r*k : (r+1)*k], Noise[T]{Given: noise[r*k : (r+1)*k]}, 1}
				got, err := one.GradTau(soft[r*k:(r+1)*k], grad[r*k:(r+1)*k])
				if err != nil || isFinite(got) != want {
					t.Errorf("%d classes: row %d: the gradient to tau is %v, %v", k, r, got, err)
				}
			}
		}
	}
}

// An infinite gradient that reaches a divergence leaves masked classes alone.
func TestGradKLNotFinite(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, g := range []float64{math.Inf(1), math.NaN()} {
			q, p := []float64{0, math.Inf(-1), -2000, 1}, []float64{1, math.Inf(-1), 2, 0}
			toQ, toP := make([]float64, 4), make([]float64, 4)
			if err := errors.Join(GradKLQ(toQ, q, p, []float64{g}, Dims{1, 4, 1}), GradKLP(toP, q, p, []float64{g}, Dims{1, 4, 1})); err != nil {
				t.Fatal(err)
			}
			for _, got := range [][]float64{toQ, toP} {
				if got[1] != 0 || isFinite(got[0]) || isFinite(got[2]) || isFinite(got[3]) {
					t.Errorf("gradient %v of an upstream gradient of %v", got, g)
				}
			}
		}
	})
}

// Logits whose difference is outside float64 have the right sample if its quotient by
// tau is not.
func TestHugeTemperature(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		s := Sampler[float64]{Dims{1, 2, 1}, []float64{1.7e308, -1.7e308}, Noise[float64]{}, 8.5e307}
		soft := make([]float64, 2)
		if err := s.Soft(soft); err != nil {
			t.Fatal(err)
		}
		if want := 1 / (1 + math.Exp(-4)); math.Abs(soft[0]-want) > 1e-15 || math.Abs(soft[1]-(1-want)) > 1e-15 {
			t.Errorf("the sample is %v, want %v", soft, want)
		}
		tau, err := s.GradTau(soft, []float64{1, 0}) // −(1/τ)(x₀y₀(1 − y₀) − x₁y₁y₀) with x = 0, −4
		if want := -4 * soft[0] * soft[1] / 8.5e307; err != nil || math.Abs(tau/want-1) > 1e-12 {
			t.Errorf("the gradient to tau is %v, want %v: %v", tau, want, err)
		}
	})
}

// No bit of a result depends on the number of processors, and no bit of a row on its
// neighbours.
func TestThreads(t *testing.T) { eachLevel(t, testThreads) }

func testThreads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	d := Dims{5000, 20, 1}
	logits, grad := normals[float32](d.Size(), 3, 1), normals[float32](d.Size(), 1, 2)
	for i := range grad {
		grad[i] = max(grad[i], -5)
	}
	stream := &Stream{Key: philox.DeriveKey(3, 4)}
	run := func(d Dims, logits []float32) (soft, hard, back []float32, tau float64) {
		s := Sampler[float32]{d, logits, Noise[float32]{Stream: stream}, 0.4}
		soft, hard, back = make([]float32, d.Size()), make([]float32, d.Size()), make([]float32, d.Size())
		if err := errors.Join(s.Soft(soft), s.Hard(hard, nil)); err != nil {
			t.Fatal(err)
		}
		s.Grad(back, soft, grad)
		tau, err := s.GradTau(soft, grad)
		if err != nil {
			t.Fatal(err)
		}
		return soft, hard, back, tau
	}
	soft, hard, back, tau := run(d, logits)
	for _, procs := range []int{2, 3, 7} {
		runtime.GOMAXPROCS(procs)
		soft2, hard2, back2, tau2 := run(d, logits)
		if !slices.Equal(soft, soft2) || !slices.Equal(hard, hard2) || !slices.Equal(back, back2) || tau != tau2 {
			t.Errorf("the results differ with GOMAXPROCS=%d", procs)
		}
	}
	for _, k := range []int{20, 100} { // short rows and long ones
		all, few := Dims{len(logits) / k, k, 1}, Dims{33, k, 1}
		soft, hard, back, _ := run(all, logits)
		soft2, hard2, back2, _ := run(few, logits[:few.Size()])
		if n := few.Size(); !slices.Equal(soft[:n], soft2) || !slices.Equal(hard[:n], hard2) || !slices.Equal(back[:n], back2) {
			t.Errorf("the first 33 rows of %d classes differ from those among %d", k, all.Outer)
		}
	}
}

// A distribution's results have the same bits anywhere in a batch.
func TestPlace(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testPlace[float32])
		t.Run("float64", testPlace[float64])
	})
}

func testPlace[T Float](t *testing.T) {
	for _, k := range []int{3, 10, 64, 65, 300} {
		row, noise, grad := normals[T](k, 3, 1), normals[T](k, 1, 2), normals[T](k, 1, 3)
		row[0], noise[28%k], grad[28%k] = 1, 0, 0
		results := func(place, rows int) []T {
			batch := func(row []T, seed uint64) []T {
				all := normals[T](rows*k, 2, seed)
				for i := range all {
					all[i] = max(all[i], -50)
				}
				copy(all[place*k:], row)
				return all
			}
			d := Dims{rows, k, 1}
			logits, upstream := batch(row, 4), batch(grad, 6)
			s := Sampler[T]{d, logits, Noise[T]{Given: batch(noise, 5)}, 0.6}
			soft, hard, back, toQ := make([]T, rows*k), make([]T, rows*k), make([]T, rows*k), make([]T, rows*k)
			kl, one := make([]T, rows), make([]T, rows)
			for i := range one {
				one[i] = 1
			}
			if err := errors.Join(s.Hard(hard, soft), KL(kl, logits, nil, d), GradKLQ(toQ, logits, nil, one, d)); err != nil {
				t.Fatal(err)
			}
			s.Grad(back, soft, upstream)
			lo, hi := place*k, (place+1)*k
			return slices.Concat(soft[lo:hi], hard[lo:hi], back[lo:hi], toQ[lo:hi], kl[place:place+1])
		}
		want := results(0, 1)
		for _, at := range [][2]int{{0, 40}, {7, 40}, {39, 40}, {16, 17}, {500, 1001}} {
			if !slices.Equal(results(at[0], at[1]), want) {
				t.Errorf("%d classes: the bits of row %d of %d differ from the row by itself", k, at[0], at[1])
			}
		}
	}
}

// Ties go to the lowest class; sums are compared exactly.
func TestArgmax(t *testing.T) { eachLevel(t, testArgmax) }

func testArgmax(t *testing.T) {
	inf := float32(math.Inf(-1))
	for _, test := range []struct {
		logits, noise []float32
		want          int
	}{
		{[]float32{1, 1, 1}, []float32{0, 0, 0}, 0},
		{[]float32{0, 2, 2}, []float32{0, 0, 0}, 1},
		{[]float32{inf, -3e38, -3e38}, []float32{5, 0, 0}, 1},
		{[]float32{1e30, 1e30, 1e30}, []float32{-1, 2, 1}, 1}, // equal once rounded
		{[]float32{1, 2, 3}, []float32{2, 1, 0}, 0},
		{[]float32{-5}, []float32{1}, 0},
	} {
		hard := make([]float32, len(test.logits))
		s := Sampler[float32]{Dims{1, len(hard), 1}, test.logits, Noise[float32]{Given: test.noise}, 1}
		if err := s.Hard(hard, nil); err != nil {
			t.Fatal(err)
		}
		for c, v := range hard {
			if (v == 1) != (c == test.want) || (v != 0 && v != 1) {
				t.Errorf("%v + %v: sample %v, want class %d", test.logits, test.noise, hard, test.want)
			}
		}
	}
}

// The results are numbers for temperatures down to the least one and for logits of any
// size.
func TestExtremes(t *testing.T) { eachLevel(t, testExtremes) }

func testExtremes(t *testing.T) {
	for _, tau := range []float64{math.SmallestNonzeroFloat64, 1e-300, 1e-10, 1e10, math.MaxFloat64} {
		for _, logits := range [][]float64{{0, 0, 0}, {-math.MaxFloat64, math.MaxFloat64, 0}, {1e300, 1e300, -1e300}, {math.Inf(-1), 3, 3}} {
			soft, back := make([]float64, 3), make([]float64, 3)
			s := Sampler[float64]{Dims{1, 3, 1}, logits, Noise[float64]{Stream: &Stream{}}, tau}
			if err := s.Soft(soft); err != nil {
				t.Fatal(err)
			}
			s.Grad(back, soft, []float64{1, 1, 1})
			sum := soft[0] + soft[1] + soft[2]
			if math.Abs(sum-1) > 1e-15 || back[0]+back[1]+back[2] != back[0]+back[1]+back[2] {
				t.Errorf("tau %v, logits %v: sample %v, gradient %v", tau, logits, soft, back)
			}
		}
	}
}

func TestBadInput(t *testing.T) { eachLevel(t, testBadInput) }

func testBadInput(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, d := range []Dims{{4, 3, 1}, {2, 3, 2}} {
		for _, test := range []struct {
			at           int
			logit, noise float64
			problem      Problem
		}{
			{4, nan, 0, BadFirst},
			{11, inf, 0, BadFirst},
			{7, -inf, inf, BadSecond},
			{0, 0, nan, BadSecond},
			{5, math.MaxFloat64, math.MaxFloat64, Overflow},
		} {
			logits, noise := make([]float64, d.Size()), make([]float64, d.Size())
			logits[test.at], noise[test.at] = test.logit, test.noise
			s := Sampler[float64]{d, logits, Noise[float64]{Given: noise}, 1}
			dst := make([]float64, d.Size())
			for name, err := range map[string]error{"Soft": s.Soft(dst), "Hard": s.Hard(dst, nil)} {
				var bad *InputError
				if !errors.As(err, &bad) || bad.Index != test.at || bad.Problem != test.problem {
					t.Errorf("%v %s with logit %v and noise %v at %d: %v", d, name, test.logit, test.noise, test.at, err)
				}
			}
		}
	}
	masked := []float64{1, 2, -inf, -inf}
	var bad *InputError
	if err := (Sampler[float64]{Dims{2, 2, 1}, masked, Noise[float64]{}, 1}).Soft(make([]float64, 4)); !errors.As(err, &bad) || bad.Index != 2 || bad.Problem != AllMasked {
		t.Errorf("a masked distribution: %v", err)
	}
}

// An error names the first of several bad elements, with any number of processors.
func TestFirstBadElement(t *testing.T) { eachLevel(t, testFirstBadElement) }

func testFirstBadElement(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	d := Dims{50_000, 10, 1}
	logits := make([]float32, d.Size())
	for _, at := range []int{70_000, 200_000, 499_999} {
		logits[at] = float32(math.NaN())
	}
	var bad *InputError
	err := Sampler[float32]{d, logits, Noise[float32]{}, 1}.Soft(make([]float32, d.Size()))
	if !errors.As(err, &bad) || bad.Index != 70_000 {
		t.Errorf("want element 70000, got %v", err)
	}
}

func TestEmpty(t *testing.T) {
	for _, d := range []Dims{{0, 3, 1}, {3, 0, 1}, {3, 2, 0}} {
		s := Sampler[float64]{Dims: d, Tau: 1}
		tau, err := s.GradTau(nil, nil)
		if err := errors.Join(s.Soft(nil), s.Hard(nil, nil), err); err != nil || tau != 0 {
			t.Errorf("%v: %v, %v", d, err, tau)
		}
		s.Grad(nil, nil, nil)
	}
}

func BenchmarkSampler(b *testing.B) {
	for _, d := range []Dims{{2000, 10, 1}, {4096, 10, 1}, {1024, 1000, 1}, {64, 32000, 1}, {1, 100, 10000}} {
		logits, upstream := normals[float32](d.Size(), 1, 1), finite[float32](d.Size(), 2)
		dst, back := make([]float32, d.Size()), make([]float32, d.Size())
		s := Sampler[float32]{d, logits, Noise[float32]{Stream: &Stream{}}, 0.7}
		for name, f := range map[string]func(){
			"soft": func() { _ = s.Soft(dst) },
			"hard": func() { _ = s.Hard(dst, nil) },
			"grad": func() { s.Grad(back, dst, upstream) },
		} {
			b.Run(fmt.Sprintf("%s/%dx%dx%d", name, d.Outer, d.Classes, d.Inner), func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*d.Size()), "ns/element")
			})
		}
	}
}
