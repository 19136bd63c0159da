package kernel

import (
	"math"

	"github.com/gumbel-go/gumbel/internal/philox"
)

// Stream is one draw of random words: number Draw of the sequence that Key
// selects. An array begins at element First of the draw: its element i has the
// word of element First+i. So a share of a batch has the noise that it has in the
// whole. First plus the array's size is at most 2⁶⁴.
type Stream struct {
	Key   philox.Key
	Draw  uint64
	First uint64
}

// Sub returns number n of the streams that belong to s, for noise beside the
// stream's own, such as noise that is conditional on it. Draw and First stay the
// same. The key is philox.DeriveKey(k, ^n), where k is s.Key as a number, low word
// first: the first two words of the block with counter 2⁶⁴−1−n in draw 0 of s.
// A draw's elements use the counters below 2⁶², so the key is not among the words
// of s for any n below 3·2⁶².
func (s Stream) Sub(n uint64) Stream {
	s.Key = philox.DeriveKey(uint64(s.Key[1])<<32|uint64(s.Key[0]), ^n)
	return s
}

// Gumbel sets dst[i] to loc + scale·g, where g is the standard Gumbel noise of
// element First+i of the stream's draw.
//
// With b the element's random word, u = (~b + 1/2)·2⁻³² is uniform on (0, 1)
// and g = −log(−log u). Both logarithms are taken without cancellation from
// whichever of u and 1−u is at most 1/2, so that both tails keep their full
// relative precision and neither end needs a clamp.
//
// The result has the same bits on every platform: every operation is rounded
// separately (see minusLogRelative32 and minusLog64), and package math is avoided
// because it has assembly on some platforms.
func Gumbel[T Float](dst []T, s Stream, loc, scale float64) {
	split(len(dst), 1, costOf[T](costNoise), func(lo, hi int) {
		fillNoise(dst[lo:hi], s, uint64(lo), prefetch[T]{})
		if loc == 0 && scale == 1 {
			return
		}
		for i, g := range dst[lo:hi] {
			dst[lo+i] = T(loc + float64(scale*float64(g)))
		}
	})
}

// fillNoise sets dst to the noise of the array's elements from start on. It may
// prefetch what is ahead, which has dst's length or is nil.
func fillNoise[T Float](dst []T, s Stream, start uint64, ahead prefetch[T]) {
	fill(dst, s, start, ahead, gumbelLaw)
}

// A law is a distribution of noise. It is not a function, because the arguments of one
// that is not known when compiled are allocated on the heap.
type law int

const (
	gumbelLaw law = iota
	exponentialLaw
	logisticLaw
)

// fill is fillNoise for noise of any law.
func fill[T Float](dst []T, s Stream, start uint64, ahead prefetch[T], law law) {
	start += s.First
	rounds := s.Key.Rounds()
	offset := int(start % philox.Group)
	if offset > 0 { // after a first short span, the others are whole groups
		n := min(philox.Group-offset, len(dst))
		fillPartOfGroup(dst[:n], s, &rounds, start/philox.Group, offset, law)
		dst, start, ahead = dst[n:], start+uint64(n), ahead.after(n)
	}
	whole := len(dst) / philox.Group
	fillGroups(dst[:whole*philox.Group], s, &rounds, start/philox.Group, ahead, law)
	if rest := dst[whole*philox.Group:]; len(rest) > 0 {
		fillPartOfGroup(rest, s, &rounds, start/philox.Group+uint64(whole), 0, law)
	}
}

// prefetch holds two arrays that are needed next.
type prefetch[T Float] struct{ a, b []T }

func (p prefetch[T]) after(n int) prefetch[T] {
	if p.a != nil {
		p.a = p.a[n:]
	}
	if p.b != nil {
		p.b = p.b[n:]
	}
	return p
}

// fillPartOfGroup sets dst to the noise of a group from an offset on.
func fillPartOfGroup[T Float](dst []T, s Stream, rounds *[20]uint32, group uint64, offset int, law law) {
	var all [philox.Group]T
	fillGroups(all[:], s, rounds, group, prefetch[T]{}, law)
	copy(dst, all[offset:])
}

// fillGroups sets dst to the noise of whole groups.
func fillGroups[T Float](dst []T, s Stream, rounds *[20]uint32, group uint64, ahead prefetch[T], law law) {
	if len(dst) == 0 {
		return
	}
	if len(ahead.a) < len(dst) {
		ahead.a = dst
	}
	if len(ahead.b) < len(dst) {
		ahead.b = dst
	}
	counter := blockCounter{group * philox.Blocks, s.Draw}
	switch law {
	case gumbelLaw:
		gumbel(dst, rounds, &counter, ahead.a, ahead.b)
	case exponentialLaw:
		exponential(dst, rounds, &counter, ahead.a, ahead.b)
	default:
		logistic(dst, rounds, &counter, ahead.a, ahead.b)
	}
}

// A blockCounter is the counter of a Philox block.
type blockCounter struct{ block, draw uint64 }

// gumbelGo sets dst to the standard Gumbel noise of whole groups. counter is that of
// the first block, and keys are those of the rounds: see philox.Key.Rounds. It may
// prefetch two more arrays, which are at least as long.
func gumbelGo[T Float](dst []T, keys *[20]uint32, counter *blockCounter, ahead, also []T) {
	eachGroup(dst, keys, counter, gumbelLaw)
}

// exponentialGo sets dst to the standard exponential noise of whole groups, E = −log u.
// The Gumbel noise of the same words is −log E. The other parameters are those of
// gumbelGo.
func exponentialGo[T Float](dst []T, keys *[20]uint32, counter *blockCounter, ahead, also []T) {
	eachGroup(dst, keys, counter, exponentialLaw)
}

// logisticGo sets dst to the standard logistic noise of whole groups, log u − log(1−u).
// The other parameters are those of gumbelGo.
func logisticGo[T Float](dst []T, keys *[20]uint32, counter *blockCounter, ahead, also []T) {
	eachGroup(dst, keys, counter, logisticLaw)
}

// logisticOf sets dst to the standard logistic noise of up to philox.Group words. The
// complement of a word has u and 1−u in exchange.
func logisticOf[T Float](dst []T, words []uint32) {
	exponentialOf(dst, words)
	var complements [philox.Group]uint32
	var others [philox.Group]T
	for i, b := range words {
		complements[i] = ^b
	}
	exponentialOf(others[:len(words)], complements[:len(words)])
	for i, e := range dst {
		dst[i] = others[i] - e
	}
}

// eachGroup sets dst to the noise of whole groups, one after another.
func eachGroup[T Float](dst []T, keys *[20]uint32, counter *blockCounter, law law) {
	key := philox.Key{keys[0], keys[10]}
	start := counter.block / philox.Blocks * philox.Group
	var words [philox.Group]uint32
	for lo := 0; lo < len(dst); lo += philox.Group {
		philox.Fill(words[:], key, counter.draw, start+uint64(lo))
		group := dst[lo : lo+philox.Group]
		switch law {
		case gumbelLaw:
			gumbelOf(group, words[:])
		case exponentialLaw:
			exponentialOf(group, words[:])
		default:
			logisticOf(group, words[:])
		}
	}
}

// gumbelOf sets dst to the standard Gumbel noise of up to philox.Group words.
func gumbelOf[T Float](dst []T, words []uint32) {
	switch dst := any(dst).(type) {
	case []float32:
		gumbel32(dst, words)
	case []float64:
		gumbel64(dst, words)
	}
}

// exponentialOf sets dst to the standard exponential noise of up to philox.Group words.
func exponentialOf[T Float](dst []T, words []uint32) {
	switch dst := any(dst).(type) {
	case []float32:
		exponential32(dst, words)
	case []float64:
		exponential64(dst, words)
	}
}

// Both logarithms take their argument as 2^k·(1+f) with 1+f in [¾, 1½). The first
// logarithm is that of u, which is split so, unless v = 1−u is below ¼. Then f is −v
// and k is 0, because v is known exactly. A branch would be mispredicted often, so
// masks make the choice.

// seam is the least word whose v is above ¼.
const seam = 1 << 30

// fold returns the word of v, which is (word + ½)·2⁻³², and a mask of ones where b is
// below the seam; otherwise the word of u and a mask of zeros.
func fold(b uint32) (word, isV uint32) {
	isV = uint32((int64(b) - seam) >> 63)
	return b ^ ^isV, isV
}

// exponential32 sets dst to the standard exponential noise of up to philox.Group words.
// It works in stages, each a loop of short chains of operations. Element by element,
// the chain would be longer than the processor looks ahead.
func exponential32(dst []float32, words []uint32) {
	var exponents [philox.Group]float32
	for i, b := range words {
		word, isV := fold(b)
		x := float32(float32(word)+0.5) * (1.0 / (1 << 32))
		m, e := reduce32(math.Float32bits(x))
		fOfU := math.Float32bits(math.Float32frombits(m) - 1)
		dst[i] = math.Float32frombits(fOfU&^isV | math.Float32bits(-x)&isV)
		exponents[i%philox.Group] = float32(e &^ int32(isV))
	}
	minusLogRelative32(dst, &exponents)
}

// gumbel32 sets dst to the standard Gumbel noise of up to philox.Group words.
func gumbel32(dst []float32, words []uint32) {
	exponential32(dst, words)
	var exponents [philox.Group]float32
	for i, x := range dst {
		m, e := reduce32(math.Float32bits(x))
		dst[i] = math.Float32frombits(m) - 1
		exponents[i%philox.Group] = float32(e)
	}
	minusLogAbsolute32(dst, &exponents)
}

// exponential64 is exponential32 for float64.
func exponential64(dst []float64, words []uint32) {
	var exponents [philox.Group]float64
	for i, b := range words {
		word, isV := fold(b)
		x := float64(float64(word)+0.5) * (1.0 / (1 << 32))
		m, e := reduce64(math.Float64bits(x))
		fOfU := math.Float64bits(math.Float64frombits(m) - 1)
		mask := uint64(int64(int32(isV)))
		dst[i] = math.Float64frombits(fOfU&^mask | math.Float64bits(-x)&mask)
		exponents[i%philox.Group] = float64(e &^ int32(isV))
	}
	for i, f := range dst {
		dst[i] = minusLog64(f, exponents[i%philox.Group])
	}
}

// gumbel64 is gumbel32 for float64.
func gumbel64(dst []float64, words []uint32) {
	exponential64(dst, words)
	for i, x := range dst {
		m, e := reduce64(math.Float64bits(x))
		dst[i] = minusLog64(math.Float64frombits(m)-1, float64(e))
	}
}
