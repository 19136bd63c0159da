package main

import (
	"strings"

	. "github.com/mmcloughlin/avo/operand"
)

// On AVX-512, instructions read one word of a constant and broadcast it. Go's linker
// aligns data to 32 bytes at most, so that a whole register of 64 bytes would often lie in
// two cache lines, which takes twice as long to read.

func (a *assembler) VADDPS(ops ...Op) { a.broadcasts(a.Context.VADDPS, a.VADDPS_BCST, ops) }
func (a *assembler) VSUBPS(ops ...Op) { a.broadcasts(a.Context.VSUBPS, a.VSUBPS_BCST, ops) }
func (a *assembler) VMULPS(ops ...Op) { a.broadcasts(a.Context.VMULPS, a.VMULPS_BCST, ops) }
func (a *assembler) VDIVPS(ops ...Op) { a.broadcasts(a.Context.VDIVPS, a.VDIVPS_BCST, ops) }
func (a *assembler) VMINPS(ops ...Op) { a.broadcasts(a.Context.VMINPS, a.VMINPS_BCST, ops) }
func (a *assembler) VMAXPS(ops ...Op) { a.broadcasts(a.Context.VMAXPS, a.VMAXPS_BCST, ops) }
func (a *assembler) VCMPPS(ops ...Op) { a.broadcasts(a.Context.VCMPPS, a.VCMPPS_BCST, ops) }
func (a *assembler) VPADDD(ops ...Op) { a.broadcasts(a.Context.VPADDD, a.VPADDD_BCST, ops) }
func (a *assembler) VPSUBD(ops ...Op) { a.broadcasts(a.Context.VPSUBD, a.VPSUBD_BCST, ops) }
func (a *assembler) VPANDD(ops ...Op) { a.broadcasts(a.Context.VPANDD, a.VPANDD_BCST, ops) }
func (a *assembler) VPORD(ops ...Op)  { a.broadcasts(a.Context.VPORD, a.VPORD_BCST, ops) }
func (a *assembler) VPXORD(ops ...Op) { a.broadcasts(a.Context.VPXORD, a.VPXORD_BCST, ops) }
func (a *assembler) VMOVUPS(ops ...Op) {
	a.broadcasts(a.Context.VMOVUPS, a.VBROADCASTSS, ops)
}
func (a *assembler) VFMADD213PS(ops ...Op) {
	a.broadcasts(a.Context.VFMADD213PS, a.VFMADD213PS_BCST, ops)
}
func (a *assembler) VFMADD231PS(ops ...Op) {
	a.broadcasts(a.Context.VFMADD231PS, a.VFMADD231PS_BCST, ops)
}
func (a *assembler) VFNMADD231PS(ops ...Op) {
	a.broadcasts(a.Context.VFNMADD231PS, a.VFNMADD231PS_BCST, ops)
}
func (a *assembler) VFMSUB213PS(ops ...Op) {
	a.broadcasts(a.Context.VFMSUB213PS, a.VFMSUB213PS_BCST, ops)
}

// broadcasts writes an instruction, in the form that broadcasts if an operand is a
// constant of 32 bits.
func (a *assembler) broadcasts(plain, broadcast func(...Op), ops []Op) {
	for _, op := range ops {
		if m, ok := op.(Mem); ok && a.wide && strings.HasPrefix(m.Symbol.Name, "word") {
			broadcast(ops...)
			return
		}
	}
	plain(ops...)
}
