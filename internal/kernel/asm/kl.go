package main

import "github.com/mmcloughlin/avo/reg"

func init() {
	rows.implement("dotKL", emitDotKL)
	rows.implement("gradKL", emitGradKL)
	rows.implement("excess", emitExcess)
	rows.implement("axpby", emitAxpby)
}

func emitDotKL(a *assembler) {
	a.begin()
	topQ, topP := a.scalar("s.topQ"), a.scalar("s.topP")
	total, bad := a.newSum(), a.noLanes()
	a.each(func(at []span, _ *mask) {
		y, q, p := at[0].get(), at[1].get(), at[2].get()
		none := a.reg()
		a.VMOVUPS(a.number(minusInfinity), none)
		masked := a.compare(equal, p, none)
		a.andMask(a.compare(notEqual, q, none), masked)
		a.orMask(masked, bad)
		d := a.logRatio(y, q, p, topQ, topP)
		total.addProduct(y, d)
	})
	total.store()
	a.returnBad(bad)
}

// logRatio returns (q − topQ) − (p − topP), 0 where y is 0.
func (a *assembler) logRatio(y, q, p, topQ, topP reg.VecVirtual) reg.VecVirtual {
	d, t := a.reg(), a.reg()
	a.sub(topQ, q, d)
	a.sub(topP, p, t)
	a.sub(t, d, d)
	a.clearWhereZero(d, y)
	return d
}

func emitGradKL(a *assembler) {
	a.begin()
	topQ, topP := a.scalar("s.topQ"), a.scalar("s.topP")
	factor, mean, meanLow := a.scalar("s.factor"), a.scalar("s.mean"), a.scalar("s.meanLow")
	a.each(func(at []span, _ *mask) {
		y := at[1].get()
		d := a.logRatio(y, at[2].get(), at[3].get(), topQ, topP)
		x := a.centred(y, d, mean, meanLow)
		a.mul(factor, x, x)
		at[0].put(x)
	})
	a.ret()
}

func emitExcess(a *assembler) {
	a.begin()
	topQ, topP, mean, meanLow := a.scalar("s.topQ"), a.scalar("s.topP"), a.scalar("s.mean"), a.scalar("s.meanLow")
	total, far := a.newSum(), a.noLanes()
	a.each(func(at []span, rest *mask) {
		e, q, p := at[0].get(), at[1].get(), at[2].get()
		d := a.preciseRatio(q, topQ, p, topP, far)
		a.sub(mean, d, d)
		a.sub(meanLow, d, d)
		if rest != nil {
			one := a.reg()
			a.VMOVUPS(a.number(1), one)
			a.keep(*rest, d, d)
			a.pick(*rest, e, one, e)
		}
		total.add(a.excessOf(e, d, far))
	})
	total.store()
	a.returnBad(far)
}

func emitAxpby(a *assembler) {
	a.begin()
	alpha, minusBeta := a.scalar("s.alpha"), a.scalar("s.minusBeta")
	a.each(func(at []span, _ *mask) {
		x, y := at[1].get(), at[2].get()
		a.mul(alpha, x, x)
		a.fnmadd231(minusBeta, y, x)
		at[0].put(x)
	})
	a.ret()
}
