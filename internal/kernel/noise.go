package kernel

import (
	"math"

	"github.com/gumbel-go/gumbel/internal/philox"
)

// Stream is a sequence of draws of random words: draw number Draw of the
// sequence that Key selects.
type Stream struct {
	Key  philox.Key
	Draw uint64
}

// Gumbel sets dst[i] to loc + scale·g, where g is the standard Gumbel noise of
// element i of the stream's draw.
//
// With b the element's random word, u = (~b + 1/2)·2⁻³² is uniform on (0, 1)
// and g = −log(−log u). Both logarithms are taken without cancellation from
// whichever of u and 1−u is at most 1/2, so that both tails keep their full
// relative precision and neither end needs a clamp.
//
// The result is the same to the bit on every platform: each operation is
// rounded by itself (see the conversions in log32 and log64), and no function
// of package math, which has assembly on some, takes part.
func Gumbel[T Float](dst []T, s Stream, loc, scale float64) {
	split(len(dst), 1, costNoise, func(lo, hi int) {
		fillNoise(dst[lo:hi], s, uint64(lo))
		if loc == 0 && scale == 1 {
			return
		}
		for i, g := range dst[lo:hi] {
			dst[lo+i] = T(loc + float64(scale*float64(g)))
		}
	})
}

// fillNoise sets dst to the noise of the elements from start on.
func fillNoise[T Float](dst []T, s Stream, start uint64) {
	rounds := s.Key.Rounds()
	offset := int(start % philox.Group)
	if offset > 0 { // a first short span puts the following ones on whole groups
		n := min(philox.Group-offset, len(dst))
		fillPart(dst[:n], s, &rounds, start/philox.Group, offset)
		dst, start = dst[n:], start+uint64(n)
	}
	whole := len(dst) / philox.Group
	fillGroups(dst[:whole*philox.Group], s, &rounds, start/philox.Group)
	if rest := dst[whole*philox.Group:]; len(rest) > 0 {
		fillPart(rest, s, &rounds, start/philox.Group+uint64(whole), 0)
	}
}

// fillPart sets dst to a part of a group's noise.
func fillPart[T Float](dst []T, s Stream, rounds *[20]uint32, group uint64, offset int) {
	var all [philox.Group]T
	fillGroups(all[:], s, rounds, group)
	copy(dst, all[offset:])
}

// fillGroups sets dst to the noise of whole groups.
func fillGroups[T Float](dst []T, s Stream, rounds *[20]uint32, group uint64) {
	if len(dst) == 0 || fillGroupsSIMD(dst, s, rounds, group) {
		return
	}
	var words [philox.Group]uint32
	for lo := 0; lo < len(dst); lo += philox.Group {
		philox.Fill(words[:], s.Key, s.Draw, (group*philox.Group)+uint64(lo))
		switch span := any(dst[lo : lo+philox.Group]).(type) {
		case []float32:
			gumbel32(span, words[:])
		case []float64:
			gumbel64(span, words[:])
		}
	}
}

// The first logarithm is of u or of 1−v, whichever has its small one, at most
// ½, at hand; v = 1−u. Logarithms take their argument as 2^e·(1+f), and for
// 1−v both are exact: f = −v with e = 0 or, where v is over 1 − sqrt(½),
// f = 1 − 2v with e = −1. Which of the three it is looks random to a branch
// predictor, so the choice is made by masks.

// fold splits a random word b: small = min(u, v) is (word + ½)·2⁻³²; isV is all
// ones where it is v, else 0; over is 1 where small is over 1 − sqrt(½), else 0.
func fold(b uint32) (word, isV, over int32) {
	const limit = 1257966796 // (1 − sqrt(½))·2³²
	sign := int32(b) >> 31
	word = int32(b) ^ sign
	return word, ^sign, int32(uint32(limit-word) >> 31)
}

// gumbel32 sets dst to the standard Gumbel noise of up to philox.Group words.
// It goes in stages, each a loop of short chains of operations: element by
// element the chain is longer than a processor looks ahead.
func gumbel32(dst []float32, words []uint32) {
	var exponents [philox.Group]int32
	for i, b := range words {
		word, isV, over := fold(b)
		small := float32(float32(word)+0.5) * (1.0 / (1 << 32))
		m, e := reduce32(math.Float32bits(small))
		fOfU := math.Float32bits(math.Float32frombits(m) - 1)
		fOfV := math.Float32bits(float32(over) - float32(float32(1+over)*small))
		mask := uint32(isV)
		dst[i] = math.Float32frombits(fOfU&^mask | fOfV&mask)
		exponents[i%philox.Group] = e&^isV | -over&isV
	}
	for i, f := range dst {
		dst[i] = -log32(f, exponents[i%philox.Group])
	}
	for i, x := range dst {
		m, e := reduce32(math.Float32bits(x))
		dst[i] = -log32(math.Float32frombits(m)-1, e)
	}
}

// reduce32 splits a positive normal number, given and returned as bits, into
// m·2^e with m in [sqrt(1/2), sqrt(2)).
func reduce32(bits uint32) (m uint32, e int32) {
	const sqrtHalf = 0x3f3504f3
	bits -= sqrtHalf
	return bits&0x007fffff + sqrtHalf, int32(bits) >> 23
}

// log32 returns log(2^e·(1+f)) for 1+f in [sqrt(1/2), sqrt(2)). The polynomial
// is that of logf in the Cephes library (S. Moshier), in Estrin's order, whose
// short chains keep a processor busy. Every product is converted before it is
// added, which forbids the compiler to fuse the two.
func log32(f float32, e int32) float32 {
	const (
		c0    = 3.3333331174e-1
		c1    = -2.4999993993e-1
		c2    = 2.0000714765e-1
		c3    = -1.6668057665e-1
		c4    = 1.4249322787e-1
		c5    = -1.2420140846e-1
		c6    = 1.1676998740e-1
		c7    = -1.1514610310e-1
		c8    = 7.0376836292e-2
		ln2Hi = 0.693359375 // few bits: its product with e is exact
		ln2Lo = -2.12194440e-4
	)
	k := float32(e)
	z := float32(f * f)
	w := float32(z * z)
	p01 := float32(c0 + float32(c1*f))
	p23 := float32(c2 + float32(c3*f))
	p45 := float32(c4 + float32(c5*f))
	p67 := float32(c6 + float32(c7*f))
	p03 := float32(p01 + float32(p23*z))
	p47 := float32(p45 + float32(p67*z))
	p48 := float32(p47 + float32(c8*w))
	p := float32(p03 + float32(p48*w))
	cubic := float32(p * float32(f*z))
	tail := float32(cubic+float32(k*ln2Lo)) - float32(0.5*z)
	return float32(f+tail) + float32(k*ln2Hi)
}

// gumbel64 is gumbel32 for float64.
func gumbel64(dst []float64, words []uint32) {
	var exponents [philox.Group]int32
	for i, b := range words {
		word, isV, over := fold(b)
		small := float64(float64(word)+0.5) * (1.0 / (1 << 32))
		m, e := reduce64(math.Float64bits(small))
		fOfU := math.Float64bits(math.Float64frombits(m) - 1)
		fOfV := math.Float64bits(float64(over) - float64(float64(1+over)*small))
		mask := uint64(int64(isV))
		dst[i] = math.Float64frombits(fOfU&^mask | fOfV&mask)
		exponents[i%philox.Group] = e&^isV | -over&isV
	}
	for i, f := range dst {
		dst[i] = -log64(f, exponents[i%philox.Group])
	}
	for i, x := range dst {
		m, e := reduce64(math.Float64bits(x))
		dst[i] = -log64(math.Float64frombits(m)-1, e)
	}
}

// reduce64 is reduce32 for float64.
func reduce64(bits uint64) (m uint64, e int32) {
	const sqrtHalf = 0x3fe6a09e667f3bcd
	bits -= sqrtHalf
	return bits&(1<<52-1) + sqrtHalf, int32(int64(bits) >> 52)
}

// log64 is log32 for float64, by the method and the coefficients of FreeBSD's
// e_log.c (Sun Microsystems): log(1+f) = f − f²/2 + s·(f²/2 + R(s)) with
// s = f/(2+f).
func log64(f float64, e int32) float64 {
	const (
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
		l1    = 6.666666666666735130e-01
		l2    = 3.999999999940941908e-01
		l3    = 2.857142874366239149e-01
		l4    = 2.222219843214978396e-01
		l5    = 1.818357216161805012e-01
		l6    = 1.531383769920937332e-01
		l7    = 1.479819860511658591e-01
	)
	s := f / (2 + f)
	z := s * s
	w := z * z
	t1 := w * (l2 + float64(w*(l4+float64(w*l6))))
	t2 := z * (l1 + float64(w*(l3+float64(w*(l5+float64(w*l7))))))
	r := float64(t1) + float64(t2)
	half := 0.5 * float64(f*f)
	k := float64(e)
	tail := float64(s*(float64(half)+r)) + float64(k*ln2Lo)
	return float64(k*ln2Hi) - ((float64(half) - tail) - f)
}
