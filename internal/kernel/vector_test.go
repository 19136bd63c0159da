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
	checked := map[string]bool{"gumbel": true} // by TestNoiseLevels
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", func(t *testing.T) { testVectorCode[float32](t, 3e-6, checked) })
		t.Run("float64", func(t *testing.T) { testVectorCode[float64](t, 1e-14, checked) })
		t.Run("transposed", func(t *testing.T) { testTransposedCode(t, checked) })
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
		x, y, z, g := finite[T](n, 1), finite[T](n, 2), finite[T](n, 3), finite[T](n, 4)
		e, infinite := make([]T, n), slices.Clone(y)
		for i := range e { // some exponentials are 0: there an infinite factor does not count
			if e[i] = T(math.Exp(float64(-max(x[i], -x[i])))); i%3 == 1 {
				e[i], infinite[i] = 0, T(math.Inf(-1))
			}
		}
		low := T(math.Ldexp(1, -28))
		s := softmaxScalars[T]{top: 6, topLow: low, mean: 0.3, meanLow: low}
		s.setRate(0.7)
		kl := klScalars[T]{3, 4, -2, 0.3, low}

		check := func(name string, tolerance float64, run func(plain bool, dst []T) (sum float64, bad bool)) {
			t.Helper()
			checked[name] = true
			got, want := make([]T, n), make([]T, n)
			gotSum, gotBad := run(false, got)
			wantSum, wantBad := run(true, want)
			if gotBad != wantBad || !(math.Abs(gotSum-wantSum) <= 10*tolerance*float64(n)) {
				t.Fatalf("%s of %d elements is %v, %v; want %v, %v", name, n, gotSum, gotBad, wantSum, wantBad)
			}
			for i := range got {
				if !(math.Abs(float64(got[i]-want[i])) <= tolerance*(1+math.Abs(float64(want[i])))) {
					t.Fatalf("%s: element %d of %d is %v, want %v", name, i, n, got[i], want[i])
				}
			}
		}
		check("scale", 0, func(plain bool, dst []T) (float64, bool) {
			copy(dst, x)
			choose(plain, scaleGo[T], scale[T])(dst, 0.3)
			return 0, false
		})
		for out := range 3 {
			check("adam", 0, func(plain bool, dst []T) (float64, bool) {
				state := [3][]T{slices.Clone(x), slices.Clone(y), slices.Clone(e)}
				state[out] = dst
				copy(dst, [3][]T{x, y, e}[out])
				choose(plain, adamGo[T], adam[T])(state[0], g, state[1], state[2], &adamScalars[T]{0.9, 0.1, 0.99, 0.01, 1e-8, 1e-3, 5, 50})
				return 0, false
			})
		}
		for bad := range 3 {
			logits, targets := slices.Clone(x), slices.Clone(e)
			*[]*T{new(T), &logits[n-1], &targets[n/2]}[bad] += []T{0, T(math.NaN()), T(math.Inf(1))}[bad]
			check("bce", tolerance, func(plain bool, dst []T) (float64, bool) {
				isBad := choose(plain, bceGo[T], bce[T])(dst, logits, targets)
				return 0, clearIf(isBad, dst)
			})
			check("gradBCE", tolerance, func(plain bool, dst []T) (float64, bool) {
				isBad := choose(plain, gradBCEGo[T], gradBCE[T])(dst, logits, targets, g)
				return 0, clearIf(isBad, dst)
			})
		}
		check("exponentiate", tolerance, func(plain bool, dst []T) (float64, bool) {
			return choose(plain, exponentiateGo[T], exponentiate[T])(dst, infinite, z, &s), false
		})
		check("dot", tolerance, func(plain bool, _ []T) (float64, bool) {
			return choose(plain, dotGo[T], dot[T])(e, infinite, g), false
		})
		check("gradTau", tolerance, func(plain bool, _ []T) (float64, bool) {
			return choose(plain, gradTauGo[T], gradTau[T])(infinite, z, e, g, &s), false
		})
		check("gradRow", tolerance, func(plain bool, dst []T) (float64, bool) {
			choose(plain, gradRowGo[T], gradRow[T])(dst, e, infinite, &gradScalars[T]{1.7, 0.3, low})
			return 0, false
		})
		for _, p := range [][]T{z, infinite} { // the other one masks classes that q does not
			check("dotKL", tolerance, func(plain bool, _ []T) (float64, bool) {
				return choose(plain, dotKLGo[T], dotKL[T])(e, x, p, &kl)
			})
			check("gradKL", tolerance, func(plain bool, dst []T) (float64, bool) {
				choose(plain, gradKLGo[T], gradKL[T])(dst, e, x, p, &kl)
				return 0, false
			})
		}
		check("axpby", tolerance, func(plain bool, dst []T) (float64, bool) {
			choose(plain, axpbyGo[T], axpby[T])(dst, x, y, &axpbyScalars[T]{0.6, -1.2})
			return 0, false
		})
		checked["findPeaks"] = true
		if isFloat32[T]() {
			checkPeaks[T, uint32](t, infinite, z)
		} else {
			checkPeaks[T, uint64](t, infinite, z)
		}
	}
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
	for _, name := range []string{"transpose", "untranspose", "sampleColumns", "gradColumns"} {
		checked[name] = true
	}
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
		gradColumns(back[:], wantSoft[:], g[:], classes, &gradScalars[float32]{inverse: 1.7})
		gradColumnsGo(wantBack[:], wantSoft[:], g[:], classes, &gradScalars[float32]{inverse: 1.7})
		for i := range n {
			if !(math.Abs(float64(soft[i]-wantSoft[i])) <= 3e-6*float64(wantSoft[i])) || !(math.Abs(float64(back[i]-wantBack[i])) <= 3e-6) {
				t.Fatalf("%d classes: sample %d is %v, want %v; gradient %v, want %v", classes, i, soft[i], wantSoft[i], back[i], wantBack[i])
			}
		}
	}
}
