package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/gumbel-go/gumbel/internal/coeff"
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
	noise(l, "gumbel32", "float32", 256, func(l level, words []reg.VecVirtual, at []Mem) {
		// Wide registers are many: two chains of operations side by side keep
		// the processor busy.
		together := 1
		if l.wide {
			together = 2
		}
		for i := 0; i < len(words); i += together {
			for j, g := range l.gumbel32(words[i : i+together]) {
				VMOVUPS(g, at[i+j])
			}
		}
	})
}

// noise64 is noise32 for float64.
func noise64(l level) {
	noise(l, "gumbel64", "float64", 512, func(l level, words []reg.VecVirtual, at []Mem) {
		for i, b := range words {
			for part := range 2 {
				VMOVUPD(l.gumbel64(l.quarter(b, part)), at[i])
				at[i].Disp += l.bytes
			}
		}
	})
}

// noise is the loop over groups of so many bytes. store makes noise of two
// registers of words.
func noise(l level, name, element string, bytes int, store func(l level, words []reg.VecVirtual, at []Mem)) {
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
			if round%5 != 4 {
				return
			}
			w := round / 5 * 2
			at := Mem{Base: dst, Disp: bytes/4*w + half*h}
			next := at
			next.Disp += bytes / 4
			store(l, now[w:w+2], []Mem{at, next})
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

// regs returns new vector registers.
func (l level) regs(n int) []reg.VecVirtual {
	r := make([]reg.VecVirtual, n)
	for i := range r {
		r[i] = l.reg()
	}
	return r
}

// gumbel32 returns the noise of registers of words, worked on side by side. It
// spoils them.
func (l level) gumbel32(b []reg.VecVirtual) []reg.VecVirtual {
	n := len(b)
	f, k := l.regs(n), l.regs(n)
	if l.wide {
		l.foldWide(b, f, k)
	} else {
		for i := range b {
			l.foldNarrow(b[i], f[i], k[i])
		}
	}
	x, m := l.minusLogs32(f, k), l.regs(n)
	e := l.reduce32(x, m)
	for i := range x {
		VSUBPS(f32(1), m[i], m[i])
	}
	for i := range x {
		VCVTDQ2PS(e[i], k[i])
	}
	return l.minusLogPolynomials(m, k, coeff.LogAbsolute)
}

// foldWide sets f and k for the first logarithm of words: see fold and gumbel32
// in noise.go.
func (l level) foldWide(b, f, k []reg.VecVirtual) {
	n := len(b)
	isU := make([]reg.OpmaskVirtual, n)
	x, m := l.regs(n), l.regs(n)
	for i := range b {
		isU[i] = K()
		VPCMPUD(U8(5), u32(seam), b[i], isU[i]) // not less
	}
	for i := range b {
		VPTERNLOGD(U8(0x55), b[i], b[i], isU[i], b[i]) // not
	}
	for i := range b {
		VCVTUDQ2PS(b[i], x[i])
	}
	for i := range b {
		VFMADD213PS(f32(0.5/(1<<32)), l.unit, x[i]) // rounds as the sum does: the product is exact
	}
	e := l.reduce32(x, m)
	for i := range b {
		VCVTDQ2PS_Z(e[i], isU[i], k[i])
	}
	for i := range b {
		VXORPS(u32(1<<31), x[i], f[i])
	}
	for i := range b {
		VSUBPS(f32(1), m[i], isU[i], f[i])
	}
}

func (l level) foldNarrow(b, f, k reg.VecVirtual) {
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
	e := l.reduce32([]reg.VecVirtual{x}, []reg.VecVirtual{m})
	VSUBPS(f32(1), m, m)
	VCVTDQ2PS(e[0], k)
	VANDNPS(k, isV, k)
	VXORPS(u32(1<<31), x, x)
	VBLENDVPS(isV, x, m, f)
}

// reduce32 splits x into m·2^e with m in [3/4, 3/2).
func (l level) reduce32(x, m []reg.VecVirtual) (e []reg.VecVirtual) {
	const threeQuarters = 0x3f400000
	e = l.regs(len(x))
	for i := range x {
		VPSUBD(u32(threeQuarters), x[i], e[i])
	}
	for i := range x {
		if l.wide {
			VGETMANTPS(U8(3), x[i], m[i])
		} else {
			VPAND(u32(0x007fffff), e[i], m[i])
			VPADDD(u32(threeQuarters), m[i], m[i])
		}
	}
	for i := range x {
		VPSRAD(U8(23), e[i], e[i])
	}
	return e
}

// minusLogs32 returns −log(2^k·(1+f)): see minusLogs32 in noise.go.
func (l level) minusLogs32(f, k []reg.VecVirtual) []reg.VecVirtual {
	return l.minusLogPolynomials(f, k, coeff.LogRelative)
}

// minusLogPolynomials takes the six or seven coefficients of its polynomial.
func (l level) minusLogPolynomials(f, k []reg.VecVirtual, c []float64) []reg.VecVirtual {
	n := len(f)
	z, w := l.regs(n), l.regs(n)
	each := func(op func(i int)) {
		for i := range n {
			op(i)
		}
	}
	each(func(i int) { VMULPS(f[i], f[i], z[i]) })
	// sum is c + d·x, add is p + q·x, into p.
	sum := func(c, d float64, x []reg.VecVirtual) []reg.VecVirtual {
		p := l.regs(n)
		each(func(i int) { VMULPS(f32(d), x[i], p[i]) })
		each(func(i int) { VADDPS(f32(c), p[i], p[i]) })
		return p
	}
	add := func(p, q, x []reg.VecVirtual) {
		each(func(i int) { VMULPS(x[i], q[i], q[i]) })
		each(func(i int) { VADDPS(q[i], p[i], p[i]) })
	}
	p, p23 := sum(c[0], c[1], f), sum(c[2], c[3], f)
	p45 := sum(c[4], c[5], f)
	add(p, p23, z)
	if len(c) > 6 {
		p6 := l.regs(n)
		each(func(i int) { VMULPS(f32(c[6]), z[i], p6[i]) })
		each(func(i int) { VADDPS(p6[i], p45[i], p45[i]) })
	}
	each(func(i int) { VMULPS(z[i], z[i], w[i]) })
	add(p, p45, w)
	half := l.half
	if !l.wide {
		half = l.reg()
		VMOVUPS(f32(0.5), half)
	}
	each(func(i int) { VMULPS(p[i], f[i], p[i]) })
	each(func(i int) { VSUBPS(p[i], half, p[i]) })
	each(func(i int) { VMULPS(z[i], p[i], p[i]) })
	each(func(i int) { VSUBPS(f[i], p[i], p[i]) })
	each(func(i int) { VMULPS(f32(math.Ln2), k[i], k[i]) })
	each(func(i int) { VSUBPS(k[i], p[i], p[i]) })
	return p
}

// minusLog is minusLogs32 of one register, or minusLog64. It spoils k.
func (l level) minusLog(f, k reg.VecVirtual) reg.VecVirtual {
	if l.double {
		return l.minusLog64(f, k)
	}
	return l.minusLogs32([]reg.VecVirtual{f}, []reg.VecVirtual{k})[0]
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
	// t2 comes first, so that z is free for t1: AVX2 has 16 registers, and avo
	// would take some of AVX-512's.
	t2 := horner(coeff.LogL1, coeff.LogL3, coeff.LogL5, coeff.LogL7)
	VMULPD(z, t2, t2)
	t1 := horner(coeff.LogL2, coeff.LogL4, coeff.LogL6)
	VMULPD(w, t1, t1)
	r := YMM()
	VADDPD(t2, t1, r)
	half := YMM()
	VMULPD(f, f, half)
	VMULPD(f64(0.5), half, half)
	VADDPD(r, half, r)
	VMULPD(s, r, r)
	t := YMM()
	VMULPD(f64(coeff.LogLn2Lo), k, t)
	VADDPD(t, r, r)       // tail
	VSUBPD(r, half, half) // half − tail
	VSUBPD(f, half, half)
	VMULPD(f64(coeff.LogLn2Hi), k, t)
	VSUBPD(t, half, half)
	return half
}
