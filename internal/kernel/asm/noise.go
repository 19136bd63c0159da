package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/gumbel-go/gumbel/internal/coeff"
	"github.com/gumbel-go/gumbel/internal/philox"
)

func init() {
	noise.implement("gumbel", func(a *assembler) { a.emitNoise(law{a.gumbel32, a.storeGumbel64}) })
	noise.implement("exponential", func(a *assembler) { a.emitNoise(law{a.exponential32, a.storeExponential64}) })
	noise.implement("logistic", func(a *assembler) { a.emitNoise(law{a.logistic32, a.storeLogistic64}) })
}

// A law computes noise from registers of words: of float32 that of several registers
// side by side, which it changes, of float64 that of half a register, which it stores.
type law struct {
	single func(words []reg.VecVirtual) []reg.VecVirtual
	double func(words reg.VecVirtual, half int, to Mem)
}

// emitNoise keeps the operations of gumbel32 and gumbel64 in package kernel and their
// order, without fused multiply-adds that would change the rounding. Along the way it
// fetches two arrays that are needed next into the cache.
func (a *assembler) emitNoise(l law) {
	a.prepare()
	a.begin()
	dst, groups := a.param("dst"), a.param("groups")
	ahead, also := a.param("ahead"), a.param("also")
	words := a.newWords()

	bytes := philox.Group * a.size()
	halves := philox.Blocks / words.lanes()
	half := bytes / (4 * halves) // of each word's run of 16 elements
	var next [4]reg.VecVirtual
	for i := range next {
		next[i] = a.reg()
	}
	words.draw(0, next, func(int) {})
	a.Label("loop")
	a.TESTQ(groups, groups)
	a.JZ(LabelRef("done"))
	for h := range halves {
		// The rounds of the next words are one long chain of operations. They are
		// placed between the logarithms of these words, because a processor then
		// works on both at once.
		var now [4]reg.VecVirtual
		for i := range now {
			now[i] = a.reg()
			a.VMOVAPS(next[i], now[i])
		}
		if h == halves-1 {
			a.ADDQ(U8(philox.Blocks), words.block)
		}
		words.draw((h+1)%halves, next, func(round int) {
			if round%5 != 4 {
				return
			}
			w := round / 5 * 2
			to := Mem{Base: dst, Disp: bytes/4*w + half*h}
			a.storeNoise(l, now[w:w+2], to, bytes/4)
		})
	}
	for line := 0; line < bytes; line += 64 {
		a.PREFETCHT0(Mem{Base: ahead, Disp: line})
		a.PREFETCHT0(Mem{Base: also, Disp: line})
	}
	for _, p := range []reg.GPVirtual{dst, ahead, also} {
		a.ADDQ(U32(bytes), p)
	}
	a.DECQ(groups)
	a.JMP(LabelRef("loop"))
	a.Label("done")
	a.ret()
}

// storeNoise writes the noise of two registers of words, the second at a distance
// from the first.
func (a *assembler) storeNoise(l law, words []reg.VecVirtual, to Mem, distance int) {
	// AVX-512 has enough registers for two chains of operations side by side, which
	// keep the processor busier than one.
	together := 1
	if a.wide {
		together = 2
	}
	for i := 0; i < len(words); i += together {
		if a.double {
			a.storeNoise64(l, words[i], to)
			to.Disp += distance
			continue
		}
		for _, g := range l.single(words[i : i+together]) {
			a.VMOVUPS(g, to)
			to.Disp += distance
		}
	}
}

func (a *assembler) storeNoise64(l law, words reg.VecVirtual, to Mem) {
	for half := range 2 {
		l.double(words, half, to)
		to.Disp += a.bytes
	}
}

// randomWords computes Philox blocks side by side, one in each 32-bit lane.
type randomWords struct {
	a            *assembler
	keys, block  reg.GPVirtual // the keys of the rounds; the number of the group's first block
	draw0, draw1 reg.VecVirtual
}

func (a *assembler) newWords() randomWords {
	w := randomWords{a: a, keys: a.param("keys"), block: a.GP64(), draw0: a.reg(), draw1: a.reg()}
	draw := a.field("counter.draw")
	a.MOVQ(a.field("counter.block"), w.block)
	a.VPBROADCASTD(draw, w.draw0)
	draw.Disp += 4
	a.VPBROADCASTD(draw, w.draw1)
	return w
}

// lanes is the number of 32-bit lanes in a register.
func (w randomWords) lanes() int { return w.a.bytes / 4 }

// draw sets c to the words of one part of the group's blocks. A part has as many blocks
// as a register has lanes. It calls between after each of the ten rounds.
func (w randomWords) draw(part int, c [4]reg.VecVirtual, between func(round int)) {
	a := w.a
	low, high := a.GP32(), a.GP32()
	x := c
	for i := range x {
		x[i] = a.reg()
	}
	a.MOVL(w.block.As32(), low)
	a.MOVQ(w.block, high.As64())
	a.SHRQ(U8(32), high.As64())
	a.fromGP32(low, x[0])
	a.fromGP32(high, x[1])
	lanes := a.iota32()
	lanes.Disp += part * a.bytes
	a.VPADDD(lanes, x[0], x[0]) // no carry, because the first block is a multiple of 16
	a.VMOVAPS(w.draw0, x[2])
	a.VMOVAPS(w.draw1, x[3])
	for round := range 10 {
		x = a.philoxRound(x, Mem{Base: w.keys, Disp: 4 * round}, Mem{Base: w.keys, Disp: 40 + 4*round})
		if round == 9 {
			for i := range c {
				a.VMOVAPS(x[i], c[i])
			}
		}
		between(round)
	}
}

// fromGP32 fills a vector with a general register.
func (a *assembler) fromGP32(r reg.GPVirtual, dst reg.VecVirtual) {
	if a.wide {
		a.VPBROADCASTD(r, dst)
		return
	}
	x := a.XMM()
	a.VMOVD(r, x)
	a.VPBROADCASTD(x, dst)
}

// philoxRound is one round of Philox4x32.
func (a *assembler) philoxRound(c [4]reg.VecVirtual, k0, k1 Mem) [4]reg.VecVirtual {
	hi0, lo0 := a.multiply(c[0], philox.Multiplier0)
	hi1, lo1 := a.multiply(c[2], philox.Multiplier1)
	if a.wide {
		a.VPTERNLOGD_BCST(U8(0x96), k0, c[1], hi1) // exclusive or of three
		a.VPTERNLOGD_BCST(U8(0x96), k1, c[3], hi0)
	} else {
		for _, x := range []struct {
			hi, c reg.VecVirtual
			k     Mem
		}{{hi1, c[1], k0}, {hi0, c[3], k1}} {
			k := a.reg()
			a.VPBROADCASTD(x.k, k)
			a.VPXOR(x.c, x.hi, x.hi)
			a.VPXOR(k, x.hi, x.hi)
		}
	}
	return [4]reg.VecVirtual{hi1, lo1, hi0, lo0}
}

// multiply returns the halves of the 64-bit products of c and a word.
func (a *assembler) multiply(c reg.VecVirtual, word uint32) (hi, lo reg.VecVirtual) {
	m := a.u32(word)
	even, odd := a.reg(), a.reg()
	lo = a.reg()
	a.VPMULUDQ(m, c, even)
	a.VPSRLQ(U8(32), c, odd)
	a.VPMULUDQ(m, odd, odd)
	a.VPMULLD(m, c, lo)
	if a.wide {
		a.VPSHUFD(U8(0xF5), even, a.even, odd) // only into the even lanes
	} else {
		a.VPSHUFD(U8(0xF5), even, even)
		a.VPBLENDD(U8(0xAA), odd, even, odd)
	}
	return odd, lo
}

// seam is that of fold in package kernel.
const seam = 1 << 30

// exponential32 returns the exponential noise of registers of words, computed side by
// side. It changes the words.
func (a *assembler) exponential32(b []reg.VecVirtual) []reg.VecVirtual {
	n := len(b)
	f, k := a.regs(n), a.regs(n)
	if a.wide {
		a.foldWide(b, f, k)
	} else {
		for i := range b {
			a.foldNarrow(b[i], f[i], k[i])
		}
	}
	return a.minusLog32(f, k, coeff.LogRelative)
}

// logistic32 is exponential32 for logistic noise.
func (a *assembler) logistic32(b []reg.VecVirtual) []reg.VecVirtual {
	complements, ones := a.regs(len(b)), a.reg()
	a.VMOVUPS(a.u32(^uint32(0)), ones)
	for i := range b {
		a.xor(ones, b[i], complements[i])
	}
	e, others := a.exponential32(b), a.exponential32(complements)
	for i := range e {
		a.VSUBPS(e[i], others[i], e[i])
	}
	return e
}

// gumbel32 is exponential32 for Gumbel noise.
func (a *assembler) gumbel32(b []reg.VecVirtual) []reg.VecVirtual {
	n := len(b)
	x, k, m := a.exponential32(b), a.regs(n), a.regs(n)
	e := a.reduce32(x, m)
	for i := range x {
		a.VSUBPS(a.f32(1), m[i], m[i])
	}
	for i := range x {
		a.VCVTDQ2PS(e[i], k[i])
	}
	return a.minusLog32(m, k, coeff.LogAbsolute)
}

// foldWide sets f and k for the first logarithm of words, on AVX-512: see fold and
// gumbel32 in package kernel.
func (a *assembler) foldWide(b, f, k []reg.VecVirtual) {
	n := len(b)
	isU := make([]reg.OpmaskVirtual, n)
	x, m := a.regs(n), a.regs(n)
	for i := range b {
		isU[i] = a.K()
		a.VPCMPUD(U8(5), a.u32(seam), b[i], isU[i]) // not less
	}
	for i := range b {
		a.VPTERNLOGD(U8(0x55), b[i], b[i], isU[i], b[i]) // not
	}
	for i := range b {
		a.VCVTUDQ2PS(b[i], x[i])
	}
	for i := range b {
		a.VFMADD213PS(a.f32(0.5/(1<<32)), a.unit, x[i]) // rounds like the sum, because the product is exact
	}
	e := a.reduce32(x, m)
	for i := range b {
		a.VCVTDQ2PS_Z(e[i], isU[i], k[i])
	}
	for i := range b {
		a.VXORPS(a.u32(1<<31), x[i], f[i])
	}
	for i := range b {
		a.VSUBPS(a.f32(1), m[i], isU[i], f[i])
	}
}

// foldNarrow is foldWide on AVX2.
func (a *assembler) foldNarrow(b, f, k reg.VecVirtual) {
	x, m, isV, not, low := a.reg(), a.reg(), a.reg(), a.reg(), a.reg()
	a.VPMINUD(a.u32(seam-1), b, isV)
	a.VPCMPEQD(b, isV, isV)
	a.VPCMPEQD(not, not, not)
	a.VPXOR(isV, not, not)
	a.VPXOR(not, b, b)
	// Each half of the word is an exact float, so only their sum is rounded.
	a.VPAND(a.u32(0xffff), b, low)
	a.VPSRLD(U8(16), b, x)
	a.VCVTDQ2PS(low, low)
	a.VCVTDQ2PS(x, x)
	a.VFMADD132PS(a.f32(1<<16), low, x)
	a.VMULPS(a.f32(1.0/(1<<32)), x, x)
	a.VADDPS(a.f32(0.5/(1<<32)), x, x)
	e := a.reduce32([]reg.VecVirtual{x}, []reg.VecVirtual{m})
	a.VSUBPS(a.f32(1), m, m)
	a.VCVTDQ2PS(e[0], k)
	a.VANDNPS(k, isV, k)
	a.VXORPS(a.u32(1<<31), x, x)
	a.VBLENDVPS(isV, x, m, f)
}

// exponential64 returns the exponential noise of four words, on AVX2. It changes the
// words.
func (a *assembler) exponential64(b reg.VecVirtual) reg.VecVirtual {
	isV, not, limit, negative := a.XMM(), a.XMM(), a.XMM(), a.XMM()
	a.VMOVDQU(a.u32(seam-1), limit)
	a.VPMINUD(limit, b, isV)
	a.VPCMPEQD(b, isV, isV)
	a.VPCMPEQD(not, not, not)
	a.VPXOR(isV, not, not)
	a.VPXOR(not, b, b)
	x, m, k, mask := a.YMM(), a.YMM(), a.YMM(), a.YMM()
	a.VCVTDQ2PD(b, x)
	a.VPSRAD(U8(31), b, negative) // the conversion is signed: add 2³² to the words from 2³¹ on
	a.VPMOVSXDQ(negative, mask)
	a.VANDPD(a.f64(1<<32), mask, mask)
	a.VADDPD(mask, x, x)
	a.VADDPD(a.f64(0.5), x, x)
	a.VMULPD(a.f64(1.0/(1<<32)), x, x)
	e := a.reduce64(x, m)
	a.VSUBPD(a.f64(1), m, m)
	a.VPANDN(e, isV, e)
	a.VCVTDQ2PD(e, k)
	a.VPMOVSXDQ(isV, mask)
	a.VXORPD(a.u64(1<<63), x, x)
	a.VBLENDVPD(mask, x, m, m)
	return a.minusLog64(m, k)
}

// half64 returns four of a register's words.
func (a *assembler) half64(words reg.VecVirtual, half int) reg.VecVirtual {
	x := a.XMM()
	a.VEXTRACTI128(U8(half), words, x)
	return x
}

func (a *assembler) storeGumbel64(words reg.VecVirtual, half int, to Mem) {
	a.VMOVUPD(a.gumbel64(a.half64(words, half)), to)
}

func (a *assembler) storeExponential64(words reg.VecVirtual, half int, to Mem) {
	a.VMOVUPD(a.exponential64(a.half64(words, half)), to)
}

// storeLogistic64 keeps the first logarithm in memory, because registers are scarce.
func (a *assembler) storeLogistic64(words reg.VecVirtual, half int, to Mem) {
	a.storeExponential64(words, half, to)
	complement := a.half64(words, half)
	a.VPXOR(a.u32(^uint32(0)), complement, complement)
	other := a.exponential64(complement)
	a.VSUBPD(to, other, other)
	a.VMOVUPD(other, to)
}

// gumbel64 is exponential64 for Gumbel noise.
func (a *assembler) gumbel64(b reg.VecVirtual) reg.VecVirtual {
	return a.minusLogOf(a.exponential64(b))
}
