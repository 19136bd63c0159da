package kernel

import (
	"flag"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/gumbel-go/gumbel/internal/philox"
)

var exhaustive = flag.Bool("exhaustive", false, "check the noise of all 2^32 words, and products of all sizes up to 70, which takes minutes")

// reference computes the definition of the noise with package math.
func reference(b uint32) float64 {
	if v := (float64(b) + 0.5) / (1 << 32); v < 0.5 {
		return -math.Log(-math.Log1p(-v))
	}
	return -math.Log(-math.Log((float64(^b) + 0.5) / (1 << 32)))
}

// Noise is within 4 ulp of max(|g|, 1), in float32 and in float64.
func TestNoiseAccuracy(t *testing.T) {
	const limit = 4
	// An odd stride through all words, and every word at both ends, in the middle,
	// and at the seam between the two forms of u.
	stride := uint64(4099)
	if *exhaustive {
		stride = 1
	}
	var spans []wordSpan
	for part := range uint64(64) {
		spans = append(spans, wordSpan{part << 26, (part + 1) << 26, stride})
	}
	for _, center := range []uint64{1 << 14, 1 << 31, 1257966796, 1<<32 - 1<<14} {
		spans = append(spans, wordSpan{center - 1<<14, center + 1<<14, 1})
	}
	worst := make([][2]float64, len(spans))
	split(len(spans), 1, minWork, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			worst[i] = spans[i].worst()
		}
	})
	var worst32, worst64 float64
	for _, w := range worst {
		worst32, worst64 = max(worst32, w[0]), max(worst64, w[1])
	}
	t.Logf("worst error: %.2f ulp in float32, %.2f in float64", worst32, worst64)
	if worst32 > limit || worst64 > limit {
		t.Errorf("the noise is off by %v ulp in float32, %v in float64; at most %d", worst32, worst64, limit)
	}
}

// wordSpan is a range of words with a stride.
type wordSpan struct{ from, to, stride uint64 }

// worst returns the greatest errors of the noise, in float32 and float64.
func (s wordSpan) worst() (worst [2]float64) {
	var n32 [philox.Group]float32
	var n64 [philox.Group]float64
	words := make([]uint32, 0, philox.Group)
	for b := s.from; b < s.to; b += s.stride {
		words = append(words, uint32(b))
		if len(words) < philox.Group && b+s.stride < s.to {
			continue
		}
		gumbel32(n32[:len(words)], words)
		gumbel64(n64[:len(words)], words)
		for i, b := range words {
			g := reference(b)
			const exponent = 0x7ff << 52
			ulp := math.Float64frombits(math.Float64bits(max(math.Abs(g), 1)) & exponent)
			worst[0] = max(worst[0], math.Abs(float64(n32[i])-g)/ulp*(1<<23))
			worst[1] = max(worst[1], math.Abs(n64[i]-g)/ulp*(1<<52))
		}
		words = words[:0]
	}
	return worst
}

func TestNoiseEnds(t *testing.T) {
	for _, test := range []struct {
		word uint32
		want float64 // -log(-log(u)), computed with 40 decimal digits
	}{
		{0, 22.873856958419987550},
		{1 << 31, 0.366512920245760712},
		{math.MaxUint32, -3.129994640884815908},
	} {
		var g32 [1]float32
		var g64 [1]float64
		gumbel32(g32[:], []uint32{test.word})
		gumbel64(g64[:], []uint32{test.word})
		if math.Abs(g64[0]-test.want) > 1e-14 || math.Abs(float64(g32[0])-test.want) > 2e-6 {
			t.Errorf("noise of word %#x: %v and %v, want %v", test.word, g32[0], g64[0], test.want)
		}
	}
}

// The bits of a few draws stay the same, so that no change of the generator, of the
// order of operations or of the compiler's rounding goes unnoticed.
func TestNoiseBits(t *testing.T) {
	s := Stream{Key: philox.DeriveKey(1, 2), Draw: 3}
	g32, g64 := make([]float32, 200), make([]float64, 200)
	Gumbel(g32, s, 0, 1)
	Gumbel(g64, s, 0, 1)
	for i, want := range map[int]struct {
		f32 uint32
		f64 uint64
	}{
		0:   {0x3f2008d4, 0x3fe4011a5da675e2},
		1:   {0xbf1e03e1, 0xbfe3c07c1e1498f2},
		17:  {0x3ea547ca, 0x3fd4a8f94dd94089},
		63:  {0xbe4e09da, 0xbfc9c13ad2cdf88b},
		64:  {0x4011cd7e, 0x400239afb17cfed8},
		130: {0x3ff87aa9, 0x3fff0f5512d58165},
		199: {0x3ed94af7, 0x3fdb295f0ad0d8da},
	} {
		if b := math.Float32bits(g32[i]); b != want.f32 {
			t.Errorf("float32 noise %d has bits %#x, want %#x", i, b, want.f32)
		}
		if b := math.Float64bits(g64[i]); b != want.f64 {
			t.Errorf("float64 noise %d has bits %#x, want %#x", i, b, want.f64)
		}
	}
}

func TestGumbelLocScale(t *testing.T) {
	s := Stream{Key: philox.DeriveKey(1, 0)}
	plain, moved := make([]float64, 100), make([]float64, 100)
	Gumbel(plain, s, 0, 1)
	Gumbel(moved, s, -3, 0.5)
	for i := range plain {
		if want := -3 + 0.5*plain[i]; moved[i] != want {
			t.Fatalf("element %d: %v, want %v", i, moved[i], want)
		}
	}
}

// The noise has the same bits for any number of processors.
func TestNoiseThreads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := Stream{Key: philox.DeriveKey(5, 6), Draw: 7}
	want := make([]float32, 100_003)
	Gumbel(want, s, 0, 1)
	for _, procs := range []int{2, 3, 8} {
		runtime.GOMAXPROCS(procs)
		got := make([]float32, len(want))
		if Gumbel(got, s, 0, 1); !slices.Equal(got, want) {
			t.Errorf("the noise differs with GOMAXPROCS=%d", procs)
		}
	}
}

func BenchmarkNoise(b *testing.B) {
	b.Run("float32", benchmarkNoise[float32])
	b.Run("float64", benchmarkNoise[float64])
}

func benchmarkNoise[T Float](b *testing.B) {
	dst := make([]T, 1<<14)
	for b.Loop() {
		fillNoise(dst, Stream{}, 0, prefetch[T]{})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(dst)), "ns/element")
}
