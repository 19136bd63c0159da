package main

import (
	"math"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/gumbel-go/gumbel/internal/coeff"
)

func init() {
	rows.implement("exponentiate", emitExponentiate)
	rows.implement("scale", emitScale)
	rows.implement("dot", emitDot)
}

// A peak has the greatest sum of logit and noise in a row, as the rounded sum and what
// the rounding lost, and the rate of the exponents in two parts: see softmaxScalars in
// package kernel.
type peak struct{ top, low, rate, rateLow reg.VecVirtual }

// loadPeak reads the fields of the scalars s.
func (a *assembler) loadPeak() peak {
	return peak{a.scalar("s.top"), a.scalar("s.topLow"), a.scalar("s.rate"), a.scalar("s.rateLow")}
}

// lost returns (x + y) − sum: see lost in package kernel.
func (a *assembler) lost(x, y, sum reg.VecVirtual) reg.VecVirtual {
	yy, t, e := a.reg(), a.reg(), a.reg()
	a.sub(x, sum, yy)
	a.sub(yy, sum, t)
	a.sub(t, x, e)
	a.sub(yy, y, t)
	a.add(t, e, e)
	return e
}

// below returns logit + noise − peak in two parts.
func (a *assembler) below(logit, noise reg.VecVirtual, p peak) (d, e reg.VecVirtual) {
	s := a.reg()
	a.add(noise, logit, s)
	e = a.lost(logit, noise, s)
	a.sub(p.top, s, s)
	a.sub(p.low, e, e)
	return s, e
}

// expBelow returns e^((d+e)/tau) for d + e ≤ 0, and 0 where that is -Inf.
func (a *assembler) expBelow(d, e reg.VecVirtual, p peak) reg.VecVirtual {
	if !a.double {
		return a.exp2Below(d, e, p)
	}
	x, q, r := a.reg(), a.reg(), a.reg()
	a.mul(p.rate, d, x)
	a.fmadd231(p.rate, e, x)
	n := a.exponent(x)
	hi, lo := a.ln2()
	a.mul(hi, n, q)
	a.VMOVAPS(d, r)
	a.fmsub213(q, p.rate, r) // fused, so the product is not rounded
	a.fmadd231(p.rateLow, d, r)
	a.fnmadd231(lo, n, r)
	a.fmadd231(p.rate, e, r)
	y := a.expPolynomial(r, n)
	a.clearUnderflow(x, y)
	return y
}

// exp2Below returns 2^(d·(rate+rateLow) + e·rate) in float32.
func (a *assembler) exp2Below(d, e reg.VecVirtual, p peak) reg.VecVirtual {
	x, n, r, y := a.reg(), a.reg(), a.reg(), a.reg()
	a.VMULPS(p.rateLow, d, r)
	a.VFMADD231PS(p.rate, d, r)
	a.VMOVAPS(r, x)
	a.VFMADD231PS(p.rate, e, x)
	a.VMOVAPS(x, n)
	a.round(n)
	a.VSUBPS(n, r, r)
	a.VFMADD231PS(p.rate, e, r) // again, because x is rounded
	a.horner(y, r, coeff.Exp2)
	y = a.scale32(y, n)
	a.keep(a.compare(greaterOrEqual, x, a.f32(-151)), y, y)
	return y
}

func emitExponentiate(a *assembler) {
	a.begin()
	p, total := a.loadPeak(), a.newSum()
	a.each(func(at []span, rest *mask) {
		d, e := a.below(at[1].get(), at[2].get(), p)
		y := a.expBelow(d, e, p)
		if rest != nil {
			a.keep(*rest, y, y)
		}
		at[0].put(y)
		total.add(y)
	})
	total.store()
	a.ret()
}

func emitScale(a *assembler) {
	a.begin()
	by := a.broadcast(a.address("by"))
	a.each(func(at []span, _ *mask) {
		y := at[0].get()
		a.mul(by, y, y)
		at[0].put(y)
	})
	a.ret()
}

// emitDot also fetches another array into the cache.
func emitDot(a *assembler) {
	a.begin()
	total, ahead := a.newSum(), a.param("ahead")
	a.each(func(at []span, _ *mask) {
		x, y := at[0].get(), at[1].get()
		a.PREFETCHT0(Mem{Base: ahead})
		total.addProduct(x, y)
	}, ahead)
	total.store()
	a.ret()
}

// centred returns y·(x − mean), 0 where y is 0, of a mean in two parts.
func (a *assembler) centred(y, x, mean, meanLow reg.VecVirtual) reg.VecVirtual {
	zero, c := a.zero(), a.reg()
	a.sub(mean, x, c)
	a.sub(meanLow, c, c)
	a.mul(y, c, c)
	a.keep(a.compare(notEqual, y, zero), c, c)
	return c
}

var minusInfinity = math.Inf(-1)
