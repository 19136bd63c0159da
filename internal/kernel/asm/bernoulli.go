package main

import (
	"math"

	"github.com/mmcloughlin/avo/reg"
)

func init() {
	elementwise.implement("tempered", emitTempered)
	elementwise.implement("sigmoid", emitSigmoid)
	elementwise.implement("gradSigmoid", emitGradSigmoid)
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
		e, size := a.expOfMinusSize(at[1].get())
		total := a.reg()
		a.add(a.number(1), e, total)
		a.mul(total, total, total)
		a.div(total, e, e)
		a.mul(at[2].get(), e, e)
		a.mul(factor, e, e)
		a.keep(a.compare(notEqual, size, a.infinity()), e, e)
		at[0].put(e)
	})
	a.ret()
}

func (a *assembler) infinity() reg.VecVirtual {
	x := a.reg()
	a.VMOVUPS(a.number(math.Inf(1)), x)
	return x
}
