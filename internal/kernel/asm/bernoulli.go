package main

import (
	"math"

	"github.com/mmcloughlin/avo/reg"
)

func init() {
	elementwise.implement("tempered", emitTempered)
	elementwise.implement("step", emitStep)
	elementwise.implement("sigmoid", emitSigmoid)
	elementwise.implement("gradSigmoid", emitGradSigmoid)
	elementwise.implement("reinMaxSlope", emitReinMaxSlope)
	elementwise.implement("gapSlope", emitGapSlope)
	elementwise.implement("addSlope", emitAddSlope)
}

func emitTempered(a *assembler) {
	a.begin()
	inverse, most, bad := a.scalar("s.inverse"), a.scalar("s.most"), a.noLanes()
	lowest := a.zero()
	a.sub(most, lowest, lowest)
	a.each(func(at []span, _ *mask) {
		x := at[1].get()
		a.add(at[2].get(), x, x)
		a.notFinite(x, bad)
		a.mul(inverse, x, x)
		a.max(lowest, x, x)
		a.min(most, x, x)
		at[0].put(x)
	})
	a.returnBad(bad)
}

func emitStep(a *assembler) {
	a.begin()
	one := a.reg()
	a.VMOVUPS(a.number(1), one)
	a.each(func(at []span, _ *mask) {
		x := a.reg()
		a.keep(a.compare(greater, at[1].get(), a.zero()), one, x)
		at[0].put(x)
	})
	a.ret()
}

func emitSigmoid(a *assembler) {
	a.begin()
	a.each(func(at []span, _ *mask) {
		y := at[1].get()
		e, _ := a.expOfMinusSize(y)
		one, total := a.reg(), a.reg()
		a.VMOVUPS(a.number(1), one)
		a.add(e, one, total)
		a.pick(a.compare(greater, y, a.zero()), one, e, e)
		a.div(total, e, e)
		at[0].put(e)
	})
	a.ret()
}

func emitGradSigmoid(a *assembler) {
	a.begin()
	factor := a.scalar("s.factor")
	a.each(func(at []span, _ *mask) {
		y := at[1].get()
		x := a.slope(y)
		a.mul(at[2].get(), x, x)
		a.mul(factor, x, x)
		a.clearInfinite(x, y)
		at[0].put(x)
	})
	a.ret()
}

// slope returns σ(y)σ(−y).
func (a *assembler) slope(y reg.VecVirtual) reg.VecVirtual {
	e, _ := a.expOfMinusSize(y)
	total := a.reg()
	a.add(a.number(1), e, total)
	a.mul(total, total, total)
	a.div(total, e, e)
	return e
}

// clearInfinite sets x to 0 where y is infinite.
func (a *assembler) clearInfinite(x, y reg.VecVirtual) {
	size, infinity := a.reg(), a.reg()
	a.and(a.word(uint64(1)<<(a.bits()-1)-1), y, size)
	a.VMOVUPS(a.number(math.Inf(1)), infinity)
	a.keep(a.compare(notEqual, size, infinity), x, x)
}

// sigmoids returns σ(y) and σ(−y).
func (a *assembler) sigmoids(y reg.VecVirtual) (plus, minus reg.VecVirtual) {
	e, _ := a.expOfMinusSize(y)
	one, total, low, high := a.reg(), a.reg(), a.reg(), a.reg()
	a.VMOVUPS(a.number(1), one)
	a.add(e, one, total)
	a.div(total, e, low)
	a.div(total, one, high)
	positive := a.compare(greater, y, a.zero())
	plus, minus = a.reg(), a.reg()
	a.pick(positive, high, low, plus)
	a.pick(positive, low, high, minus)
	return plus, minus
}

func emitReinMaxSlope(a *assembler) {
	a.begin()
	a.each(func(at []span, _ *mask) {
		// Loaded anew in each step, because registers are scarce.
		side, y := at[1].get(), a.scalar("s.inverse")
		a.mul(side, y, y)
		plus, minus := a.sigmoids(y)
		a.fmadd213(minus, minus, plus) // σ(−y)·σ(y) + σ(−y)
		x := a.slope(side)
		a.sub(x, plus, x)
		a.mul(a.number(0.5), x, x)
		a.mul(at[2].get(), x, x)
		a.clearInfinite(x, side)
		at[0].put(x)
	})
	a.ret()
}

func emitGapSlope(a *assembler) {
	a.begin()
	inverse, gap := a.scalar("s.inverse"), a.scalar("s.gap")
	a.each(func(at []span, _ *mask) {
		side, y := at[1].get(), a.reg()
		a.max(gap, side, y)
		a.mul(inverse, y, y)
		x := a.slope(y)
		a.mul(at[2].get(), x, x)
		a.mul(inverse, x, x)
		a.clearInfinite(x, side)
		at[0].put(x)
	})
	a.ret()
}

func emitAddSlope(a *assembler) {
	a.prepare()
	a.begin()
	a.each(func(at []span, _ *mask) {
		x := at[1].get()
		a.add(at[2].get(), x, x)
		e, _ := a.expOfMinusSize(x)
		minus := a.minusLog1p(e)
		a.max(a.zero(), x, x)
		a.sub(minus, x, x) // softplus
		a.mul(a.scalar("s.inverse"), x, x)
		y := a.slope(x)
		a.add(at[0].get(), y, y)
		at[0].put(y)
	})
	a.ret()
}
