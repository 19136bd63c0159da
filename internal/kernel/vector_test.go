package kernel

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// The vector code of a function computes what its plain Go does, which is also what
// the generator copies into the comment of the assembly.
func TestVectorCode(t *testing.T) {
	checked := map[string]bool{"gumbel": true, "exponential": true, "logistic": true} // by TestNoiseLevels, TestExponential and TestLogistic
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", func(t *testing.T) { testVectorCode[float32](t, 3e-6, checked) })
		t.Run("float64", func(t *testing.T) { testVectorCode[float64](t, 1e-14, checked) })
		t.Run("transposed", func(t *testing.T) { testTransposedCode(t, checked) })
		t.Run("matrix", func(t *testing.T) {
			testMatrixCode[float32](t, 3e-6, checked)
			testMatrixCode[float64](t, 1e-14, checked)
		})
	})
	files, err := filepath.Glob("*_noasm.go")
	if err != nil {
		t.Fatal(err)
	}
	function := regexp.MustCompile(`(?m)^func (\w+)`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range function.FindAllSubmatch(text, -1) {
			if name := string(m[1]); !checked[name] {
				t.Errorf("%s has vector code that is not checked here", name)
			}
		}
	}
}

// The lengths leave something over, or not, for registers of 4, 8 and 16.
var vectorLengths = []int{1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 100, 1000}

func testVectorCode[T Float](t *testing.T, tolerance float64, checked map[string]bool) {
	for _, n := range vectorLengths {
		c := newVectorCheck[T](t, n, tolerance, checked)
		c.elementwise()
		c.bernoulliKL()
		c.relaxedDensity()
		c.rows()
		c.kl()
		c.entropy()
		c.concrete()
		c.scaleRows()
		c.estimators()
		c.logSpace()
		c.bernoulli()
		c.gates()
	}
	checked["findPeaks"] = true
}

// A vectorCheck compares vector code with plain Go, on arrays of n elements.
type vectorCheck[T Float] struct {
	t          *testing.T
	n          int
	tolerance  float64
	checked    map[string]bool
	x, y, z, g []T
	e          []T // exponentials, of which some are 0
	infinite   []T // -Inf where e is 0, because such a factor does not count
}

func newVectorCheck[T Float](t *testing.T, n int, tolerance float64, checked map[string]bool) *vectorCheck[T] {
	c := &vectorCheck[T]{t: t, n: n, tolerance: tolerance, checked: checked}
	c.x, c.y, c.z, c.g = finite[T](n, 1), finite[T](n, 2), finite[T](n, 3), finite[T](n, 4)
	c.e, c.infinite = make([]T, n), slices.Clone(c.y)
	for i, x := range c.x {
		if c.e[i] = T(math.Exp(float64(-max(x, -x)))); i%3 == 1 {
			c.e[i], c.infinite[i] = 0, T(math.Inf(-1))
		}
	}
	return c
}

// near checks that vector code and plain Go set dst to nearly the same and return
// nearly the same sum and the same bad.
func (c *vectorCheck[T]) near(name string, run func(plain bool, dst []T) (sum float64, bad bool)) {
	c.t.Helper()
	c.check(name, c.tolerance, run)
}

// equal checks that vector code and plain Go set dst to the same bits.
func (c *vectorCheck[T]) equal(name string, run func(plain bool, dst []T)) {
	c.t.Helper()
	c.check(name, 0, func(plain bool, dst []T) (float64, bool) {
		run(plain, dst)
		return 0, false
	})
}

func (c *vectorCheck[T]) check(name string, tolerance float64, run func(plain bool, dst []T) (sum float64, bad bool)) {
	c.t.Helper()
	c.checked[name] = true
	got, want := make([]T, c.n), make([]T, c.n)
	gotSum, gotBad := run(false, got)
	wantSum, wantBad := run(true, want)
	if gotBad != wantBad || !(math.Abs(gotSum-wantSum) <= 10*tolerance*float64(c.n)) {
		c.t.Fatalf("%s of %d elements is %v, %v; want %v, %v", name, c.n, gotSum, gotBad, wantSum, wantBad)
	}
	for i := range got {
		if !(math.Abs(float64(got[i]-want[i])) <= tolerance*(1+math.Abs(float64(want[i])))) {
			c.t.Fatalf("%s: element %d of %d is %v, want %v", name, i, c.n, got[i], want[i])
		}
	}
}

func (c *vectorCheck[T]) elementwise() {
	for out := range 3 {
		c.equal("adam", func(plain bool, dst []T) {
			state := [3][]T{slices.Clone(c.x), slices.Clone(c.y), slices.Clone(c.e)}
			copy(dst, state[out])
			state[out] = dst
			choose(plain, adamGo[T], adam[T])(state[0], c.g, state[1], state[2], &adamScalars[T]{0.9, 0.1, 0.99, 0.01, 1e-8, 1e-3, 5, 50})
		})
	}
	c.equal("addTo", func(plain bool, dst []T) {
		sums := make([]float64, c.n+addPadding)
		for i := range sums {
			sums[i] = 1 + float64(i)/3
		}
		padding := slices.Clone(sums[c.n:])
		choose(plain, addToGo[T], addTo[T])(c.x, sums)
		for i := range dst {
			dst[i] = T(sums[i])
		}
		if !slices.Equal(sums[c.n:], padding) {
			c.t.Fatalf("addTo changes elements after the %d", c.n)
		}
	})
	nan, inf := T(math.NaN()), T(math.Inf(1))
	for _, worse := range []func(logits, targets []T){
		func(_, _ []T) {},
		func(logits, _ []T) { logits[c.n-1] = nan },
		func(logits, _ []T) { logits[0] = -inf },
		func(_, targets []T) { targets[c.n/2] = inf },
	} {
		logits, targets := slices.Clone(c.x), slices.Clone(c.e)
		worse(logits, targets)
		c.near("bce", func(plain bool, dst []T) (float64, bool) {
			return 0, clearIf(choose(plain, bceGo[T], bce[T])(dst, logits, targets), dst)
		})
		c.near("gradBCE", func(plain bool, dst []T) (float64, bool) {
			return 0, clearIf(choose(plain, gradBCEGo[T], gradBCE[T])(dst, logits, targets, c.g), dst)
		})
	}
}

// low is the lower part of a scalar in two parts.
const low = 0x1p-28

func (c *vectorCheck[T]) rows() {
	s := softmaxScalars[T]{top: 6, topLow: low, mean: 0.3, meanLow: low}
	s.setRate(0.7)
	c.equal("scale", func(plain bool, dst []T) {
		copy(dst, c.x)
		choose(plain, scaleGo[T], scale[T])(dst, 0.3)
	})
	c.near("exponentiate", func(plain bool, dst []T) (float64, bool) {
		return choose(plain, exponentiateGo[T], exponentiate[T])(dst, c.infinite, c.z, &s), false
	})
	c.near("dot", func(plain bool, _ []T) (float64, bool) {
		return choose(plain, dotGo[T], dot[T])(c.e, c.y, c.g), false
	})
	c.equal("gradReLU", func(plain bool, dst []T) {
		y := slices.Clone(c.x)
		y[0], y[c.n/2], y[c.n-1] = T(math.NaN()), 0, T(math.Copysign(0, -1))
		choose(plain, gradReLUGo[T], gradReLU[T])(dst, y, c.g)
	})
	for out := range 2 {
		c.equal("addRow", func(plain bool, dst []T) {
			state := [2][]T{slices.Clone(c.x), slices.Clone(c.y)}
			copy(dst, state[out])
			state[out] = dst
			choose(plain, addRowGo[T], addRow[T])(state[0], state[1], c.z)
		})
	}
	c.near("gradTau", func(plain bool, _ []T) (float64, bool) {
		return choose(plain, gradTauGo[T], gradTau[T])(c.infinite, c.z, c.e, c.g, &s), false
	})
	c.near("gradRow", func(plain bool, dst []T) (float64, bool) {
		choose(plain, gradRowGo[T], gradRow[T])(dst, c.e, c.infinite, &gradScalars[T]{1.7, 0.3, low})
		return 0, false
	})
	if isFloat32[T]() {
		checkPeaks[T, uint32](c.t, c.infinite, c.z)
	} else {
		checkPeaks[T, uint64](c.t, c.infinite, c.z)
	}
}

func (c *vectorCheck[T]) kl() {
	s := klScalars[T]{3, 4, -2, 0.3, low}
	for _, p := range [][]T{c.z, c.infinite} { // the other one masks classes that q does not
		c.near("dotKL", func(plain bool, _ []T) (float64, bool) {
			return choose(plain, dotKLGo[T], dotKL[T])(c.e, c.x, p, &s)
		})
		c.near("gradKL", func(plain bool, dst []T) (float64, bool) {
			choose(plain, gradKLGo[T], gradKL[T])(dst, c.e, c.x, p, &s)
			return 0, false
		})
	}
	near := slices.Clone(c.x)
	for i := range near {
		near[i] += c.y[i] / 8
	}
	c.near("excess", func(plain bool, _ []T) (float64, bool) {
		e := slices.Repeat([]T{0.5}, c.n)
		return choose(plain, excessGo[T], excess[T])(e, c.x, near, &klScalars[T]{3, 3.1, 0, 0.1, low})
	})
	for _, p := range [][]T{c.x, c.infinite} { // with an e of 0, or far
		for plain, f := range map[bool]func(e, q, p []T, s *klScalars[T]) (float64, bool){true: excessGo[T], false: excess[T]} {
			if _, far := f(c.e, c.x, p, &klScalars[T]{mean: 3}); !far {
				c.t.Fatalf("excess of %d, plain %v: nothing is far", c.n, plain)
			}
		}
	}
	c.near("axpby", func(plain bool, dst []T) (float64, bool) {
		choose(plain, axpbyGo[T], axpby[T])(dst, c.x, c.y, &axpbyScalars[T]{0.6, -1.2})
		return 0, false
	})
}

func (c *vectorCheck[T]) entropy() {
	s := entropyScalars[T]{3, -2, 0.3, low}
	c.near("dotEntropy", func(plain bool, _ []T) (float64, bool) {
		return choose(plain, dotEntropyGo[T], dotEntropy[T])(c.e, c.infinite, &s), false
	})
	tops, want := [16]T{}, [16]T{}
	for _, x := range [][]T{c.x, c.infinite} {
		if greatest(x, &tops) || greatestGo(x, &want) || slices.Max(tops[:lanes[T]()]) != want[0] {
			c.t.Fatalf("greatest of %d: %v, want %v", c.n, tops, want[0])
		}
		c.near("exponentialSum", func(plain bool, dst []T) (float64, bool) {
			return choose(plain, exponentialSumGo[T], exponentialSum[T])(dst, x, 5), false
		})
	}
	bad := slices.Clone(c.x)
	bad[c.n-1] = T(math.NaN())
	if !greatest(bad, &tops) || !greatestGo(bad, &want) {
		c.t.Fatalf("greatest of %d: NaN is not bad", c.n)
	}
	c.checked["greatest"] = true
	c.near("gradEntropy", func(plain bool, dst []T) (float64, bool) {
		choose(plain, gradEntropyGo[T], gradEntropy[T])(dst, c.e, c.infinite, &s)
		return 0, false
	})
}

func choose[F any](plain bool, f, g F) F {
	if plain {
		return f
	}
	return g
}

// clearIf clears dst if the input is bad, which leaves dst undefined.
func clearIf[T Float](bad bool, dst []T) bool {
	if bad {
		clear(dst)
	}
	return bad
}

func checkPeaks[T Float, W word](t *testing.T, logits, noise []T) {
	t.Helper()
	logits, noise = slices.Clone(logits), slices.Clone(noise)
	for _, bad := range []bool{false, true} {
		if bad {
			logits[len(logits)/2] = T(math.NaN())
		} else if n := len(logits); n > 40 { // a tie in one lane
			logits[n-1], noise[n-1] = 20, 1
			logits[n-33], noise[n-33] = 1, 20
		}
		var peaks, wantPeaks lanePeaks[T]
		var found, wantFound laneClasses[W]
		findPeaks(logits, noise, &peaks, &found)
		findPeaksGo(logits, noise, &wantPeaks, &wantFound)
		for lane := range lanes[T]() {
			if math.IsInf(float64(wantPeaks.sum[lane]), -1) { // whether masked classes tie is undefined
				found.tie &^= 1 << lane
				wantFound.tie &^= 1 << lane
			}
		}
		if peaks.sum != wantPeaks.sum || found != wantFound {
			t.Fatalf("%d classes: the peaks are %v, %v; want %v, %v", len(logits), peaks.sum, found, wantPeaks.sum, wantFound)
		}
	}
}

// testTransposedCode is testVectorCode for transposed rows.
func testTransposedCode(t *testing.T, checked map[string]bool) {
	for _, name := range []string{"transpose", "untranspose", "sampleColumns", "gradColumns", "gradTauColumns"} {
		checked[name] = true
	}
	testEstimatorColumns(t, checked)
	testLossColumns(t, checked)
	testConcreteColumns(t, checked)
	lanes := lanes[float32]()
	for classes := 1; classes <= shortRow; classes++ {
		n := classes * lanes
		rows, noise, grad := finite[float32](n, 1), finite[float32](n, 2), finite[float32](n, 3)
		if classes > 1 {
			rows[n/2] = float32(math.Inf(-1))
			rows[0], rows[1], noise[0], noise[1] = 1e10, 1e10, -1, 2 // a tie of rounded sums
		}
		var a, b, g, want transposed
		transpose(a[:], rows, classes)
		transposeGo(want[:], rows, classes)
		if back := make([]float32, n); !slices.Equal(a[:n], want[:n]) {
			t.Fatalf("%d classes: not transposed", classes)
		} else if untranspose(back, a[:], classes); !slices.Equal(back, rows) {
			t.Fatalf("%d classes: not transposed back", classes)
		} else if untransposeGo(back, a[:], classes); !slices.Equal(back, rows) {
			t.Fatalf("%d classes: not transposed back by plain Go", classes)
		}
		transposeGo(b[:], noise, classes)
		transposeGo(g[:], grad, classes)

		var s softmaxScalars[float32]
		s.setRate(0.7)
		var soft, wantSoft, back, wantBack transposed
		for _, target := range []bool{false, true} {
			var peaks, wantPeaks lanePeaks[float32]
			var found, wantFound laneClasses[uint32]
			got, want := soft[:], wantSoft[:]
			if !target {
				got, want = nil, nil
			}
			sampleColumns(got, a[:], b[:], classes, &s, &peaks, &found)
			sampleColumnsGo(want, a[:], b[:], classes, &s, &wantPeaks, &wantFound)
			if peaks != wantPeaks || found != wantFound {
				t.Fatalf("%d classes: the peaks are %v, %v; want %v, %v", classes, peaks, found, wantPeaks, wantFound)
			}
		}
		found, wantFound := laneClasses[uint32]{}, laneClasses[uint32]{}
		g[0] = float32(math.NaN())
		gradColumns(back[:], wantSoft[:], g[:], classes, &gradScalars[float32]{inverse: 1.7}, &found)
		gradColumnsGo(wantBack[:], wantSoft[:], g[:], classes, &gradScalars[float32]{inverse: 1.7}, &wantFound)
		if lanes > 1 {
			var tau, wantTau tauLanes
			g[0] = 1
			gradTauColumns(a[:], b[:], wantSoft[:], g[:], classes, &tau)
			gradTauColumnsGo(a[:], b[:], wantSoft[:], g[:], classes, &wantTau)
			for lane := range lanes {
				if x, y := tau.sum[lane], wantTau.sum[lane]; !(math.Abs(x-y) <= 1e-5*max(1, math.Abs(y))) {
					t.Fatalf("gradTauColumns, %d classes: lane %d is %v, want %v", classes, lane, x, y)
				}
			}
			a[lanes+1] = float32(math.NaN())
			g[2] = float32(math.Inf(1))
			gradTauColumns(a[:], b[:], wantSoft[:], g[:], classes, &tau)
			gradTauColumnsGo(a[:], b[:], wantSoft[:], g[:], classes, &wantTau)
			if tau.bad != wantTau.bad || tau.bad&4 == 0 {
				t.Fatalf("gradTauColumns, %d classes: the bad lanes are %b, want %b", classes, tau.bad, wantTau.bad)
			}
		}
		if found != wantFound || found.bad != 1 {
			t.Fatalf("%d classes: rows %b have a mean that is not finite, want %b", classes, found.bad, wantFound.bad)
		}
		for i := 0; i < n; i += lanes {
			back[i], wantBack[i] = 0, 0 // NaN
		}
		for i := range n {
			if !(math.Abs(float64(soft[i]-wantSoft[i])) <= 3e-6*float64(wantSoft[i])) || !(math.Abs(float64(back[i]-wantBack[i])) <= 3e-6) {
				t.Fatalf("%d classes: sample %d is %v, want %v; gradient %v, want %v", classes, i, soft[i], wantSoft[i], back[i], wantBack[i])
			}
		}
	}
}
