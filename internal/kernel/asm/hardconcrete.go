package main

import "github.com/mmcloughlin/avo/reg"

func init() {
	elementwise.implement("gate", emitGate)
	elementwise.implement("gradGate", emitGradGate)
	elementwise.implement("shifted", emitShifted)
}

func emitGate(a *assembler) {
	a.begin()
	a.each(func(at []span, _ *mask) {
		z, _ := a.stretch(at[1].get())
		a.max(a.zero(), z, z)
		a.min(a.number(1), z, z)
		at[0].put(z)
	})
	a.ret()
}

// stretch returns σ(y) stretched, before it is clamped, and q = σ(−|y|). It loads the
// scalars anew in each step, because registers are scarce.
func (a *assembler) stretch(y reg.VecVirtual) (z, q reg.VecVirtual) {
	e, _ := a.expOfMinusSize(y)
	q = a.reg()
	a.add(a.number(1), e, q)
	a.div(q, e, q)
	width := a.scalar("s.width")
	low, high := a.scalar("s.gamma"), a.scalar("s.zeta")
	a.fmadd231(width, q, low)
	a.fnmadd231(width, q, high)
	a.pick(a.compare(greater, y, a.zero()), high, low, low)
	return low, q
}

func emitGradGate(a *assembler) {
	a.begin()
	a.each(func(at []span, _ *mask) {
		z, q := a.stretch(at[1].get())
		slope := a.reg()
		a.VMOVAPS(q, slope)
		a.fnmadd231(q, q, slope) // q − q²
		a.mul(a.scalar("s.width"), slope, slope)
		a.mul(at[2].get(), slope, slope)
		a.mul(a.scalar("s.inverse"), slope, slope)
		between := a.compare(greater, z, a.zero())
		a.andMask(a.compare(less, z, a.number(1)), between)
		a.keep(between, slope, slope)
		at[0].put(slope)
	})
	a.ret()
}

func emitShifted(a *assembler) {
	a.begin()
	high, low, most, bad := a.scalar("s.high"), a.scalar("s.low"), a.scalar("s.most"), a.noLanes()
	lowest := a.zero()
	a.sub(most, lowest, lowest)
	a.each(func(at []span, _ *mask) {
		x := at[1].get()
		a.notFinite(x, bad)
		a.sub(high, x, x)
		a.sub(low, x, x)
		a.max(lowest, x, x)
		a.min(most, x, x)
		at[0].put(x)
	})
	a.returnBad(bad)
}
