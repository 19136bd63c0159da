package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// noise32 generates
//
//	func gumbel32LEVEL(dst *float32, groups int, keys *[20]uint32, counter *[4]uint32, ahead, also *float32)
//
// the standard Gumbel noise of whole groups of 64 elements. keys are the ten
// rounds' key words; counter is the first block's. Along the way it fetches as
// many elements of two arrays into the cache, for what comes next. It has the
// operations of gumbel32 in noise.go, in their order, without fused
// multiply-adds that would round otherwise.
func noise32(l level) {
	noise(l, "gumbel32", "float32", 256, func(l level, b reg.VecVirtual, at Mem) {
		VMOVUPS(l.gumbel32(b), at)
	})
}

// noise64 is noise32 for float64.
func noise64(l level) {
	noise(l, "gumbel64", "float64", 512, func(l level, b reg.VecVirtual, at Mem) {
		for part := range 2 {
			VMOVUPD(l.gumbel64(l.quarter(b, part)), at)
			at.Disp += l.bytes
		}
	})
}

// noise is the loop over groups of so many bytes. store makes noise of a
// register of words.
func noise(l level, name, element string, bytes int, store func(l level, b reg.VecVirtual, at Mem)) {
	TEXT(name+l.suffix, NOSPLIT, fmt.Sprintf("func(dst *%s, groups int, keys *[20]uint32, counter *[4]uint32, ahead, also *%s)", element, element))
	Pragma("noescape")
	l.prepare()
	dst, groups, keys, counter := param("dst"), param("groups"), param("keys"), param("counter")
	ahead, also := param("ahead"), param("also")
	p := philox{l: l, keys: keys, block: GP64(), d0: l.reg(), d1: l.reg()}
	MOVQ(Mem{Base: counter}, p.block)
	VPBROADCASTD(Mem{Base: counter, Disp: 8}, p.d0)
	VPBROADCASTD(Mem{Base: counter, Disp: 12}, p.d1)

	halves := 16 / l.lanes
	half := bytes / (4 * halves) // of each word's run of 16 elements
	var c [4]reg.VecVirtual
	for i := range c {
		c[i] = l.reg()
	}
	p.words(0, c, func(int) {})
	Label(name + "loop")
	TESTQ(groups, groups)
	JZ(LabelRef(name + "done"))
	for h := range halves {
		// The rounds of the next words, a long chain, go between the logarithms
		// of these, so that a processor sees both at a time.
		var now [4]reg.VecVirtual
		for i := range now {
			now[i] = l.reg()
			VMOVAPS(c[i], now[i])
		}
		if h == halves-1 {
			ADDQ(U8(16), p.block)
		}
		p.words((h+1)%halves, c, func(round int) {
			if round%3 == 2 || round == 9 {
				w := round / 3
				store(l, now[w], Mem{Base: dst, Disp: bytes/4*w + half*h})
			}
		})
	}
	for line := 0; line < bytes; line += 64 {
		PREFETCHT0(Mem{Base: ahead, Disp: line})
		PREFETCHT0(Mem{Base: also, Disp: line})
	}
	for _, at := range []reg.GPVirtual{dst, ahead, also} {
		ADDQ(U32(bytes), at)
	}
	DECQ(groups)
	JMP(LabelRef(name + "loop"))
	Label(name + "done")
	VZEROUPPER()
	RET()
}

// philox makes the words of lanes of blocks side by side.
type philox struct {
	l           level
	keys, block reg.GPVirtual // the round keys; the number of the group's first block
	d0, d1      reg.VecVirtual
}

// words sets c to the words of a half of the group's sixteen blocks, or of all.
// It calls between after each of the ten rounds.
func (p philox) words(half int, c [4]reg.VecVirtual, between func(round int)) {
	low, high := GP32(), GP32()
	x := c
	for i := range x {
		x[i] = p.l.reg()
	}
	MOVL(p.block.As32(), low)
	MOVQ(p.block, high.As64())
	SHRQ(U8(32), high.As64())
	p.l.fromGP32(low, x[0])
	p.l.fromGP32(high, x[1])
	lanes := iota32()
	lanes.Disp += half * p.l.bytes
	VPADDD(lanes, x[0], x[0]) // no carry: the first block is a multiple of 16
	VMOVAPS(p.d0, x[2])
	VMOVAPS(p.d1, x[3])
	for round := range 10 {
		x = p.l.philoxRound(x, Mem{Base: p.keys, Disp: 4 * round}, Mem{Base: p.keys, Disp: 40 + 4*round})
		if round == 9 {
			for i := range c {
				VMOVAPS(x[i], c[i])
			}
		}
		between(round)
	}
}

// fromGP32 fills a vector with a general register.
func (l level) fromGP32(r reg.GPVirtual, dst reg.VecVirtual) {
	if l.wide {
		VPBROADCASTD(r, dst)
		return
	}
	x := XMM()
	VMOVD(r, x)
	VPBROADCASTD(x, dst)
}

// philoxRound is one round of Philox4x32.
func (l level) philoxRound(c [4]reg.VecVirtual, k0, k1 Mem) [4]reg.VecVirtual {
	hi0, lo0 := l.multiply(c[0], 0xD2511F53)
	hi1, lo1 := l.multiply(c[2], 0xCD9E8D57)
	if l.wide {
		VPTERNLOGD_BCST(U8(0x96), k0, c[1], hi1) // exclusive or of three
		VPTERNLOGD_BCST(U8(0x96), k1, c[3], hi0)
	} else {
		for _, x := range []struct {
			hi, c reg.VecVirtual
			k     Mem
		}{{hi1, c[1], k0}, {hi0, c[3], k1}} {
			k := l.reg()
			VPBROADCASTD(x.k, k)
			VPXOR(x.c, x.hi, x.hi)
			VPXOR(k, x.hi, x.hi)
		}
	}
	return [4]reg.VecVirtual{hi1, lo1, hi0, lo0}
}

// multiply returns the halves of the 64-bit products of c with a word.
func (l level) multiply(c reg.VecVirtual, word uint32) (hi, lo reg.VecVirtual) {
	m := u32(word)
	even, odd := l.reg(), l.reg()
	lo = l.reg()
	VPMULUDQ(m, c, even)
	VPSRLQ(U8(32), c, odd)
	VPMULUDQ(m, odd, odd)
	VPMULLD(m, c, lo)
	if l.wide {
		VPSHUFD(U8(0xF5), even, l.even, odd) // into the even lanes alone
	} else {
		VPSHUFD(U8(0xF5), even, even)
		VPBLENDD(U8(0xAA), odd, even, odd)
	}
	return odd, lo
}

// seam is where fold in noise.go changes from v to u.
const seam = 1 << 30

// gumbel32 returns the noise of words. It spoils them.
func (l level) gumbel32(b reg.VecVirtual) reg.VecVirtual {
	f, k := l.reg(), l.reg()
	if l.wide {
		x, m, isU := l.reg(), l.reg(), K()
		VPCMPUD(U8(5), u32(seam), b, isU)  // not less
		VPTERNLOGD(U8(0x55), b, b, isU, b) // not
		VCVTUDQ2PS(b, x)
		VFMADD213PS(f32(0.5/(1<<32)), l.unit, x) // rounds as the sum does: the product is exact
		e := l.reduce32(x, m)
		VCVTDQ2PS_Z(e, isU, k)
		VXORPS(u32(1<<31), x, f)
		VSUBPS(f32(1), m, isU, f)
	} else {
		x, m, isV, not, low := l.reg(), l.reg(), l.reg(), l.reg(), l.reg()
		VPMINUD(u32(seam-1), b, isV)
		VPCMPEQD(b, isV, isV)
		VPCMPEQD(not, not, not)
		VPXOR(isV, not, not)
		VPXOR(not, b, b)
		// The halves' floats are exact, and their sum rounds once.
		VPAND(u32(0xffff), b, low)
		VPSRLD(U8(16), b, x)
		VCVTDQ2PS(low, low)
		VCVTDQ2PS(x, x)
		VFMADD132PS(f32(1<<16), low, x)
		VMULPS(f32(1.0/(1<<32)), x, x)
		VADDPS(f32(0.5/(1<<32)), x, x)
		e := l.reduce32(x, m)
		VSUBPS(f32(1), m, m)
		VCVTDQ2PS(e, k)
		VANDNPS(k, isV, k)
		VXORPS(u32(1<<31), x, x)
		VBLENDVPS(isV, x, m, f)
	}
	x, m := l.minusLog32(f, k), l.reg()
	e := l.reduce32(x, m)
	VSUBPS(f32(1), m, m)
	VCVTDQ2PS(e, k)
	return l.minusLogPolynomial(m, k, 0.3332992494106293, -0.24984413385391235,
		0.2012445479631424, -0.1731603890657425, 0.13895100355148315, -0.06423308700323105)
}

// reduce32 splits x into m·2^e with m in [3/4, 3/2).
func (l level) reduce32(x, m reg.VecVirtual) (e reg.VecVirtual) {
	const threeQuarters = 0x3f400000
	e = l.reg()
	VPSUBD(u32(threeQuarters), x, e)
	if l.wide {
		VGETMANTPS(U8(3), x, m)
	} else {
		VPAND(u32(0x007fffff), e, m)
		VPADDD(u32(threeQuarters), m, m)
	}
	VPSRAD(U8(23), e, e)
	return e
}

// minusLog32 returns −log(2^k·(1+f)): see minusLogs32 in noise.go.
func (l level) minusLog32(f, k reg.VecVirtual) reg.VecVirtual {
	return l.minusLogPolynomial(f, k, 0.33333471417427063, -0.24996361136436462,
		0.19982320070266724, -0.16788817942142487, 0.14904440939426422, -0.12114135921001434, 0.05559724196791649)
}

// minusLogPolynomial takes the six or seven coefficients of its polynomial.
func (l level) minusLogPolynomial(f, k reg.VecVirtual, c ...float64) reg.VecVirtual {
	z, w := l.reg(), l.reg()
	VMULPS(f, f, z)
	VMULPS(z, z, w)
	// sum is c + d·f, add is p + q·x, into p.
	sum := func(c, d float64) reg.VecVirtual {
		p := l.reg()
		VMULPS(f32(d), f, p)
		VADDPS(f32(c), p, p)
		return p
	}
	add := func(p, q, x reg.VecVirtual) {
		VMULPS(x, q, q)
		VADDPS(q, p, p)
	}
	p, p23 := sum(c[0], c[1]), sum(c[2], c[3])
	add(p, p23, z)
	p45 := sum(c[4], c[5])
	if len(c) > 6 {
		p6 := l.reg()
		VMULPS(f32(c[6]), z, p6)
		VADDPS(p6, p45, p45)
	}
	add(p, p45, w)
	tail, multiple := l.half, l.reg()
	if !l.wide {
		tail = l.reg()
		VMOVUPS(f32(0.5), tail)
	}
	VMULPS(p, f, p)
	VSUBPS(p, tail, p)
	VMULPS(z, p, p)
	VSUBPS(f, p, p)
	VMULPS(f32(math.Ln2), k, multiple)
	VSUBPS(multiple, p, p)
	return p
}

// minusLog is minusLog32 or minusLog64.
func (l level) minusLog(f, k reg.VecVirtual) reg.VecVirtual {
	if l.double {
		return l.minusLog64(f, k)
	}
	return l.minusLog32(f, k)
}

// quarter returns a half of the words of b, as float64's lanes want them.
func (l level) quarter(b reg.VecVirtual, part int) reg.VecVirtual {
	x := XMM()
	VEXTRACTI128(U8(part), b, x)
	return x
}

// gumbel64 returns the noise of four words, for AVX2. It spoils them.
func (l level) gumbel64(b reg.VecVirtual) reg.VecVirtual {
	isV, not, limit, negative := XMM(), XMM(), XMM(), XMM()
	VMOVDQU(u32(seam-1), limit)
	VPMINUD(limit, b, isV)
	VPCMPEQD(b, isV, isV)
	VPCMPEQD(not, not, not)
	VPXOR(isV, not, not)
	VPXOR(not, b, b)
	x, m, k, mask := YMM(), YMM(), YMM(), YMM()
	VCVTDQ2PD(b, x)
	VPSRAD(U8(31), b, negative) // words of 2³¹ and over came out less 2³²
	VPMOVSXDQ(negative, mask)
	VANDPD(f64(1<<32), mask, mask)
	VADDPD(mask, x, x)
	VADDPD(f64(0.5), x, x)
	VMULPD(f64(1.0/(1<<32)), x, x)
	e := l.reduce64(x, m)
	VSUBPD(f64(1), m, m)
	VPANDN(e, isV, e)
	VCVTDQ2PD(e, k)
	VPMOVSXDQ(isV, mask)
	VXORPD(u64(1<<63), x, x)
	VBLENDVPD(mask, x, m, m)
	x = l.minusLog64(m, k)
	e = l.reduce64(x, m)
	VSUBPD(f64(1), m, m)
	VCVTDQ2PD(e, k)
	return l.minusLog64(m, k)
}

// reduce64 is reduce32; the exponents are 32-bit.
func (l level) reduce64(x, m reg.VecVirtual) (e reg.VecVirtual) {
	const sqrtHalf = 0x3fe6a09e667f3bcd
	t, highs := YMM(), YMM()
	VPSUBQ(u64(sqrtHalf), x, t)
	VPSHUFD(U8(0xDD), t, highs) // the high words of each half, twice
	VPERMQ(U8(0x08), highs, highs)
	e = XMM()
	VPSRAD(U8(20), highs.AsX(), e)
	VPAND(u64(1<<52-1), t, m)
	VPADDQ(u64(sqrtHalf), m, m)
	return e
}

// minusLog64 is minusLog32 for float64, by division.
func (l level) minusLog64(f, k reg.VecVirtual) reg.VecVirtual {
	s, z, w := YMM(), YMM(), YMM()
	VADDPD(f64(2), f, s)
	VDIVPD(s, f, s)
	VMULPD(s, s, z)
	VMULPD(z, z, w)
	// horner is c + w·(d + w·(…)).
	horner := func(c ...float64) reg.VecVirtual {
		p := YMM()
		VMULPD(f64(c[len(c)-1]), w, p)
		for i := len(c) - 2; i > 0; i-- {
			VADDPD(f64(c[i]), p, p)
			VMULPD(w, p, p)
		}
		VADDPD(f64(c[0]), p, p)
		return p
	}
	t1 := horner(3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01)
	VMULPD(w, t1, t1)
	t2 := horner(6.666666666666735130e-01, 2.857142874366239149e-01, 1.818357216161805012e-01, 1.479819860511658591e-01)
	VMULPD(z, t2, t2)
	r := YMM()
	VADDPD(t2, t1, r)
	half := YMM()
	VMULPD(f, f, half)
	VMULPD(f64(0.5), half, half)
	VADDPD(r, half, r)
	VMULPD(s, r, r)
	t := YMM()
	VMULPD(f64(1.90821492927058770002e-10), k, t)
	VADDPD(t, r, r)       // tail
	VSUBPD(r, half, half) // half − tail
	VSUBPD(f, half, half)
	VMULPD(f64(6.93147180369123816490e-01), k, t)
	VSUBPD(t, half, half)
	return half
}
