package main

import (
	"math"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/gumbel-go/gumbel/internal/coeff"
)

// reduce32 splits x into m·2^e with m in [3/4, 3/2).
func (a *assembler) reduce32(x, m []reg.VecVirtual) (e []reg.VecVirtual) {
	const threeQuarters = 0x3f400000
	e = a.regs(len(x))
	for i := range x {
		a.VPSUBD(a.u32(threeQuarters), x[i], e[i])
	}
	for i := range x {
		if a.wide {
			a.VGETMANTPS(U8(3), x[i], m[i])
		} else {
			a.VPAND(a.u32(0x007fffff), e[i], m[i])
			a.VPADDD(a.u32(threeQuarters), m[i], m[i])
		}
	}
	for i := range x {
		a.VPSRAD(U8(23), e[i], e[i])
	}
	return e
}

// minusLog32 returns −log(2^k·(1+f)) of registers side by side: see minusLogRelative32 in
// package kernel. c has the six or seven coefficients. It changes k.
func (a *assembler) minusLog32(f, k []reg.VecVirtual, c []float64) []reg.VecVirtual {
	n := len(f)
	z, w := a.regs(n), a.regs(n)
	each := func(op func(i int)) {
		for i := range n {
			op(i)
		}
	}
	each(func(i int) { a.VMULPS(f[i], f[i], z[i]) })
	// sum returns c + d·x, add sets p to p + q·x.
	sum := func(c, d float64, x []reg.VecVirtual) []reg.VecVirtual {
		p := a.regs(n)
		each(func(i int) { a.VMULPS(a.f32(d), x[i], p[i]) })
		each(func(i int) { a.VADDPS(a.f32(c), p[i], p[i]) })
		return p
	}
	add := func(p, q, x []reg.VecVirtual) {
		each(func(i int) { a.VMULPS(x[i], q[i], q[i]) })
		each(func(i int) { a.VADDPS(q[i], p[i], p[i]) })
	}
	p, p23 := sum(c[0], c[1], f), sum(c[2], c[3], f)
	p45 := sum(c[4], c[5], f)
	add(p, p23, z)
	if len(c) > 6 {
		p6 := a.regs(n)
		each(func(i int) { a.VMULPS(a.f32(c[6]), z[i], p6[i]) })
		each(func(i int) { a.VADDPS(p6[i], p45[i], p45[i]) })
	}
	each(func(i int) { a.VMULPS(z[i], z[i], w[i]) })
	add(p, p45, w)
	half := a.half
	if !a.wide {
		half = a.reg()
		a.VMOVUPS(a.f32(0.5), half)
	}
	each(func(i int) { a.VMULPS(p[i], f[i], p[i]) })
	each(func(i int) { a.VSUBPS(p[i], half, p[i]) })
	each(func(i int) { a.VMULPS(z[i], p[i], p[i]) })
	each(func(i int) { a.VSUBPS(f[i], p[i], p[i]) })
	each(func(i int) { a.VMULPS(a.f32(math.Ln2), k[i], k[i]) })
	each(func(i int) { a.VSUBPS(k[i], p[i], p[i]) })
	return p
}

// minusLog returns −log(2^k·(1+f)) of one register of either type. It changes k.
func (a *assembler) minusLog(f, k reg.VecVirtual) reg.VecVirtual {
	if a.double {
		return a.minusLog64(f, k)
	}
	return a.minusLog32([]reg.VecVirtual{f}, []reg.VecVirtual{k}, coeff.LogRelative)[0]
}

// minusLogOf returns −log x of positive normal numbers, in one register of either type.
func (a *assembler) minusLogOf(x reg.VecVirtual) reg.VecVirtual {
	m, k := a.reg(), a.reg()
	if a.double {
		e := a.reduce64(x, m)
		a.VSUBPD(a.f64(1), m, m)
		a.VCVTDQ2PD(e, k)
		return a.minusLog64(m, k)
	}
	e := a.reduce32([]reg.VecVirtual{x}, []reg.VecVirtual{m})
	a.VSUBPS(a.f32(1), m, m)
	a.VCVTDQ2PS(e[0], k)
	return a.minusLog(m, k)
}

// reduce64 is reduce32 for float64, with m in [sqrt(1/2), sqrt(2)) and exponents of 32
// bits.
func (a *assembler) reduce64(x, m reg.VecVirtual) (e reg.VecVirtual) {
	const sqrtHalf = 0x3fe6a09e667f3bcd
	t, highs := a.YMM(), a.YMM()
	a.VPSUBQ(a.u64(sqrtHalf), x, t)
	a.VPSHUFD(U8(0xDD), t, highs) // the high words of each 128 bits, twice
	a.VPERMQ(U8(0x08), highs, highs)
	e = a.XMM()
	a.VPSRAD(U8(20), highs.AsX(), e)
	a.VPAND(a.u64(1<<52-1), t, m)
	a.VPADDQ(a.u64(sqrtHalf), m, m)
	return e
}

// minusLog64 is minusLog64 in package kernel.
func (a *assembler) minusLog64(f, k reg.VecVirtual) reg.VecVirtual {
	s, z, w := a.YMM(), a.YMM(), a.YMM()
	a.VADDPD(a.f64(2), f, s)
	a.VDIVPD(s, f, s)
	a.VMULPD(s, s, z)
	a.VMULPD(z, z, w)
	// horner returns c₀ + w·(c₁ + w·(…)), each product rounded.
	horner := func(c ...float64) reg.VecVirtual {
		p := a.YMM()
		a.VMULPD(a.f64(c[len(c)-1]), w, p)
		for i := len(c) - 2; i > 0; i-- {
			a.VADDPD(a.f64(c[i]), p, p)
			a.VMULPD(w, p, p)
		}
		a.VADDPD(a.f64(c[0]), p, p)
		return p
	}
	// t2 comes first, because t1 can then use the register of z: AVX2 has 16 of
	// them, and avo would take more from AVX-512.
	t2 := horner(coeff.LogL1, coeff.LogL3, coeff.LogL5, coeff.LogL7)
	a.VMULPD(z, t2, t2)
	t1 := horner(coeff.LogL2, coeff.LogL4, coeff.LogL6)
	a.VMULPD(w, t1, t1)
	r := a.YMM()
	a.VADDPD(t2, t1, r)
	half := a.YMM()
	a.VMULPD(f, f, half)
	a.VMULPD(a.f64(0.5), half, half)
	a.VADDPD(r, half, r)
	a.VMULPD(s, r, r)
	t := a.YMM()
	a.VMULPD(a.f64(coeff.LogLn2Lo), k, t)
	a.VADDPD(t, r, r)       // tail
	a.VSUBPD(r, half, half) // half − tail
	a.VSUBPD(f, half, half)
	a.VMULPD(a.f64(coeff.LogLn2Hi), k, t)
	a.VSUBPD(t, half, half)
	return half
}
