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
//	func gumbel32LEVEL(dst *float32, groups int, keys *[20]uint32, counter *[4]uint32)
//
// the standard Gumbel noise of whole groups of 64 elements. keys are the ten
// rounds' key words; counter is the first block's. It has the operations of
// gumbel32 in noise.go, in their order, without fused multiply-adds.
func noise32(l level) {
	noise(l, "gumbel32", "float32", func(words [4]reg.VecVirtual, half int, dst reg.Register) {
		for w, b := range words {
			g := l.gumbel32(b)
			VMOVUPS(g, Mem{Base: dst, Disp: 64*w + half*l.bytes})
		}
	}, 256)
}

// noise64 is noise32 for float64.
func noise64(l level) {
	noise(l, "gumbel64", "float64", func(words [4]reg.VecVirtual, half int, dst reg.Register) {
		for w, b := range words {
			for part := range 2 {
				x := l.quarter(b, part)
				g := l.gumbel64(x)
				VMOVUPD(g, Mem{Base: dst, Disp: 128*w + 2*half*l.bytes + part*l.bytes})
			}
		}
	}, 512)
}

// noise is the loop over groups: store takes the four words of the lanes'
// blocks, and which half of the group's sixteen blocks they are.
func noise(l level, name, element string, store func(words [4]reg.VecVirtual, half int, dst reg.Register), groupBytes int) {
	TEXT(name+l.suffix, NOSPLIT, fmt.Sprintf("func(dst *%s, groups int, keys *[20]uint32, counter *[4]uint32)", element))
	Pragma("noescape")
	l.setEven()
	dst := Load(Param("dst"), GP64())
	groups := Load(Param("groups"), GP64())
	keys := Load(Param("keys"), GP64())
	counter := Load(Param("counter"), GP64())
	low, high, d0, d1 := GP32(), GP32(), l.reg(), l.reg()
	block := GP64()
	MOVQ(Mem{Base: counter}, block)
	l.broadcast32(Mem{Base: counter, Disp: 8}, d0)
	l.broadcast32(Mem{Base: counter, Disp: 12}, d1)

	loop, done := name+"loop", name+"done"
	Label(loop)
	TESTQ(groups, groups)
	JZ(LabelRef(done))
	for half := range 16 / l.lanes {
		var c [4]reg.VecVirtual
		for i := range c {
			c[i] = l.reg()
		}
		MOVL(block.As32(), low)
		MOVQ(block, high.As64())
		SHRQ(U8(32), high.As64())
		l.fromGP32(low, c[0])
		l.fromGP32(high, c[1])
		lanes := iota32()
		lanes.Disp += half * l.bytes
		VPADDD(lanes, c[0], c[0]) // no carry: the first block is a multiple of 16
		VMOVAPS(d0, c[2])
		VMOVAPS(d1, c[3])
		for round := range 10 {
			c = l.philoxRound(c, Mem{Base: keys, Disp: 4 * round}, Mem{Base: keys, Disp: 40 + 4*round})
		}
		store(c, half, dst)
	}
	ADDQ(U8(16), block)
	ADDQ(U32(uint32(groupBytes)), dst)
	DECQ(groups)
	JMP(LabelRef(loop))
	Label(done)
	VZEROUPPER()
	RET()
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
			l.broadcast32(x.k, k)
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
const seam = 1257966796

// gumbel32 returns the noise of words. It spoils them.
func (l level) gumbel32(b reg.VecVirtual) reg.VecVirtual {
	x, m, e, k := l.reg(), l.reg(), l.reg(), l.reg()
	var isV mask
	if l.wide {
		isV = mask{k: K()}
		isU := K()
		VPCMPUD(U8(5), u32(seam), b, isU) // not less
		KNOTW(isU, isV.k)
		VPTERNLOGD(U8(0x55), b, b, isU, b) // not
		VCVTUDQ2PS(b, x)
	} else {
		isV = mask{v: l.reg()}
		not, low := l.reg(), l.reg()
		VPMINUD(u32(seam-1), b, isV.v)
		VPCMPEQD(b, isV.v, isV.v)
		VPCMPEQD(not, not, not)
		VPXOR(isV.v, not, not)
		VPXOR(not, b, b)
		// The halves' floats are exact, and their sum rounds once.
		VPAND(u32(0xffff), b, low)
		VPSRLD(U8(16), b, x)
		VCVTDQ2PS(low, low)
		VCVTDQ2PS(x, x)
		VFMADD132PS(f32(1<<16), low, x)
	}
	scaled := l.reg()
	VMOVUPS(f32(0.5/(1<<32)), scaled)
	VFMADD231PS(f32(1.0/(1<<32)), x, scaled) // rounds as the sum does: the product is exact
	x = scaled
	l.reduce32(x, m, e)
	VSUBPS(f32(1), m, m)
	VCVTDQ2PS(e, k)
	if l.wide {
		isU := K()
		KNOTW(isV.k, isU)
		VMOVAPS_Z(k, isU, k)
		VXORPS(u32(1<<31), x, isV.k, m)
	} else {
		VANDNPS(k, isV.v, k)
		VXORPS(u32(1<<31), x, x)
		VBLENDVPS(isV.v, x, m, m)
	}
	x = l.minusLog32(m, k)
	l.reduce32(x, m, e)
	VSUBPS(f32(1), m, m)
	VCVTDQ2PS(e, k)
	return l.minusLog32(m, k)
}

// reduce32 splits x into m·2^e with m in [sqrt(1/2), sqrt(2)).
func (l level) reduce32(x, m, e reg.VecVirtual) {
	const sqrtHalf = 0x3f3504f3
	t := l.reg()
	VPSUBD(u32(sqrtHalf), x, t)
	VPSRAD(U8(23), t, e)
	l.and(u32(0x007fffff), t, m)
	VPADDD(u32(sqrtHalf), m, m)
}

// minusLog32 returns −log(2^k·(1+f)): see minusLog32 in noise.go.
func (l level) minusLog32(f, k reg.VecVirtual) reg.VecVirtual {
	z, w := l.reg(), l.reg()
	VMULPS(f, f, z)
	VMULPS(z, z, w)
	// sum is c + d·x, add is p + q·x, into p.
	sum := func(c, d float64, x reg.VecVirtual) reg.VecVirtual {
		p := l.reg()
		VMULPS(f32(d), x, p)
		VADDPS(f32(c), p, p)
		return p
	}
	add := func(p, q, x reg.VecVirtual) {
		VMULPS(x, q, q)
		VADDPS(q, p, p)
	}
	p, p23 := sum(0.3333390951156616, -0.2500133812427521, f), sum(0.19963061809539795, -0.165775865316391, f)
	add(p, p23, z)
	p45, p6 := sum(0.1491478681564331, -0.1426747590303421, f), l.reg()
	VMULPS(f32(0.08700359612703323), z, p6)
	VADDPS(p6, p45, p45)
	add(p, p45, w)
	tail, multiple := l.reg(), l.reg()
	VMULPS(p, f, p)
	VMOVUPS(f32(0.5), tail)
	VSUBPS(p, tail, tail)
	VMULPS(z, tail, tail)
	VSUBPS(f, tail, tail)
	VMULPS(f32(math.Ln2), k, multiple)
	VSUBPS(multiple, tail, tail)
	return tail
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
