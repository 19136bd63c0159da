package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Short rows lie side by side, one in each lane of a register, after as many rows as
// there are lanes have been transposed. A transposed array has the classes one after
// the other, and space to round their number up to a multiple of the lanes.

func init() {
	rows.implement("transpose", emitTranspose)
	rows.implement("untranspose", emitUntranspose)
}

func emitTranspose(a *assembler) {
	a.transposeBlocks("dst", "src", func(rows, columns, stride reg.GPVirtual, active *mask) {
		a.transpose(func(int) reg.VecVirtual {
			v := a.load(active, Mem{Base: rows})
			a.ADDQ(stride, rows)
			return v
		}, func(i int, v reg.VecVirtual) {
			a.VMOVUPS(v, Mem{Base: columns, Disp: i * a.bytes})
		})
	})
}

func emitUntranspose(a *assembler) {
	a.transposeBlocks("src", "dst", func(rows, columns, stride reg.GPVirtual, active *mask) {
		a.transpose(func(i int) reg.VecVirtual {
			return a.load(nil, Mem{Base: columns, Disp: i * a.bytes})
		}, func(i int, v reg.VecVirtual) {
			a.store(active, v, Mem{Base: rows})
			a.ADDQ(stride, rows)
		})
	})
}

// transposeBlocks runs block for as many classes at a time as there are lanes, and once
// more, with the mask of their lanes, for those left over.
func (a *assembler) transposeBlocks(transposed, plain string, block func(rows, columns, stride reg.GPVirtual, active *mask)) {
	columns, first, left := a.param(transposed), a.param(plain), a.param("classes")
	stride, rows := a.GP64(), a.GP64()
	a.MOVQ(left, stride)
	a.SHLQ(U8(2), stride)
	a.Label("whole")
	a.CMPQ(left, U32(a.lanes))
	a.JB(LabelRef("rest"))
	a.MOVQ(first, rows)
	block(rows, columns, stride, nil)
	a.ADDQ(U32(a.bytes), first)
	a.ADDQ(U32(a.bytes*a.lanes), columns)
	a.SUBQ(U32(a.lanes), left)
	a.JMP(LabelRef("whole"))
	a.Label("rest")
	a.TESTQ(left, left)
	a.JZ(LabelRef("done"))
	active := a.firstLanes(left)
	a.MOVQ(first, rows)
	block(rows, columns, stride, &active)
	a.Label("done")
	a.ret()
}

// transpose transposes a square of as many registers as there are lanes. It loads and
// stores them in order.
func (a *assembler) transpose(load func(i int) reg.VecVirtual, store func(i int, v reg.VecVirtual)) {
	var quads [4][4]reg.VecVirtual // of each four rows, word i of every 128 bits
	for g := range a.lanes / 4 {
		var r [4]reg.VecVirtual
		for i := range r {
			r[i] = load(4*g + i)
		}
		quads[g] = a.interleave(r)
	}
	out := make([]reg.VecVirtual, a.lanes)
	for i := range 4 {
		if a.wide {
			a.transpose128(quads, i, out)
			continue
		}
		out[i], out[4+i] = a.reg(), a.reg()
		a.VPERM2F128(U8(0x20), quads[1][i], quads[0][i], out[i])
		a.VPERM2F128(U8(0x31), quads[1][i], quads[0][i], out[4+i])
	}
	for i, v := range out {
		store(i, v)
	}
}

// interleave interleaves the words, then the pairs of words, of four rows: its row
// i holds word i of each in every 128 bits.
func (a *assembler) interleave(r [4]reg.VecVirtual) (q [4]reg.VecVirtual) {
	var t [4]reg.VecVirtual
	for i := range t {
		t[i], q[i] = a.reg(), a.reg()
	}
	a.VUNPCKLPS(r[1], r[0], t[0])
	a.VUNPCKHPS(r[1], r[0], t[1])
	a.VUNPCKLPS(r[3], r[2], t[2])
	a.VUNPCKHPS(r[3], r[2], t[3])
	a.VUNPCKLPD(t[2], t[0], q[0])
	a.VUNPCKHPD(t[2], t[0], q[1])
	a.VUNPCKLPD(t[3], t[1], q[2])
	a.VUNPCKHPD(t[3], t[1], q[3])
	return q
}

// transpose128 transposes the 4×4 parts of 128 bits of the quads' registers i.
func (a *assembler) transpose128(quads [4][4]reg.VecVirtual, i int, out []reg.VecVirtual) {
	const even, odd = 0x88, 0xDD // parts 0 and 2 of the first register, then of the second; parts 1 and 3
	x, y, z, w := a.reg(), a.reg(), a.reg(), a.reg()
	a.VSHUFF32X4(U8(even), quads[1][i], quads[0][i], x)
	a.VSHUFF32X4(U8(odd), quads[1][i], quads[0][i], y)
	a.VSHUFF32X4(U8(even), quads[3][i], quads[2][i], z)
	a.VSHUFF32X4(U8(odd), quads[3][i], quads[2][i], w)
	for part, from := range []struct {
		first, second reg.VecVirtual
		which         uint8
	}{{x, z, even}, {y, w, even}, {x, z, odd}, {y, w, odd}} {
		out[4*part+i] = a.reg()
		a.VSHUFF32X4(U8(from.which), from.second, from.first, out[4*part+i])
	}
}

// eachClass runs body for each class of transposed arrays, of which there is at least
// one.
func (a *assembler) eachClass(label string, arrays []reg.GPVirtual, body func(at []span)) {
	left := a.GP64()
	a.MOVQ(a.param("classes"), left)
	var spans []span
	for _, array := range arrays {
		p := a.GP64()
		a.MOVQ(array, p)
		spans = append(spans, span{a, p, nil})
	}
	a.Label(label)
	body(spans)
	for _, s := range spans {
		a.ADDQ(U32(a.bytes), s.base)
	}
	a.DECQ(left)
	a.JNZ(LabelRef(label))
}
