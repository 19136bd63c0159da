package main

import . "github.com/mmcloughlin/avo/operand"

func init() {
	rows.implement("greatest", emitGreatest)
	rows.implement("exponentialSum", emitExponentialSum)
}

func emitGreatest(a *assembler) {
	a.begin()
	top, none, bad := a.reg(), a.reg(), a.noLanes()
	a.VMOVUPS(a.number(minusInfinity), none)
	a.VMOVAPS(none, top)
	a.each(func(at []span, rest *mask) {
		x := at[0].get()
		if rest != nil {
			a.pick(*rest, x, none, x)
		}
		a.orMask(a.compare(unordered, x, x), bad)
		a.max(x, top, top)
	})
	a.VMOVUPS(top, Mem{Base: a.param("tops")})
	a.returnBad(bad)
}

func emitExponentialSum(a *assembler) {
	a.begin()
	top, total := a.broadcast(a.address("top")), a.newSum()
	a.each(func(at []span, rest *mask) {
		x := at[1].get()
		a.sub(top, x, x)
		y := a.exp(x)
		if rest != nil {
			a.keep(*rest, y, y)
		}
		at[0].put(y)
		total.add(y)
	})
	total.store()
	a.ret()
}
