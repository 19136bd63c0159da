package main

import (
	"math"

	"github.com/mmcloughlin/avo/reg"
)

func init() {
	rows.implement("exponentialColumns", emitExponentialColumns)
	rows.implement("ratioColumns", emitRatioColumns)
	rows.implement("meanColumns", emitMeanColumns)
	rows.implement("excessColumns", emitExcessColumns)
	rows.implement("centredColumns", emitCentredColumns)
	rows.implement("shiftedColumns", emitShiftedColumns)
	rows.implement("axpbyColumns", emitAxpbyColumns)
}

func emitExponentialColumns(a *assembler) {
	e, below, logits := a.param("e"), a.param("below"), a.param("logits")
	top, bad := a.reg(), a.noLanes()
	a.VMOVUPS(a.number(minusInfinity), top)
	a.eachClass("top", []reg.GPVirtual{logits}, func(at []span) {
		x := at[0].get()
		a.orMask(a.compare(unordered, x, x), bad)
		a.VMAXPS(x, top, top)
	})
	a.VMOVUPS(top, a.field("found.top"))
	a.notFinite(top, bad)
	a.storeMask(bad, a.field("found.bad"))
	total := a.newSum()
	a.eachClass("exponentials", []reg.GPVirtual{e, below, logits}, func(at []span) {
		x := at[2].get()
		a.VSUBPS(top, x, x)
		at[1].put(x)
		y := a.exp(x)
		at[0].put(y)
		total.add(y)
	})
	total.storeAt(a.field("found.total"))
	a.ret()
}

func emitRatioColumns(a *assembler) {
	topQ, topP, infinite := a.lanesOf("tops.q"), a.lanesOf("tops.p"), a.noLanes()
	a.eachClass("ratio", []reg.GPVirtual{a.param("dst"), a.param("q"), a.param("p")}, func(at []span) {
		d := a.preciseRatio(at[1].get(), topQ, at[2].get(), topP, infinite)
		at[0].put(d)
	})
	a.storeMask(infinite, a.field("tops.infinite"))
	a.ret()
}

// preciseRatio is that of package kernel. It adds the lanes where it is +Inf to
// infinite.
func (a *assembler) preciseRatio(q, topQ, p, topP reg.VecVirtual, infinite mask) reg.VecVirtual {
	minus, x, y := a.reg(), a.reg(), a.reg()
	a.xor(a.word(a.signBit()), topQ, minus)
	a.sub(topQ, q, x)
	low := a.lost(q, minus, x)
	a.xor(a.word(a.signBit()), topP, minus)
	a.sub(topP, p, y)
	a.sub(a.lost(p, minus, y), low, low)
	a.sub(y, x, x)
	a.VMOVUPS(a.number(math.Inf(1)), y)
	a.orMask(a.compare(equal, x, y), infinite)
	a.add(low, x, x)
	return x
}

func emitMeanColumns(a *assembler) {
	total, dot, negative := a.newSum(), a.newSum(), a.noLanes()
	a.eachClass("mean", []reg.GPVirtual{a.param("e"), a.param("x")}, func(at []span) {
		y, x := at[0].get(), at[1].get()
		a.orMask(a.compare(less, y, a.zero()), negative)
		a.clearWhereZero(x, y)
		total.add(y)
		dot.addProduct(y, x)
	})
	total.storeAt(a.field("found.total"))
	dot.storeAt(a.field("found.dot"))
	a.storeMask(negative, a.field("found.negative"))
	a.ret()
}

func emitExcessColumns(a *assembler) {
	mean, meanLow, total, far := a.lanesOf("s.mean"), a.lanesOf("s.meanLow"), a.newSum(), a.noLanes()
	a.eachClass("excess", []reg.GPVirtual{a.param("e"), a.param("x")}, func(at []span) {
		d := at[1].get()
		a.VSUBPS(mean, d, d)
		a.VSUBPS(meanLow, d, d)
		total.add(a.excessOf(at[0].get(), d, far))
	})
	total.storeAt(a.field("found.sum"))
	a.storeMask(far, a.field("found.far"))
	a.ret()
}

// excessOf returns e·(d + e^−d − 1), and adds the lanes to far where e is 0 or d is beyond
// ±2.
func (a *assembler) excessOf(e, d reg.VecVirtual, far mask) reg.VecVirtual {
	size := a.reg()
	a.and(a.word(a.signBit()-1), d, size)
	a.orMask(a.compare(notLess, size, a.number(2)), far)
	a.orMask(a.compare(equal, e, a.zero()), far)
	p := a.expTail(d, -1)
	a.mul(d, p, p)
	a.mul(d, p, p)
	a.mul(e, p, p)
	return p
}

// lanesOf loads a field that has an element per lane.
func (a *assembler) lanesOf(path string) reg.VecVirtual {
	v := a.reg()
	a.VMOVUPS(a.field(path), v)
	return v
}

func emitCentredColumns(a *assembler) {
	factor, mean, meanLow := a.lanesOf("s.factor"), a.lanesOf("s.mean"), a.lanesOf("s.meanLow")
	a.eachClass("gradient", []reg.GPVirtual{a.param("dst"), a.param("e"), a.param("x")}, func(at []span) {
		x := a.centred(at[1].get(), at[2].get(), mean, meanLow)
		a.VMULPS(factor, x, x)
		at[0].put(x)
	})
	a.ret()
}

func emitShiftedColumns(a *assembler) {
	factor, mean, meanLow := a.lanesOf("s.factor"), a.lanesOf("s.mean"), a.lanesOf("s.meanLow")
	a.eachClass("gradient", []reg.GPVirtual{a.param("dst"), a.param("x")}, func(at []span) {
		x, y := at[1].get(), a.reg()
		a.VSUBPS(mean, x, y)
		a.VSUBPS(meanLow, y, y)
		a.VMULPS(factor, y, y)
		a.clearMasked(y, x)
		at[0].put(y)
	})
	a.ret()
}

func emitAxpbyColumns(a *assembler) {
	alpha, minusBeta := a.lanesOf("s.alpha"), a.lanesOf("s.minusBeta")
	a.eachClass("sum", []reg.GPVirtual{a.param("dst"), a.param("x"), a.param("y")}, func(at []span) {
		x := at[1].get()
		a.VMULPS(alpha, x, x)
		a.fnmadd231(minusBeta, at[2].get(), x)
		at[0].put(x)
	})
	a.ret()
}
