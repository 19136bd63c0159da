package kernel

import (
	"slices"
	"testing"

	"github.com/gumbel-go/gumbel/internal/philox"
)

// eachLevel runs a test under every instruction set of this machine.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	best := level
	defer func() { level = best }()
	for level = range best + 1 {
		t.Run([]string{"Go", "AVX2", "AVX-512"}[level], f)
	}
}

// Noise has the same bits on every level.
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
					t.Fatalf("%d elements from %d on are others", n, start)
				}
			}
		}
	})
}
