package main

import (
	"math"
	"slices"

	"github.com/mmcloughlin/avo/reg"

	"github.com/gumbel-go/gumbel/internal/coeff"
)

func init() {
	elementwise.implement("bernoulliKL", emitBernoulliKL)
	elementwise.implement("gradBernoulliKLQ", emitGradBernoulliKLQ)
	elementwise.implement("gradBernoulliKLP", emitGradBernoulliKLP)
}

func emitBernoulliKL(a *assembler) {
	a.begin()
	zero, bad := a.zero(), a.zero() // 0·x is NaN if x is not finite
	a.each(func(at []span, _ *mask) {
		x, y := at[1].get(), at[2].get()
		minus, least, d := a.reg(), a.reg(), a.reg()
		a.or(a.word(a.signBit()), x, minus)
		a.xor(minus, x, x) // the sign bit where x is positive
		a.xor(x, y, y)
		a.VMOVUPS(a.number(a.underflow()), least)
		a.max(minus, least, minus) // NaN stays
		a.sub(minus, y, d)

		// log((1 + e^−|y|)/(1 + e)) is 2 artanh(n/(2 + m)).
		e, q, m, n := a.exp2Above(minus), a.reg(), a.reg(), a.reg()
		a.VMOVUPS(a.number(1), q)
		a.add(e, q, m)
		a.div(m, q, q)
		a.or(a.word(a.signBit()), y, n)
		a.max(least, n, n)
		n = a.exp2Above(n)
		a.add(e, n, m)
		a.sub(e, n, n)
		p := e
		a.mul(q, p, p)

		// log(1 + z) is 2 artanh(z/(2 + z)).
		u, v, z, rest := a.reg(), a.reg(), a.reg(), a.reg()
		a.mul(p, d, v)
		a.max(zero, y, rest)
		a.sub(v, rest, rest)
		a.mul(q, d, u)
		a.mul(u, v, z)
		a.mul(a.expTail(u, 1), q, q)
		a.fmadd231(a.expTail(v, -1), p, q)
		a.mul(q, z, z)

		a.and(a.word(a.signBit()-1), d, d)
		far := a.compare(greaterOrEqual, d, a.number(2))
		a.keep(far, rest, rest)
		a.pick(far, n, z, n)
		a.pick(far, m, z, m)
		a.add(a.number(2), m, m)
		a.addArtanh(2, n, m, rest)
		at[0].put(rest)
		a.fmadd231(zero, rest, bad)
	})
	a.returnBad(a.compare(unordered, bad, bad))
}

// signBit is the sign bit of a number.
func (a *assembler) signBit() uint64 { return 1 << (a.bits() - 1) }

// greatest is the greatest finite number.
func (a *assembler) greatest() float64 {
	if a.double {
		return math.MaxFloat64
	}
	return math.MaxFloat32
}

// expTail returns (e^t − 1 − t)/t² for t = sign·x in [−2, 2].
func (a *assembler) expTail(x reg.VecVirtual, sign float64) reg.VecVirtual {
	c := slices.Clone(a.polynomial(coeff.ExpTail, coeff.ExpTail64))
	for i := 1; i < len(c); i += 2 {
		c[i] *= sign
	}
	p := a.reg()
	a.horner(p, x, c)
	return p
}

// addArtanh adds factor·artanh(n/m) to sum, for |n/m| up to ⅓. It changes n.
func (a *assembler) addArtanh(factor float64, n, m, sum reg.VecVirtual) {
	c := append([]float64{1}, a.polynomial(coeff.Artanh, coeff.Artanh64)...)
	for i := range c {
		c[i] *= factor
	}
	z, p := a.reg(), a.reg()
	a.div(m, n, n)
	a.mul(n, n, z)
	a.horner(p, z, c)
	a.fmadd231(n, p, sum)
}

// polynomial returns the coefficients for the element type.
func (a *assembler) polynomial(single, double []float64) []float64 {
	if a.double {
		return double
	}
	return single
}

// badPair adds the lanes where x is NaN or y is not finite to bad.
func (a *assembler) badPair(x, y reg.VecVirtual, bad mask) {
	a.orMask(a.compare(unordered, x, x), bad)
	a.notFinite(y, bad)
}

func emitGradBernoulliKLQ(a *assembler) {
	a.begin()
	bad := a.noLanes()
	a.each(func(at []span, _ *mask) {
		x, y, d := at[1].get(), at[2].get(), a.reg()
		a.badPair(x, y, bad)
		a.sub(y, x, d)
		a.min(a.number(a.greatest()), d, d)
		a.max(a.number(-a.greatest()), d, d)
		s := a.slope(x)
		a.mul(d, s, s)
		a.mul(at[3].get(), s, s)
		a.clearInfinite(s, x)
		at[0].put(s)
	})
	a.returnBad(bad)
}

func emitGradBernoulliKLP(a *assembler) {
	a.begin()
	bad := a.noLanes()
	a.each(func(at []span, _ *mask) {
		x, y := at[1].get(), at[2].get()
		a.badPair(x, y, bad)
		sign, high, low := a.reg(), a.reg(), a.reg()
		a.sub(y, x, sign)
		a.and(a.word(a.signBit()), sign, sign)
		a.max(y, x, high)
		a.min(y, x, low)
		d := a.reg()
		a.sub(high, low, d)
		a.xor(a.expm1(d), sign, sign) // positive where y is the greater

		e, _ := a.expOfMinusSize(high)
		total, one := a.reg(), a.reg()
		a.VMOVUPS(a.number(1), one)
		a.add(one, e, total)
		a.pick(a.compare(less, high, a.zero()), e, one, e)
		a.mul(e, sign, sign)
		e, _ = a.expOfMinusSize(low)
		other := a.reg()
		a.add(one, e, other)
		a.mul(other, total, total)
		a.pick(a.compare(greater, low, a.zero()), e, one, e)
		a.mul(e, sign, sign)
		a.div(total, sign, sign)
		a.mul(at[3].get(), sign, sign)
		at[0].put(sign)
	})
	a.returnBad(bad)
}
