package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	matrix.implement("multiply", emitMultiply)
	matrix.implement("packRows", emitPackRows)
	matrix.implement("packColumns", emitPackColumns)
}

// tile returns the size of the largest tile, in rows and in registers per row. Its sums
// and a row of B leave one register for an element of A.
func (l level) micro() (rows, registers int) {
	switch {
	case l.wide:
		return 14, 2
	case l.double:
		return 4, 3
	}
	return 6, 2
}

// emitMultiply writes a loop for each size of tile, so that a small tile takes less time
// than a large one.
func emitMultiply(a *assembler) {
	a.begin()
	maxRows, maxRegisters := a.micro()
	sums := a.regs(maxRows * maxRegisters)
	for rows := maxRows; rows > 0; rows-- {
		next := fmt.Sprint("rows", rows-1)
		if rows > 1 {
			a.CMPQ(a.param("rows"), U32(rows))
			a.JB(LabelRef(next))
		}
		for registers := maxRegisters; registers > 0; registers-- {
			t := microTile{a, rows, registers, sums[:rows*registers]}
			if registers < maxRegisters {
				a.Label(t.label("tile"))
			}
			if registers > 1 {
				a.CMPQ(a.param("columns"), U32((registers-1)*a.lanes))
				a.JBE(LabelRef(fmt.Sprintf("tile%dx%d", rows, registers-1)))
			}
			t.sum()
			t.finish()
		}
		if rows > 1 {
			a.Label(next)
		}
	}
}

// A tile is a size of tile that there is a loop for.
type microTile struct {
	*assembler
	rows, registers int
	sums            []reg.VecVirtual
}

func (t microTile) label(name string) string {
	return fmt.Sprintf("%s%dx%d", name, t.rows, t.registers)
}

// sum adds up the products.
func (t microTile) sum() {
	for _, s := range t.sums {
		t.clear(s)
	}
	depth := t.GP64()
	t.MOVQ(t.field("s.depth"), depth)
	t.SHRQ(U8(1), depth)
	t.JZ(LabelRef(t.label("rest")))
	t.Label(t.label("loop"))
	t.steps(2)
	t.DECQ(depth)
	t.JNZ(LabelRef(t.label("loop")))
	t.Label(t.label("rest"))
	t.TESTQ(U32(1), t.field("s.depth"))
	t.JZ(LabelRef(t.label("summed")))
	t.steps(1)
	t.Label(t.label("summed"))
}

// steps adds n products to every sum.
func (t microTile) steps(n int) {
	x, y := t.param("a"), t.param("b")
	for step := range n {
		var b []reg.VecVirtual
		for j := range t.registers {
			b = append(b, t.load(nil, Mem{Base: y, Disp: (step*t.registers + j) * t.bytes}))
		}
		for i := range t.rows {
			element := t.broadcast(Mem{Base: x, Disp: (step*t.rows + i) * t.size()})
			for j := range t.registers {
				t.fmadd231(b[j], element, t.sums[i*t.registers+j])
			}
		}
	}
	t.ADDQ(U32(n*t.rows*t.size()), x)
	t.ADDQ(U32(n*t.registers*t.bytes), y)
}

// finish does the rest of multiplyGo with the sums.
func (t microTile) finish() {
	alpha := t.scalar("s.alpha")
	for _, s := range t.sums {
		t.mul(alpha, s, s)
	}
	left := t.GP64()
	t.MOVQ(t.param("columns"), left)
	t.SUBQ(U32((t.registers-1)*t.lanes), left)
	last := t.firstLanes(left)
	stride := t.GP64()
	t.MOVQ(t.field("s.stride"), stride)
	t.SHLQ(U8(shift(t.size())), stride)

	t.CMPQ(t.field("s.fresh"), U32(0))
	t.JNE(LabelRef(t.label("fresh")))
	beta := t.scalar("s.beta")
	t.eachRegister(stride, func(r int, at Mem, end bool) {
		t.fmadd231(t.load(maskIf(end, &last), at), beta, t.sums[r])
	})
	t.Label(t.label("fresh"))

	bias := t.GP64()
	t.MOVQ(t.field("s.bias"), bias)
	t.TESTQ(bias, bias)
	t.JZ(LabelRef(t.label("biased")))
	for j := range t.registers {
		b := t.load(maskIf(j == t.registers-1, &last), Mem{Base: bias, Disp: j * t.bytes})
		for i := range t.rows {
			s := t.sums[i*t.registers+j]
			t.add(b, s, s)
		}
	}
	t.Label(t.label("biased"))

	t.CMPQ(t.field("s.relu"), U32(0))
	t.JE(LabelRef(t.label("activated")))
	zero := t.zero()
	for _, s := range t.sums {
		t.max(s, zero, s) // s if it is NaN
		t.add(zero, s, s) // turns −0 into 0
	}
	t.Label(t.label("activated"))

	// A masked store takes many cycles on some processors with AVX2.
	if !t.wide {
		t.CMPQ(t.param("columns"), U32(t.registers*t.lanes))
		t.JNE(LabelRef(t.label("partial")))
		t.eachRegister(stride, func(r int, at Mem, _ bool) { t.store(nil, t.sums[r], at) })
		t.ret()
		t.Label(t.label("partial"))
	}
	t.eachRegister(stride, func(r int, at Mem, end bool) { t.store(maskIf(end, &last), t.sums[r], at) })
	t.ret()
}

// eachRegister calls f for each register of the tile in C. end is true for the last of
// a row.
func (t microTile) eachRegister(stride reg.GPVirtual, f func(r int, at Mem, end bool)) {
	row := t.GP64()
	t.MOVQ(t.param("c"), row)
	for i := range t.rows {
		for j := range t.registers {
			f(i*t.registers+j, Mem{Base: row, Disp: j * t.bytes}, j == t.registers-1)
		}
		if i < t.rows-1 {
			t.ADDQ(stride, row)
		}
	}
}

func maskIf(condition bool, m *mask) *mask {
	if condition {
		return m
	}
	return nil
}

// shift is the binary logarithm of a size.
func shift(size int) int {
	n := 0
	for ; size > 1; size /= 2 {
		n++
	}
	return n
}

// packUnroll is how many rows packRows copies at once. Each has a register that collects
// whether its elements are finite.
const packUnroll = 4

func emitPackRows(a *assembler) {
	a.begin()
	_, maxRegisters := a.micro()
	width, depth := a.param("width"), a.param("depth")
	from, to := a.param("ld"), a.param("stride")
	a.SHLQ(U8(shift(a.size())), from)
	a.SHLQ(U8(shift(a.size())), to)
	zero := a.zero()
	flags := a.regs(packUnroll)
	for _, f := range flags {
		a.clear(f)
	}
	for registers := maxRegisters; registers > 0; registers-- {
		label := func(name string) string { return fmt.Sprint(name, registers) }
		a.Label(label("registers"))
		if registers > 1 {
			a.CMPQ(width, U32((registers-1)*a.lanes))
			a.JBE(LabelRef(fmt.Sprint("registers", registers-1)))
		}
		left := a.GP64()
		a.MOVQ(width, left)
		a.SUBQ(U32((registers-1)*a.lanes), left)
		last := a.firstLanes(left)
		copyRow := func(flag reg.VecVirtual) {
			for j := range registers {
				v := a.load(maskIf(j == registers-1, &last), Mem{Base: a.param("src"), Disp: j * a.bytes})
				a.fmadd231(v, zero, flag) // NaN from now on if v is not finite
				a.store(nil, v, Mem{Base: a.param("dst"), Disp: j * a.bytes})
			}
			a.ADDQ(from, a.param("src"))
			a.ADDQ(to, a.param("dst"))
		}
		a.SUBQ(U32(packUnroll), depth)
		a.JB(LabelRef(label("rest")))
		a.Label(label("loop"))
		for _, f := range flags {
			copyRow(f)
		}
		a.SUBQ(U32(packUnroll), depth)
		a.JAE(LabelRef(label("loop")))
		a.Label(label("rest"))
		a.ADDQ(U32(packUnroll), depth)
		a.JZ(LabelRef("done"))
		a.Label(label("single"))
		copyRow(flags[0])
		a.DECQ(depth)
		a.JNZ(LabelRef(label("single")))
		if registers > 1 {
			a.JMP(LabelRef("done"))
		}
	}
	a.Label("done")
	for _, f := range flags[1:] {
		a.add(f, flags[0], flags[0])
	}
	a.returnBad(a.compare(unordered, flags[0], flags[0]))
}

func emitPackColumns(a *assembler) {
	a.begin()
	offsets, width, stride := a.param("offsets"), a.param("width"), a.param("stride")
	a.SHLQ(U8(shift(a.size())), stride)
	src, dst, left := a.GP64(), a.GP64(), a.GP64()

	a.Label("group")
	a.MOVQ(a.param("src"), src)
	a.MOVQ(a.param("dst"), dst)
	a.MOVQ(a.param("depth"), left)
	row := func(i int) Mem {
		offset := a.GP64()
		a.MOVQ(Mem{Base: offsets, Disp: 8 * i}, offset)
		return Mem{Base: src, Index: offset, Scale: uint8(a.size())}
	}
	put := func(_ int, v reg.VecVirtual) {
		a.VMOVUPS(v, Mem{Base: dst})
		a.ADDQ(stride, dst)
	}
	a.Label("loop")
	a.CMPQ(left, U32(a.lanes))
	a.JB(LabelRef("rest"))
	a.square(func(i int) reg.VecVirtual { return a.load(nil, row(i)) }, put)
	a.ADDQ(U32(a.bytes), src)
	a.SUBQ(U32(a.lanes), left)
	a.JMP(LabelRef("loop"))
	a.Label("rest")
	a.TESTQ(left, left)
	a.JZ(LabelRef("next"))
	some := a.firstLanes(left)
	a.square(func(i int) reg.VecVirtual { return a.load(&some, row(i)) }, put)
	a.Label("next")
	a.ADDQ(U32(8*a.lanes), offsets)
	a.ADDQ(U32(a.bytes), a.param("dst"))
	a.SUBQ(U32(a.lanes), width)
	a.JA(LabelRef("group"))
	a.ret()
}

// square transposes a square of as many registers as there are lanes, of either element
// type.
func (a *assembler) square(load func(i int) reg.VecVirtual, store func(i int, v reg.VecVirtual)) {
	if !a.double {
		a.transpose(load, store)
		return
	}
	var r, q [4]reg.VecVirtual
	for i := range r {
		r[i], q[i] = load(i), a.reg()
	}
	a.VUNPCKLPD(r[1], r[0], q[0])
	a.VUNPCKHPD(r[1], r[0], q[1])
	a.VUNPCKLPD(r[3], r[2], q[2])
	a.VUNPCKHPD(r[3], r[2], q[3])
	for i := range r {
		halves := 0x20 // the lower of both
		if i > 1 {
			halves = 0x31
		}
		out := a.reg()
		a.VPERM2F128(U8(halves), q[2+i%2], q[i%2], out)
		store(i, out)
	}
}
