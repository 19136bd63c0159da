package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	rows.implement("findPeaks", emitFindPeaks)
	rows.implement("sampleColumns", emitSampleColumns)
	rows.implement("gradRow", emitGradRow)
	rows.implement("gradColumns", emitGradColumns)
	rows.implement("gradTau", emitGradTau)
	rows.implement("gradTauColumns", emitGradTauColumns)
}

func emitFindPeaks(a *assembler) {
	a.begin()
	best, class, i := a.reg(), a.reg(), a.reg()
	a.VMOVUPS(a.number(minusInfinity), best)
	a.VMOVUPS(a.u32(^uint32(0)), class)
	a.VMOVUPS(a.iota(), i)
	tie, bad := a.noLanes(), a.noLanes()
	a.each(func(at []span, rest *mask) {
		s := at[0].get()
		a.add(at[1].get(), s, s)
		if rest != nil {
			none := a.reg()
			a.VMOVUPS(a.number(minusInfinity), none)
			a.pick(*rest, s, none, s)
		}
		a.orMask(a.compare(unordered, s, s), bad)
		more, same := a.compare(greater, s, best), a.compare(equal, s, best)
		a.dropMask(more, tie)
		a.orMask(same, tie)
		a.pick(more, s, best, best)
		a.pick(more, i, class, class)
		a.addWords(a.word(uint64(a.lanes)), i, i)
	})
	a.VMOVUPS(best, a.field("peaks.sum"))
	a.VMOVUPS(class, a.field("found.class"))
	a.storeMask(tie, a.field("found.tie"))
	a.storeMask(bad, a.field("found.bad"))
	a.ret()
}

// emitSampleColumns makes three passes over the classes: it finds the peaks, takes
// the exponentials, and divides them by their sum.
func emitSampleColumns(a *assembler) {
	soft, logits, noise := a.param("soft"), a.param("logits"), a.param("noise")
	for _, name := range []string{"classes", "s", "peaks", "found"} {
		a.param(name)
	}
	p := peak{top: a.reg(), low: a.reg()}
	class, c, bad := a.reg(), a.reg(), a.noLanes()
	a.VMOVUPS(a.number(minusInfinity), p.top)
	a.clear(p.low)
	a.VMOVUPS(a.u32(^uint32(0)), class)
	a.clear(c)
	a.eachClass("peak", []reg.GPVirtual{logits, noise}, func(at []span) {
		a.pick(a.raisePeak(at[0].get(), at[1].get(), p, bad), c, class, class)
		a.VPADDD(a.u32(1), c, c)
	})
	a.VMOVUPS(p.top, a.field("peaks.sum"))
	a.VMOVUPS(p.low, a.field("peaks.low"))
	a.VMOVUPS(class, a.field("found.class"))
	a.storeMask(bad, a.field("found.bad"))
	a.TESTQ(soft, soft)
	a.JZ(LabelRef("done"))
	p.rate, p.rateLow = a.scalar("s.rate"), a.scalar("s.rateLow")
	total := a.newSum()
	a.eachClass("exponentials", []reg.GPVirtual{soft, logits, noise}, func(at []span) {
		d, e := a.below(at[1].get(), at[2].get(), p)
		y := a.expBelow(d, e, p)
		at[0].put(y)
		total.add(y)
	})
	a.scaleColumns(soft, a.inverseOf(total))
	a.Label("done")
	a.ret()
}

func emitGradRow(a *assembler) {
	a.begin()
	mean, meanLow := a.scalar("s.mean"), a.scalar("s.meanLow")
	inverse := a.scalar("s.inverse")
	a.each(func(at []span, _ *mask) {
		x := a.centred(at[1].get(), at[2].get(), mean, meanLow)
		a.mul(inverse, x, x)
		at[0].put(x)
	})
	a.ret()
}

// raisePeak raises the peak to the sum of x and g, and returns where that is greater. It adds
// the lanes where the sum is NaN to bad.
func (a *assembler) raisePeak(x, g reg.VecVirtual, p peak, bad mask) (more mask) {
	s := a.reg()
	a.VADDPS(g, x, s)
	e := a.lost(x, g, s)
	a.orMask(a.compare(unordered, s, s), bad)
	more = a.compare(greater, s, p.top)
	same, finer := a.compare(equal, s, p.top), a.compare(greater, e, p.low)
	a.andMask(same, finer)
	a.orMask(finer, more)
	a.pick(more, s, p.top, p.top)
	a.pick(more, e, p.low, p.low)
	return more
}

func emitGradColumns(a *assembler) {
	dst, soft, grad := a.param("dst"), a.param("soft"), a.param("grad")
	for _, name := range []string{"classes", "s", "found"} {
		a.param(name)
	}
	total := a.newSum()
	a.eachClass("dot", []reg.GPVirtual{soft, grad}, func(at []span) {
		y, g := at[0].get(), at[1].get()
		total.addProduct(y, g)
	})
	mean := a.narrow(total.lower, total.upper)
	bad := a.noLanes()
	a.notFinite(mean, bad)
	a.storeMask(bad, a.field("found.bad"))
	lower, upper := a.widen(mean)
	a.VSUBPD(lower, total.lower, total.lower)
	a.VSUBPD(upper, total.upper, total.upper)
	meanLow := a.narrow(total.lower, total.upper)
	inverse := a.scalar("s.inverse")
	a.eachClass("gradient", []reg.GPVirtual{dst, soft, grad}, func(at []span) {
		x := a.centred(at[1].get(), at[2].get(), mean, meanLow)
		a.VMULPS(inverse, x, x)
		at[0].put(x)
	})
	a.ret()
}

func emitGradTauColumns(a *assembler) {
	logits, noise, soft, grad := a.param("logits"), a.param("noise"), a.param("soft"), a.param("grad")
	p := peak{top: a.reg(), low: a.reg()}
	under, bad := a.newSum(), a.noLanes()
	a.VMOVUPS(a.number(minusInfinity), p.top)
	a.clear(p.low)
	a.eachClass("peak", []reg.GPVirtual{logits, noise, soft, grad}, func(at []span) {
		a.raisePeak(at[0].get(), at[1].get(), p, bad)
		under.addProduct(at[2].get(), at[3].get())
	})
	a.notFinite(p.top, bad)
	mean, meanLow := a.splitSum(under)
	a.notFinite(mean, bad)
	a.storeMask(bad, a.field("found.bad"))
	total := a.newSum()
	a.eachClass("gradient", []reg.GPVirtual{logits, noise, soft, grad}, func(at []span) {
		y := at[2].get()
		x := a.centred(y, at[3].get(), mean, meanLow)
		d, e := a.below(at[0].get(), at[1].get(), p)
		a.add(e, d, d)
		a.clearWhereZero(d, y) // -Inf where masked
		total.addProduct(d, x)
	})
	total.storeAt(a.field("found.sum"))
	a.ret()
}

func emitGradTau(a *assembler) {
	a.begin()
	p, total := a.loadPeak(), a.newSum()
	a.each(func(at []span, _ *mask) {
		y := at[2].get()
		// Loaded anew in each step, because registers are scarce.
		mean, meanLow := a.scalar("s.mean"), a.scalar("s.meanLow")
		x := a.centred(y, at[3].get(), mean, meanLow)
		d, e := a.below(at[0].get(), at[1].get(), p)
		a.add(e, d, d)
		a.clearWhereZero(d, y) // -Inf where masked
		total.addProduct(d, x)
	})
	total.store()
	a.ret()
}
