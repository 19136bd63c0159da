package philox

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// The known answers of the Random123 distribution (kat_vectors, philox4x32 10).
func TestKnownAnswers(t *testing.T) {
	for _, test := range []struct {
		counter [4]uint32
		key     Key
		want    [4]uint32
	}{
		{[4]uint32{}, Key{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{
			[4]uint32{math.MaxUint32, math.MaxUint32, math.MaxUint32, math.MaxUint32},
			Key{math.MaxUint32, math.MaxUint32},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
		},
		{
			[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
			Key{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
		},
	} {
		if got := Block(test.counter, test.key); got != test.want {
			t.Errorf("Block(%x, %x) = %x, want %x", test.counter, test.key, got, test.want)
		}
	}
}

// Any span of a draw holds the words that its elements have in the whole.
func TestFillSpans(t *testing.T) {
	key := DeriveKey(42, 3)
	for _, origin := range []uint64{0, 1<<32*4 - 70, 1<<40 + 5} {
		whole := make([]uint32, 300)
		for i := range whole {
			n := origin + uint64(i)
			block := n/64*16 + n%16
			counter := [4]uint32{uint32(block), uint32(block >> 32), 9, 1}
			whole[i] = Block(counter, key)[n%64/16]
		}
		for from := 0; from < len(whole); from += 7 {
			for _, n := range []int{0, 1, 2, 15, 16, 17, 33, 63, 64, 65, 128, 150} {
				if from+n > len(whole) {
					continue
				}
				got := make([]uint32, n)
				Fill(got, key, 1<<32+9, origin+uint64(from))
				if !slices.Equal(got, whole[from:from+n]) {
					t.Fatalf("Fill of %d words from %d+%d differs from the whole", n, origin, from)
				}
			}
		}
	}
}

func TestKeysDiffer(t *testing.T) {
	seen := map[Key]string{}
	for _, seed := range []uint64{0, 1, 2, 1 << 32, math.MaxUint64} {
		for stream := range uint64(2000) {
			key, name := DeriveKey(seed, stream), fmt.Sprintf("seed %d stream %d", seed, stream)
			if other, ok := seen[key]; ok {
				t.Fatalf("%s and %s have the same key", name, other)
			}
			seen[key] = name
		}
	}
}

func BenchmarkFill(b *testing.B) {
	dst := make([]uint32, 1<<14)
	b.SetBytes(int64(4 * len(dst)))
	for b.Loop() {
		Fill(dst, Key{1, 2}, 0, 0)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(dst)), "ns/element")
}
