package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	elementwise.implement("addTo", emitAddTo)
}

// emitAddTo adds whole registers. Lanes beyond the end are loaded as zeros.
func emitAddTo(a *assembler) {
	a.begin()
	sums := a.param("sums")
	add := func(x reg.VecVirtual) {
		a.VADDPD(Mem{Base: sums}, x, x)
		a.VMOVUPD(x, Mem{Base: sums})
		a.ADDQ(U32(a.bytes), sums)
	}
	a.each(func(at []span, _ *mask) {
		x := at[0].get()
		if a.double {
			add(x)
			return
		}
		lower, upper := a.widen(x)
		add(lower)
		add(upper)
	})
	a.ret()
}
