package main

import "github.com/mmcloughlin/avo/reg"

func init() {
	elementwise.implement("relaxedDensity", emitRelaxedDensity)
	elementwise.implement("gradRelaxedDensity", emitGradRelaxedDensity)
	elementwise.implement("gradRelaxedDensityTau", emitGradRelaxedDensityTau)
}

func emitRelaxedDensity(a *assembler) {
	a.begin()
	tau, logTau, least := a.scalar("s.tau"), a.scalar("s.logTau"), a.scalar("s.least")
	bad := a.noLanes()
	a.each(func(at []span, _ *mask) {
		u := at[1].get()
		a.fnmadd231(tau, at[2].get(), u)
		a.notFinite(u, bad)
		e, size := a.expOfMinusSize(u)
		a.sub(size, logTau, size)
		m := a.reg()
		a.add(a.number(2), e, m)
		a.addArtanh(-4, e, m, size) // log(1 + e) is 2 artanh(e/(2 + e))
		a.max(least, size, size)
		at[0].put(size)
	})
	a.returnBad(bad)
}

func emitGradRelaxedDensity(a *assembler) {
	a.begin()
	tau, factor, bad := a.scalar("s.tau"), a.scalar("s.factor"), a.noLanes()
	a.each(func(at []span, _ *mask) {
		x := a.slopeOfDensity(at[1].get(), at[2].get(), tau, bad)
		a.mul(factor, x, x)
		a.mul(at[3].get(), x, x)
		at[0].put(x)
	})
	a.returnBad(bad)
}

// slopeOfDensity returns tanh(u/2), u = logit − tau·value, and adds the lanes where u is
// not finite to bad. With x = e^−|u| − 1, the size is −x/(2 + x). It changes the logit.
func (a *assembler) slopeOfDensity(logit, value, tau reg.VecVirtual, bad mask) reg.VecVirtual {
	u, x, m := logit, a.reg(), a.reg()
	a.fnmadd231(tau, value, u)
	a.notFinite(u, bad)
	a.or(a.word(a.signBit()), u, x)
	x = a.expm1(x)
	a.add(a.number(2), x, m)
	a.div(m, x, x)
	a.and(a.word(a.signBit()-1), x, x)
	a.and(a.word(a.signBit()), u, u)
	a.or(u, x, x)
	return x
}

func emitGradRelaxedDensityTau(a *assembler) {
	a.begin()
	bad, total, score := a.noLanes(), a.newSum(), a.newSum()
	a.each(func(at []span, _ *mask) {
		// Loaded anew in each step, because registers are scarce.
		x := a.slopeOfDensity(at[0].get(), at[1].get(), a.scalar("s.tau"), bad)
		g := at[2].get()
		total.add(g)
		a.mul(g, x, x)
		score.addProduct(x, at[1].get())
	})
	total.storeAt(a.field("sums.grad"))
	score.storeAt(a.field("sums.score"))
	a.returnBad(bad)
}
