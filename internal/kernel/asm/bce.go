package main

import (
	"math"

	"github.com/mmcloughlin/avo/reg"
)

func init() {
	elementwise.implement("bce", emitBCE)
	elementwise.implement("gradBCE", emitGradBCE)
}

func emitBCE(a *assembler) {
	a.prepare()
	a.begin()
	bad := a.noLanes()
	a.each(func(at []span, _ *mask) {
		x, z := at[1].get(), at[2].get()
		a.notFinite(x, bad)
		a.notFinite(z, bad)
		e, size := a.expOfMinusSize(x)
		minus := a.minusLog1p(e)
		a.reflectTarget(x, z)
		a.mul(size, z, z)
		a.sub(minus, z, z)
		at[0].put(z)
	})
	a.returnBad(bad)
}

// minusLog1p returns −log(1+x) for x in [0, 1], as −log(2^k·(1+f)). It never rounds 1+x.
func (a *assembler) minusLog1p(x reg.VecVirtual) reg.VecVirtual {
	seam := 0.5 // f is x up to here
	if a.double {
		seam = math.Sqrt2 - 1
	}
	f, k, zero := a.reg(), a.reg(), a.reg()
	a.clear(zero)
	a.sub(a.number(1), x, f)
	a.mul(a.number(0.5), f, f)
	a.VMOVUPS(a.number(1), k)
	small := a.compare(less, x, a.number(seam))
	a.pick(small, x, f, f)
	a.pick(small, zero, k, k)
	return a.minusLog(f, k)
}

// expOfMinusSize returns e^−|x| and |x|.
func (a *assembler) expOfMinusSize(x reg.VecVirtual) (e, size reg.VecVirtual) {
	sign := uint64(1) << (a.bits() - 1)
	minus := a.reg()
	size = a.reg()
	a.and(a.word(sign-1), x, size)
	a.or(a.word(sign), x, minus)
	return a.exp(minus), size
}

// reflectTarget replaces z by 1 − z where x is positive.
func (a *assembler) reflectTarget(x, z reg.VecVirtual) {
	rest, zero := a.reg(), a.reg()
	a.clear(zero)
	a.VMOVUPS(a.number(1), rest)
	a.sub(z, rest, rest)
	a.pick(a.compare(greater, x, zero), rest, z, z)
}

func emitGradBCE(a *assembler) {
	a.begin()
	bad := a.noLanes()
	a.each(func(at []span, _ *mask) {
		x, z := at[1].get(), at[2].get()
		a.notFinite(x, bad)
		a.notFinite(z, bad)
		e, _ := a.expOfMinusSize(x)
		q := a.reg()
		a.add(a.number(1), e, q)
		a.div(q, e, q)
		a.reflectTarget(x, z)
		// q − z, or, where x is positive, (1 − z) − q by negation.
		a.sub(z, q, q)
		positive, flip, zero := a.compare(greater, x, a.zero()), a.reg(), a.reg()
		a.clear(zero)
		a.sub(q, zero, flip)
		a.pick(positive, flip, q, q)
		a.mul(at[3].get(), q, q)
		at[0].put(q)
	})
	a.returnBad(bad)
}
