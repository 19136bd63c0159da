package kernel

import (
	"math"

	"github.com/gumbel-go/gumbel/internal/coeff"
	"github.com/gumbel-go/gumbel/internal/philox"
)

// reduce32 splits a positive normal number into m·2^e with m in [¾, 1½). The number
// and m are given as bits.
func reduce32(bits uint32) (m uint32, e int32) {
	const threeQuarters = 0x3f400000
	bits -= threeQuarters
	return bits&0x007fffff + threeQuarters, int32(bits) >> 23
}

// minusLogRelative32 replaces f by −log(2^k·(1+f)), for 1+f in [¾, 1½):
//
//	log(1+f) = f − f²(½ − f·P(f))
//
// P is coeff.LogRelative, evaluated in Estrin's order, which has short chains of
// operations. Every product is converted before it is added, so that the compiler
// may not fuse the two.
func minusLogRelative32(x []float32, k *[philox.Group]float32) {
	for i, f := range x {
		z := float32(f * f)
		p01 := float32(coeff.LogRelativeC0 + float32(coeff.LogRelativeC1*f))
		p23 := float32(coeff.LogRelativeC2 + float32(coeff.LogRelativeC3*f))
		p45 := float32(coeff.LogRelativeC4 + float32(coeff.LogRelativeC5*f))
		p03 := float32(p01 + float32(p23*z))
		p46 := float32(p45 + float32(coeff.LogRelativeC6*z))
		p := float32(p03 + float32(p46*float32(z*z)))
		tail := float32(z * float32(0.5-float32(f*p)))
		x[i] = float32(tail-f) - float32(k[i%philox.Group]*math.Ln2)
	}
}

// minusLogAbsolute32 is minusLogRelative32 with coeff.LogAbsolute, for the second
// logarithm, of which only the absolute error matters.
func minusLogAbsolute32(x []float32, k *[philox.Group]float32) {
	for i, f := range x {
		z := float32(f * f)
		p01 := float32(coeff.LogAbsoluteC0 + float32(coeff.LogAbsoluteC1*f))
		p23 := float32(coeff.LogAbsoluteC2 + float32(coeff.LogAbsoluteC3*f))
		p45 := float32(coeff.LogAbsoluteC4 + float32(coeff.LogAbsoluteC5*f))
		p03 := float32(p01 + float32(p23*z))
		p := float32(p03 + float32(p45*float32(z*z)))
		tail := float32(z * float32(0.5-float32(f*p)))
		x[i] = float32(tail-f) - float32(k[i%philox.Group]*math.Ln2)
	}
}

// reduce64 is reduce32 for float64, with m in [sqrt(½), sqrt(2)).
func reduce64(bits uint64) (m uint64, e int32) {
	const sqrtHalf = 0x3fe6a09e667f3bcd
	bits -= sqrtHalf
	return bits&(1<<52-1) + sqrtHalf, int32(int64(bits) >> 52)
}

// minusLog64 returns −log(2^k·(1+f)) for 1+f in [sqrt(½), sqrt(2)), by the method of
// e_log.c of FreeBSD: see coeff.LogL1.
func minusLog64(f, k float64) float64 {
	s := f / (2 + f)
	z := s * s
	w := z * z
	t1 := float64(w * (coeff.LogL2 + float64(w*(coeff.LogL4+float64(w*coeff.LogL6)))))
	t2 := float64(z * (coeff.LogL1 + float64(w*(coeff.LogL3+float64(w*(coeff.LogL5+float64(w*coeff.LogL7)))))))
	half := float64(0.5 * float64(f*f))
	tail := float64(s*(half+float64(t1+t2))) + float64(k*coeff.LogLn2Lo)
	return float64(float64(half-tail)-f) - float64(k*coeff.LogLn2Hi)
}

// log1p32 returns log(1+x) for x in [−½, 1]. It never rounds 1+x.
func log1p32(x float32) float32 {
	f, k := [1]float32{x}, [philox.Group]float32{}
	switch {
	case x >= 0.5:
		f[0], k[0] = (x-1)*0.5, 1
	case x < -0.25:
		f[0], k[0] = (x+x)+1, -1
	}
	minusLogRelative32(f[:], &k)
	return -f[0]
}
