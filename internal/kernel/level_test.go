package kernel

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gumbel-go/gumbel/internal/philox"
)

// eachLevel runs a test at every level that this machine has.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	best := level
	defer func() { level = best }()
	for level = range best + 1 {
		t.Run([]string{"Go", "AVX2", "AVX-512"}[level], f)
	}
}

// Noise has the same bits at every level.
func TestNoiseLevels(t *testing.T) {
	t.Run("float32", testNoiseLevels[float32])
	t.Run("float64", testNoiseLevels[float64])
}

func testNoiseLevels[T Float](t *testing.T) {
	want := map[int][]T{}
	eachLevel(t, func(t *testing.T) {
		for i, start := range []uint64{0, 1, 63, 64, 1<<36 - 65, 1<<38 + 17} {
			for _, n := range []int{1, 63, 64, 65, 1000, 20_000} {
				got := make([]T, n)
				fillNoise(got, Stream{Key: philox.DeriveKey(7, 8), Draw: 1<<40 + 3}, start, prefetch[T]{})
				at := i*100_000 + n
				if level == levelGo {
					want[at] = got
				} else if !slices.Equal(got, want[at]) {
					t.Fatalf("%d elements from %d on differ from plain Go", n, start)
				}
			}
		}
	})
}

// For temperatures and logits of any size, soft samples agree between levels within
// their accuracy, and hard samples to the bit.
func TestSampleLevels(t *testing.T) {
	t.Run("float32", testSampleLevels[float32])
	t.Run("float64", testSampleLevels[float64])
}

func testSampleLevels[T Float](t *testing.T) {
	type sample struct{ soft, hard []T }
	var want []sample
	eachLevel(t, func(t *testing.T) {
		i := 0
		for _, d := range []Dims{{500, 7, 1}, {100, 64, 1}, {100, 65, 1}, {20, 1001, 1}, {3, 10, 50}} {
			for _, spread := range []float64{1, 30, 1e4, 1e30, 1e38} {
				for _, tau := range []float64{1e-35, 1e-29, 1e-10, 1.1e-7, 1e-3, 0.5, 20, 1e29, 1e35} {
					got := sample{make([]T, d.Size()), make([]T, d.Size())}
					logits := normals[T](d.Size(), spread, 5)
					for j := range logits {
						logits[j] = min(logits[j], 3e38)
						if j%5 == 0 {
							logits[j] = T(spread) // many classes nearly tie
						}
					}
					s := Sampler[T]{d, logits, Noise[T]{Stream: &Stream{Draw: 9}}, tau}
					if err := s.Hard(got.hard, got.soft); err != nil {
						t.Fatal(err)
					}
					if level == levelGo {
						want = append(want, got)
						continue
					}
					if !slices.Equal(got.hard, want[i].hard) {
						t.Fatalf("%v, logits of %v: the hard samples differ from plain Go", d, spread)
					}
					for j, y := range got.soft {
						const slack = 16 // of float64's sums in another order
						if w := want[i].soft[j]; !near(float64(y), float64(w), slack, y) {
							t.Fatalf("%v, logits of %v, tau %v: sample %d is %v, in plain Go %v", d, spread, tau, j, y, w)
						}
					}
					i++
				}
			}
		}
	})
}

// AVX2 has 16 registers. If a function uses more than that at once, avo silently takes
// registers of AVX-512. A processor without AVX-512 stops there, as it does at an
// instruction of AVX-512.
func TestAVX2Registers(t *testing.T) {
	files, err := filepath.Glob("*_amd64.s")
	if err != nil || len(files) < 3 {
		t.Fatalf("files %v, error %v; want one per traversal", files, err)
	}
	foreign := regexp.MustCompile(`\b(Z\d+|K[0-7]|[XY](1[6-9]|2\d|3[01]))\b|Requires: .*AVX512.*`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		functions := 0
		for _, function := range strings.Split(string(text), "\n// func ")[1:] {
			name, body, _ := strings.Cut(function, "(")
			if !strings.HasSuffix(name, "AVX2") {
				continue
			}
			functions++
			if found := foreign.FindString(body); found != "" {
				t.Errorf("%s: %s has %q, which is for AVX-512 only", file, name, found)
			}
		}
		if functions == 0 || functions != strings.Count(string(text), "AVX2(SB), NOSPLIT") {
			t.Errorf("%s: %d AVX2 functions found", file, functions)
		}
	}
}
