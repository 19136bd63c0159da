package main

import (
	"math"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/gumbel-go/gumbel/internal/coeff"
)

// exp returns e^x for x ≤ 0: see exp32 in package kernel. It is 0 where x is NaN.
func (a *assembler) exp(x reg.VecVirtual) reg.VecVirtual {
	r := a.reg()
	a.VMOVAPS(x, r)
	y := a.expAbove(r)
	a.clearUnderflow(x, y)
	return y
}

// expAbove returns e^x for x from underflow to 0. It changes x.
func (a *assembler) expAbove(x reg.VecVirtual) reg.VecVirtual {
	n := a.reduceExponent(x)
	return a.expPolynomial(x, n)
}

// reduceExponent subtracts from x the multiple of log 2 that leaves the least, and
// returns the factor.
func (a *assembler) reduceExponent(x reg.VecVirtual) (n reg.VecVirtual) {
	n = a.exponent(x)
	hi, lo := a.ln2()
	a.fnmadd231(hi, n, x)
	a.fnmadd231(lo, n, x)
	return n
}

// clearUnderflow sets y to 0 where e^x is less than the least number above 0.
func (a *assembler) clearUnderflow(x, y reg.VecVirtual) {
	a.keep(a.compare(greaterOrEqual, x, a.number(a.underflow())), y, y)
}

// underflow is below the logarithm of half the least number above 0, so that the
// exponential is 0.
func (a *assembler) underflow() float64 {
	if a.double {
		return -746
	}
	return -104
}

// exponent returns the n for which e^x is 2^n times a number near 1.
func (a *assembler) exponent(x reg.VecVirtual) (n reg.VecVirtual) {
	n = a.reg()
	a.mul(a.number(math.Log2E), x, n)
	a.round(n)
	return n
}

// round rounds to the nearest integer.
func (a *assembler) round(x reg.VecVirtual) {
	switch {
	case a.double:
		a.VROUNDPD(U8(0), x, x)
	case a.wide:
		a.VRNDSCALEPS(U8(0), x, x)
	default:
		a.VROUNDPS(U8(0), x, x)
	}
}

// ln2 is log 2 in two parts, the first of so few bits that its multiples are exact.
func (a *assembler) ln2() (hi, lo Mem) {
	if a.double {
		return a.f64(coeff.ExpLn2Hi), a.f64(coeff.ExpLn2Lo)
	}
	return a.f32(coeff.ExpfLn2Hi), a.f32(coeff.ExpfLn2Lo)
}

// horner sets p to the polynomial of x with coefficients c, from degree 0 on.
func (a *assembler) horner(p, x reg.VecVirtual, c []float64) {
	last := len(c) - 1
	a.VMOVUPS(a.number(c[last]), p)
	for i := last - 1; i >= 0; i-- {
		a.fmadd213(a.number(c[i]), x, p)
	}
}

// expPolynomial returns 2^n·e^r.
func (a *assembler) expPolynomial(r, n reg.VecVirtual) reg.VecVirtual {
	p := a.expReduced(r)
	a.add(a.number(1), p, p)
	return a.scaleBy(p, n)
}

// expReduced returns e^r − 1 for r in [−log(2)/2, log(2)/2].
func (a *assembler) expReduced(r reg.VecVirtual) reg.VecVirtual {
	if a.double {
		return a.expRational(r)
	}
	z, p := a.reg(), a.reg()
	a.VMULPS(r, r, z)
	a.horner(p, r, coeff.Expf)
	a.VFMADD213PS(r, z, p)
	return p
}

// exp2Above is expAbove as a power of 2 in float32, which takes fewer instructions and has
// the error of coeff.Exp2.
func (a *assembler) exp2Above(x reg.VecVirtual) reg.VecVirtual {
	if a.double {
		return a.expAbove(x)
	}
	n, r, y := a.exponent(x), a.reg(), a.reg()
	a.VMOVUPS(a.f32(coeff.Log2EHi), r)
	a.VFMSUB213PS(n, x, r)
	a.VFMADD231PS(a.f32(coeff.Log2ELo), x, r)
	a.horner(y, r, coeff.Exp2)
	return a.scale32(y, n)
}

// expm1 returns e^x − 1 for x ≤ 0, as (e^r − 1)·2^n + (2^n − 1). It changes x.
func (a *assembler) expm1(x reg.VecVirtual) reg.VecVirtual {
	a.max(a.number(a.underflow()), x, x)
	n := a.reduceExponent(x)
	p, power := a.expReduced(x), a.reg()
	a.VMOVUPS(a.number(1), power)
	power = a.scaleBy(power, n)
	a.mul(power, p, p)
	a.sub(a.number(1), power, power)
	a.add(power, p, p)
	return p
}

// scaleBy returns p·2^n.
func (a *assembler) scaleBy(p, n reg.VecVirtual) reg.VecVirtual {
	if a.double {
		return a.scale64(p, n)
	}
	return a.scale32(p, n)
}

// expRational returns e^r − 1 in float64.
func (a *assembler) expRational(r reg.VecVirtual) reg.VecVirtual {
	z, p, q := a.reg(), a.reg(), a.reg()
	a.VMULPD(r, r, z)
	a.horner(p, z, coeff.ExpP)
	a.VMULPD(r, p, p)
	a.horner(q, z, coeff.ExpQ)
	a.VSUBPD(p, q, q)
	a.VDIVPD(q, p, p)
	a.VADDPD(p, p, p)
	return p
}

// scale32 returns p·2^n in float32, which may be a denormal number.
func (a *assembler) scale32(p, n reg.VecVirtual) reg.VecVirtual {
	if a.wide {
		a.VSCALEFPS(n, p, p)
		return p
	}
	// Two factors, each a normal number.
	e, half := a.reg(), a.reg()
	a.VCVTPS2DQ(n, e)
	a.VPSRAD(U8(1), e, half)
	a.VPSUBD(half, e, e)
	for _, x := range []reg.VecVirtual{e, half} {
		a.VPADDD(a.u32(127), x, x)
		a.VPSLLD(U8(23), x, x)
		a.VMULPS(x, p, p)
	}
	return p
}

// scale64 returns p·2^n in float64, by two factors, too.
func (a *assembler) scale64(p, n reg.VecVirtual) reg.VecVirtual {
	e, half, factor := a.XMM(), a.XMM(), a.reg()
	a.VCVTPD2DQY(n, e)
	a.VPSRAD(U8(1), e, half)
	a.VPSUBD(half, e, e)
	for _, x := range []reg.VecVirtual{e, half} {
		a.VPADDD(a.u32(1023), x, x)
		a.VPMOVSXDQ(x, factor)
		a.VPSLLQ(U8(52), factor, factor)
		a.VMULPD(factor, p, p)
	}
	return p
}
