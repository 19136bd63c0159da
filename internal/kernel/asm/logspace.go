package main

import "github.com/mmcloughlin/avo/reg"

func init() {
	rows.implement("logSoftmaxOf", emitLogSoftmaxOf)
	rows.implement("sumUnmasked", emitSumUnmasked)
	rows.implement("gradLog", emitGradLog)
}

func emitLogSoftmaxOf(a *assembler) {
	a.begin()
	p := peak{top: a.scalar("s.top"), low: a.scalar("s.topLow")}
	inverse, logSum, least := a.scalar("s.inverse"), a.scalar("s.logSum"), a.scalar("s.least")
	a.each(func(at []span, _ *mask) {
		x, g, sum := at[1].get(), at[2].get(), a.reg()
		a.add(g, x, sum)
		d, e := a.below(x, g, p)
		a.add(e, d, d)
		a.fmsub213(logSum, inverse, d)
		a.max(least, d, d) // least where d is NaN
		masked := a.masked(sum)
		a.pick(masked.mask, masked.number, d, d)
		at[0].put(d)
	})
	a.ret()
}

// maskedLanes are the lanes that are -Inf, and that number.
type maskedLanes struct {
	mask   mask
	number reg.VecVirtual
}

func (a *assembler) masked(x reg.VecVirtual) maskedLanes {
	number := a.reg()
	a.VMOVUPS(a.number(minusInfinity), number)
	return maskedLanes{a.compare(equal, x, number), number}
}

// clearMasked sets x to 0 where y is -Inf.
func (a *assembler) clearMasked(x, y reg.VecVirtual) {
	number := a.reg()
	a.VMOVUPS(a.number(minusInfinity), number)
	a.keep(a.compare(notEqual, y, number), x, x)
}

func emitSumUnmasked(a *assembler) {
	a.begin()
	total := a.newSum()
	a.each(func(at []span, _ *mask) {
		g := at[0].get()
		a.clearMasked(g, at[1].get())
		total.add(g)
	})
	total.store()
	a.ret()
}

func emitGradLog(a *assembler) {
	a.begin()
	inverse, sum := a.scalar("s.inverse"), a.scalar("s.sum")
	a.each(func(at []span, _ *mask) {
		y, g := at[1].get(), at[2].get()
		e := a.exp(y)
		a.fnmadd231(sum, e, g)
		a.mul(inverse, g, g)
		a.clearMasked(g, y)
		at[0].put(g)
	})
	a.ret()
}
