package kernel

import (
	"errors"
	"math"
	"math/bits"
	"slices"
	"testing"

	"github.com/gumbel-go/gumbel/internal/philox"
)

// Shares of an array, each with the index of its first element, have the noise,
// the samples and the gradients of the whole, to the bit.
func TestShares(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testShares[float32])
		t.Run("float64", testShares[float64])
	})
}

func testShares[T Float](t *testing.T) {
	for _, d := range []Dims{{40, 3, 1}, {997, 10, 1}, {150, 64, 1}, {150, 65, 1}, {5, 5000, 1}, {40, 4, 5}, {9, 10, 33}, {4, 100, 40}} {
		in := shareInput[T]{d, finite[T](d.Size(), 1), finite[T](d.Size(), 2), Stream{}}
		for _, first := range []uint64{0, 12345, 1<<63 + 16} {
			in.whole = Stream{Key: philox.DeriveKey(9, 1), Draw: 4, First: first}
			want := in.take(t, 0, d.Outer)
			for _, cuts := range [][]int{{1}, {d.Outer / 2}, {2, 3, d.Outer - 1}} {
				var got share[T]
				for i, hi := range append(cuts, d.Outer) {
					lo := 0
					if i > 0 {
						lo = cuts[i-1]
					}
					got.add(in.take(t, lo, hi))
				}
				for name, arrays := range map[string][2][]T{
					"noise": {got.noise, want.noise}, "soft sample": {got.soft, want.soft}, "hard sample": {got.hard, want.hard},
					"gradient": {got.grad, want.grad},
				} {
					if !slices.Equal(arrays[0], arrays[1]) {
						t.Fatalf("%v from %d, cut at %v: the %s differs from the whole's", d, first, cuts, name)
					}
				}
				if math.Abs(got.tau-want.tau) > 1e-5*want.size {
					t.Fatalf("%v from %d, cut at %v: the gradient to tau is %v, want %v", d, first, cuts, got.tau, want.tau)
				}
			}
		}
	}
}

// share is what the kernels compute for some of the rows along the first axis.
type share[T Float] struct {
	noise, soft, hard, grad []T
	tau, size               float64 // the gradient to tau, and the sum of the rows' absolute ones
}

func (s *share[T]) add(o share[T]) {
	s.noise, s.soft = append(s.noise, o.noise...), append(s.soft, o.soft...)
	s.hard, s.grad = append(s.hard, o.hard...), append(s.grad, o.grad...)
	s.tau += o.tau
	s.size += o.size
}

// shareInput is an array of distributions, whose noise is that of a stream.
type shareInput[T Float] struct {
	d                Dims
	logits, upstream []T
	whole            Stream
}

// take computes rows [lo, hi).
func (in shareInput[T]) take(t *testing.T, lo, hi int) (s share[T]) {
	t.Helper()
	d, row := in.d, in.d.Classes*in.d.Inner
	d.Outer = hi - lo
	logits, upstream := in.logits[lo*row:hi*row], in.upstream[lo*row:hi*row]
	stream := in.whole
	stream.First += uint64(lo * row)
	s = share[T]{noise: make([]T, d.Size()), soft: make([]T, d.Size()), hard: make([]T, d.Size()), grad: make([]T, d.Size())}
	Gumbel(s.noise, stream, 0, 1)
	sampler := Sampler[T]{d, logits, Noise[T]{Stream: &stream}, 0.6}
	if err := errors.Join(sampler.Soft(s.soft), sampler.Hard(s.hard, nil)); err != nil {
		t.Fatal(err)
	}
	sampler.Grad(s.grad, s.soft, upstream)
	var err error
	if s.tau, err = sampler.GradTau(s.soft, upstream); err != nil {
		t.Fatal(err)
	}
	for i, g := range s.grad {
		s.size += math.Abs(float64(g) * float64(logits[i]+s.noise[i]))
	}
	return s
}

// Noise may be cut anywhere.
func TestNoiseShares(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testNoiseShares[float32])
		t.Run("float64", testNoiseShares[float64])
	})
}

func testNoiseShares[T Float](t *testing.T) {
	s := Stream{Key: philox.DeriveKey(2, 3), Draw: 1}
	whole := make([]T, 50_000)
	Gumbel(whole, s, 1, 2)
	for lo, size := 0, 1; lo < len(whole); lo, size = lo+size, size*3 {
		got := make([]T, min(size, len(whole)-lo))
		s.First = uint64(lo)
		if Gumbel(got, s, 1, 2); !slices.Equal(got, whole[lo:lo+len(got)]) {
			t.Fatalf("elements %d to %d differ from the whole's", lo, lo+len(got))
		}
	}
}

// The words of a stream, of those that belong to it and of those that belong to
// these are unrelated: no two are equal more often than random words are, half of
// their bits differ, and they do not correlate one place or one group apart.
func TestSubStreams(t *testing.T) {
	const n = 1 << 16
	s := Stream{Key: philox.DeriveKey(1, 2)}
	streams := []Stream{s, s.Sub(0), s.Sub(1), s.Sub(1 << 40), s.Sub(0).Sub(0), s.Sub(0).Sub(1), s.Sub(1).Sub(0)}
	words := make([][]uint32, len(streams))
	for i, s := range streams {
		words[i] = make([]uint32, n+philox.Group)
		philox.Fill(words[i], s.Key, s.Draw, s.First)
	}
	const sigma = 5.5 // in each of some 60 comparisons: one false alarm in 400,000
	for i := range streams {
		for j := range i {
			for _, apart := range []int{0, 1, philox.Group} {
				equal, differing := 0, 0
				for k, word := range words[i][:n] {
					other := words[j][k+apart]
					differing += bits.OnesCount32(word ^ other)
					if word == other {
						equal++
					}
				}
				// 32·n bits, each different with probability 1/2.
				if off := math.Abs(float64(differing) - 16*n); off > sigma*math.Sqrt(8*n) {
					t.Errorf("streams %d and %d, %d apart: %d bits differ, want about %d", i, j, apart, differing, 16*n)
				}
				if equal > 2 { // expected: 2⁻¹⁶
					t.Errorf("streams %d and %d, %d apart: %d words are equal", i, j, apart, equal)
				}
			}
		}
	}
}

// The derivation of a key, which samples depend on, stays as it is.
func TestSubKey(t *testing.T) {
	s := Stream{Key: philox.Key{0x12345678, 0x9abcdef0}, Draw: 7, First: 9}
	for n, want := range map[uint64]philox.Key{
		0: {0x34c92801, 0x3ebcfb49},
		5: {0xbb716a0f, 0x574b73dc},
	} {
		block := philox.Block([4]uint32{^uint32(n), ^uint32(n >> 32)}, s.Key)
		if got := s.Sub(n); got != (Stream{want, 7, 9}) || got.Key != (philox.Key{block[0], block[1]}) {
			t.Errorf("stream %d is %#x, want key %#x", n, got, want)
		}
	}
}
