package main

import (
	"math/bits"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	rows.implement("concretePeak", emitConcretePeak)
	rows.implement("concreteExp", emitConcreteExp)
	rows.implement("slopesOf", emitSlopesOf)
	rows.implement("concreteColumns", emitConcreteColumns)
	rows.implement("slopeColumns", emitSlopeColumns)
	rows.implement("scaleRows", emitScaleRows)
}

// raise raises top to logit − tau·value, unless that is NaN. It changes the logit.
func (a *assembler) raise(top, logit, value, tau reg.VecVirtual) {
	a.fnmadd231(tau, value, logit)
	a.max(top, logit, top)
}

// addNotFinite adds the lanes to bad where x or y is not finite.
func (a *assembler) addNotFinite(x, y reg.VecVirtual, bad mask) {
	sum := a.reg()
	a.add(x, y, sum)
	a.notFinite(sum, bad)
}

func emitConcretePeak(a *assembler) {
	a.begin()
	tau, top, none, bad := a.broadcast(a.address("tau")), a.reg(), a.reg(), a.noLanes()
	a.VMOVUPS(a.number(minusInfinity), none)
	a.VMOVAPS(none, top)
	a.each(func(at []span, rest *mask) {
		logit, value := at[0].get(), at[1].get()
		a.addNotFinite(logit, value, bad)
		if rest != nil {
			a.pick(*rest, logit, none, logit)
		}
		a.raise(top, logit, value, tau)
	})
	a.VMOVUPS(top, Mem{Base: a.param("tops")})
	a.returnBad(bad)
}

// weigh returns logit − tau·value − top and its exponential, both 0 where the logit is
// -Inf. The product and the first difference are exact, in two parts each.
func (a *assembler) weigh(logit, value, tau, top reg.VecVirtual) (below, e reg.VecVirtual) {
	product, zero := a.reg(), a.zero()
	a.mul(tau, value, product)
	a.fmsub213(product, tau, value) // what the product has lost
	a.sub(product, zero, product)
	below = a.reg()
	a.add(product, logit, below)
	low := a.lost(logit, product, below)
	a.sub(value, low, low)
	a.sub(top, below, below)
	a.add(low, below, below)
	e = a.exp(below)
	a.clearMasked(below, logit)
	return below, e
}

func emitConcreteExp(a *assembler) {
	a.begin()
	tau, top := a.scalar("s.tau"), a.scalar("s.top")
	total, sum := a.newSum(), a.newSum()
	a.each(func(at []span, rest *mask) {
		below, e := a.weigh(at[1].get(), at[2].get(), tau, top)
		if rest != nil {
			a.keep(*rest, below, below)
			a.keep(*rest, e, e)
		}
		at[0].put(e)
		total.add(e)
		sum.add(below)
	})
	total.storeAt(a.field("sums.total"))
	sum.storeAt(a.field("sums.below"))
	a.ret()
}

// putSlope replaces e by one − share·e, 0 where masked.
func (a *assembler) putSlope(e span, logit, one, share reg.VecVirtual) {
	x := a.reg()
	a.VMOVAPS(one, x)
	a.fnmadd231(share, e.get(), x)
	a.clearMasked(x, logit)
	e.put(x)
}

func emitSlopesOf(a *assembler) {
	a.begin()
	share, one := a.broadcast(a.address("share")), a.reg()
	a.VMOVUPS(a.number(1), one)
	a.each(func(at []span, _ *mask) { a.putSlope(at[0], at[1].get(), one, share) })
	a.ret()
}

// emitConcreteColumns makes two passes over the classes: it finds the peaks, and takes the
// exponentials.
func emitConcreteColumns(a *assembler) {
	a.prepare()
	dst, logits, value := a.param("dst"), a.param("logits"), a.param("value")
	for _, name := range []string{"classes", "s", "found"} {
		a.param(name)
	}
	tau, top, missing := a.scalar("s.tau"), a.reg(), a.noLanes()
	a.VMOVUPS(a.number(minusInfinity), top)
	a.eachClass("peak", []reg.GPVirtual{logits, value}, func(at []span) {
		logit, value := at[0].get(), at[1].get()
		a.addNotFinite(logit, value, missing)
		a.raise(top, logit, value, tau)
	})
	a.VMOVUPS(top, a.field("found.top"))
	total, sum := a.newSum(), a.newSum()
	a.eachClass("exponentials", []reg.GPVirtual{dst, logits, value}, func(at []span) {
		below, e := a.weigh(at[1].get(), at[2].get(), tau, top)
		at[0].put(e)
		total.add(e)
		sum.add(below)
	})
	total.storeAt(a.field("found.total"))
	sum.storeAt(a.field("found.below"))
	a.and(a.word(1<<31-1), top, top)
	a.orMask(a.compare(greaterOrEqual, top, a.f32(maxPeak32)), missing)
	classes, e, share := a.scalar("s.classes"), a.narrow(total.lower, total.upper), a.reg()
	a.VDIVPS(e, classes, share)
	a.VMOVUPS(share, a.field("found.share"))
	log := a.narrow(sum.lower, sum.upper)
	a.VFMADD231PS(classes, a.minusLogOf(e), log)
	a.VADDPS(a.scalar("s.constant"), log, log)
	a.notFinite(log, missing)
	a.VMOVUPS(log, a.field("found.log"))
	a.storeMask(missing, a.field("found.missing"))
	a.ret()
}

// maxPeak32 is that of package kernel.
const maxPeak32 = 1 << 20

func emitSlopeColumns(a *assembler) {
	dst, logits, one, share := a.param("dst"), a.param("logits"), a.reg(), a.reg()
	a.VMOVUPS(a.f32(1), one)
	a.VMOVUPS(Mem{Base: a.param("share")}, share)
	a.eachClass("slopes", []reg.GPVirtual{dst, logits}, func(at []span) { a.putSlope(at[0], at[1].get(), one, share) })
	a.ret()
}

// emitScaleRows has the rows one after the other in memory, not transposed.
func emitScaleRows(a *assembler) {
	dst, x, by, rows := a.param("dst"), a.param("x"), a.param("by"), a.param("rows")
	left, rest, size, factor := a.GP64(), a.GP64(), a.GP64(), a.broadcast(a.address("factor"))
	a.MOVQ(a.param("classes"), rest)
	a.ANDQ(U32(a.lanes-1), rest)
	a.MOVQ(rest, size)
	a.SHLQ(U8(bits.TrailingZeros(uint(a.size()))), size)
	a.MOVQ(rest, left)
	last := a.firstLanes(left)
	scale := func(m *mask, number reg.VecVirtual) {
		v := a.load(m, Mem{Base: x})
		a.mul(number, v, v)
		a.store(m, v, Mem{Base: dst})
	}
	a.Label("row")
	a.TESTQ(rows, rows)
	a.JZ(LabelRef("done"))
	number := a.broadcast(Mem{Base: by})
	a.mul(factor, number, number)
	a.ADDQ(U32(a.size()), by)
	a.MOVQ(a.param("classes"), left)
	a.Label("whole")
	a.SUBQ(U32(a.lanes), left)
	a.JB(LabelRef("rest"))
	scale(nil, number)
	a.ADDQ(U32(a.bytes), x)
	a.ADDQ(U32(a.bytes), dst)
	a.JMP(LabelRef("whole"))
	a.Label("rest")
	a.TESTQ(rest, rest)
	a.JZ(LabelRef("next"))
	scale(&last, number)
	a.ADDQ(size, x)
	a.ADDQ(size, dst)
	a.Label("next")
	a.DECQ(rows)
	a.JMP(LabelRef("row"))
	a.Label("done")
	a.ret()
}
