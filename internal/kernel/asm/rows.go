package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Short rows go through a register's lanes side by side: as many rows as there
// are lanes are turned, so that a register holds one class of each, worked on,
// and turned back. A turned array has the classes one after the other, padded
// to a multiple of the lanes.

// turnIn generates
//
//	func turnIn32LEVEL(dst, src *float32, k int)
//
// which turns rows of k classes.
func turnIn(l level) {
	turn(l, "turnIn32", func(rows, columns reg.GPVirtual, stride reg.GPVirtual, active *mask) {
		l.turn(func(i int) reg.VecVirtual {
			v := l.load(active, Mem{Base: rows})
			ADDQ(stride, rows)
			return v
		}, func(i int, v reg.VecVirtual) {
			VMOVUPS(v, Mem{Base: columns, Disp: i * l.bytes})
		})
	}, "dst", "src")
}

// turnOut generates
//
//	func turnOut32LEVEL(dst, src *float32, k int)
//
// which turns them back.
func turnOut(l level) {
	turn(l, "turnOut32", func(rows, columns reg.GPVirtual, stride reg.GPVirtual, active *mask) {
		l.turn(func(i int) reg.VecVirtual {
			return l.load(nil, Mem{Base: columns, Disp: i * l.bytes})
		}, func(i int, v reg.VecVirtual) {
			l.store(active, v, Mem{Base: rows})
			ADDQ(stride, rows)
		})
	}, "src", "dst")
}

// turn loops over blocks of as many classes as there are lanes.
func turn(l level, name string, block func(rows, columns, stride reg.GPVirtual, active *mask), turned, plain string) {
	TEXT(name+l.suffix, NOSPLIT, "func(dst, src *float32, k int)")
	columns, first, left := param(turned), param(plain), param("k")
	stride, rows := GP64(), GP64()
	MOVQ(left, stride)
	SHLQ(U8(2), stride)
	whole, rest, done := name+"whole", name+"rest", name+"done"
	Label(whole)
	CMPQ(left, U32(l.lanes))
	JB(LabelRef(rest))
	MOVQ(first, rows)
	block(rows, columns, stride, nil)
	ADDQ(U32(l.bytes), first)
	ADDQ(U32(l.bytes*l.lanes), columns)
	SUBQ(U32(l.lanes), left)
	JMP(LabelRef(whole))
	Label(rest)
	TESTQ(left, left)
	JZ(LabelRef(done))
	active := l.firstLanes(left)
	MOVQ(first, rows)
	block(rows, columns, stride, &active)
	Label(done)
	VZEROUPPER()
	RET()
}

// turn transposes a square of lanes. It loads and stores in order.
func (l level) turn(load func(i int) reg.VecVirtual, store func(i int, v reg.VecVirtual)) {
	// quads interleaves the words, then the pairs of words, of four rows: its
	// row i holds word i of each in every 128 bits.
	quads := func(r [4]reg.VecVirtual) (q [4]reg.VecVirtual) {
		var t [4]reg.VecVirtual
		for i := range t {
			t[i], q[i] = l.reg(), l.reg()
		}
		VUNPCKLPS(r[1], r[0], t[0])
		VUNPCKHPS(r[1], r[0], t[1])
		VUNPCKLPS(r[3], r[2], t[2])
		VUNPCKHPS(r[3], r[2], t[3])
		VUNPCKLPD(t[2], t[0], q[0])
		VUNPCKHPD(t[2], t[0], q[1])
		VUNPCKLPD(t[3], t[1], q[2])
		VUNPCKHPD(t[3], t[1], q[3])
		return q
	}
	var q [4][4]reg.VecVirtual // of each four rows, word i of each 128 bits
	for g := range l.lanes / 4 {
		var r [4]reg.VecVirtual
		for i := range r {
			r[i] = load(4*g + i)
		}
		q[g] = quads(r)
	}
	out := make([]reg.VecVirtual, l.lanes)
	for i := range 4 {
		if !l.wide {
			out[i], out[4+i] = l.reg(), l.reg()
			VPERM2F128(U8(0x20), q[1][i], q[0][i], out[i])
			VPERM2F128(U8(0x31), q[1][i], q[0][i], out[4+i])
			continue
		}
		// 4×4 transposition of 128-bit parts.
		a, b, c, d := l.reg(), l.reg(), l.reg(), l.reg()
		VSHUFF32X4(U8(0x88), q[1][i], q[0][i], a) // 0 2 of the first, 0 2 of the second
		VSHUFF32X4(U8(0xDD), q[1][i], q[0][i], b) // 1 3
		VSHUFF32X4(U8(0x88), q[3][i], q[2][i], c)
		VSHUFF32X4(U8(0xDD), q[3][i], q[2][i], d)
		for part, x := range []struct {
			from [2]reg.VecVirtual
			how  uint8
		}{{[2]reg.VecVirtual{a, c}, 0x88}, {[2]reg.VecVirtual{b, d}, 0x88}, {[2]reg.VecVirtual{a, c}, 0xDD}, {[2]reg.VecVirtual{b, d}, 0xDD}} {
			out[4*part+i] = l.reg()
			VSHUFF32X4(U8(x.how), x.from[1], x.from[0], out[4*part+i])
		}
	}
	for i, v := range out {
		store(i, v)
	}
}

// columnLoop runs body for each of k classes of turned arrays.
func (l level) columnLoop(name string, k reg.GPVirtual, arrays []reg.GPVirtual, body func(at []span)) {
	left := GP64()
	MOVQ(k, left)
	var spans []span
	var at []reg.GPVirtual
	for _, a := range arrays {
		p := GP64()
		MOVQ(a, p)
		at = append(at, p)
		spans = append(spans, span{l, p, nil})
	}
	Label(name)
	body(spans)
	for _, p := range at {
		ADDQ(U32(l.bytes), p)
	}
	DECQ(left)
	JNZ(LabelRef(name))
}

// columns generates
//
//	func columns32LEVEL(soft, logits, noise *float32, k int, at *[6]float32, peaks *[32]float32, classes *[18]uint32)
//
// which finds the peak of each turned row, sums compared exactly, whether a
// sum of it is NaN, and, unless soft is nil, the soft sample. k is over 0.
func columns(l level) {
	l.text("columns", "func(soft, logits, noise *T, k int, at *[6]T, peaks *[32]T, classes *[18]W)")
	soft, logits, noise, k := param("soft"), param("logits"), param("noise"), param("k")
	from, peaks, classes := param("at"), param("peaks"), param("classes")
	at := scale{top: l.reg(), low: l.reg()}
	class, c, bad := l.reg(), l.reg(), l.noMask()
	VMOVUPS(l.number(math.Inf(-1)), at.top)
	l.zero(at.low)
	VMOVUPS(u32(^uint32(0)), class)
	l.zero(c)
	l.columnLoop("columnsPeak", k, []reg.GPVirtual{logits, noise}, func(a []span) {
		x, g, s := a[0].get(), a[1].get(), l.reg()
		VADDPS(g, x, s)
		e := l.lost(x, g, s)
		l.orMask(l.compare(unordered, s, s), bad)
		more, same, finer := l.compare(greater, s, at.top), l.compare(equal, s, at.top), l.compare(greater, e, at.low)
		l.andMask(same, finer)
		l.orMask(finer, more)
		l.pick(more, s, at.top, at.top)
		l.pick(more, e, at.low, at.low)
		l.pick(more, c, class, class)
		VPADDD(u32(1), c, c)
	})
	VMOVUPS(at.top, l.item(peaks, peaksSum))
	VMOVUPS(at.low, l.item(peaks, peaksLow))
	VMOVUPS(class, Mem{Base: classes})
	l.storeMask(bad, l.item(classes, classesBad))
	TESTQ(soft, soft)
	JZ(LabelRef("columnsDone"))
	at.hi, at.lo = l.broadcast(l.item(from, scalarHi)), l.broadcast(l.item(from, scalarLo))
	total := l.newSums()
	l.columnLoop("columnsExp", k, []reg.GPVirtual{soft, logits, noise}, func(a []span) {
		d, e := l.below(a[1].get(), a[2].get(), at)
		y := l.exp(d, e, at)
		a[0].put(y)
		total.add(y)
	})
	one := l.reg()
	VMOVUPD(f64(1), one)
	VDIVPD(total.a, one, total.a)
	VDIVPD(total.b, one, total.b)
	by := l.whole(total.a, total.b)
	l.columnLoop("columnsTimes", k, []reg.GPVirtual{soft}, func(a []span) {
		y := a[0].get()
		VMULPS(by, y, y)
		a[0].put(y)
	})
	Label("columnsDone")
	VZEROUPPER()
	RET()
}

// gradColumns generates
//
//	func gradColumns32LEVEL(dst, soft, grad *float32, k int, at *[6]float32)
//
// which sets dst to soft·(grad − mean)/tau for turned rows. k is over 0.
func gradColumns(l level) {
	l.text("gradColumns", "func(dst, soft, grad *T, k int, at *[6]T)")
	dst, soft, grad, k, from := param("dst"), param("soft"), param("grad"), param("k"), param("at")
	total := l.newSums()
	l.columnLoop("gradDot", k, []reg.GPVirtual{soft, grad}, func(a []span) {
		y, g, zero := a[0].get(), a[1].get(), l.reg()
		l.zero(zero)
		l.keep(l.compare(notEqual, y, zero), g, g)
		total.addProduct(y, g)
	})
	mean := l.whole(total.a, total.b)
	a, b := l.halves(mean)
	VSUBPD(a, total.a, total.a)
	VSUBPD(b, total.b, total.b)
	rest := l.whole(total.a, total.b)
	inverse := l.broadcast(l.item(from, scalarHi))
	l.columnLoop("gradRow", k, []reg.GPVirtual{dst, soft, grad}, func(a []span) {
		x := l.centred(a[1].get(), a[2].get(), mean, rest)
		VMULPS(inverse, x, x)
		a[0].put(x)
	})
	VZEROUPPER()
	RET()
}
