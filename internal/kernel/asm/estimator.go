package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/gumbel-go/gumbel/internal/coeff"
)

func init() {
	rows.implement("expDot", emitExpDot)
	rows.implement("softmaxColumns", emitSoftmaxColumns)
	rows.implement("gradPair", emitGradPair)
	rows.implement("reinMaxColumns", emitReinMaxColumns)
	rows.implement("limit", emitLimit)
	rows.implement("gapColumns", emitGapColumns)
	rows.implement("conditionalSoft", emitConditionalSoft)
	rows.implement("addGrad", emitAddGrad)
	rows.implement("raoColumns", emitRaoColumns)
}

func emitExpDot(a *assembler) {
	a.begin()
	p := peak{top: a.scalar("s.top"), rate: a.scalar("s.rate"), rateLow: a.scalar("s.rateLow")}
	total, product := a.newSum(), a.newSum()
	a.each(func(at []span, rest *mask) {
		x := at[1].get()
		a.sub(p.top, x, x)
		y := a.expOf(x, p)
		if rest != nil {
			a.keep(*rest, y, y)
		}
		at[0].put(y)
		total.add(y)
		product.addProduct(y, at[2].get())
	})
	total.storeAt(a.field("sums.total"))
	product.storeAt(a.field("sums.dot"))
	a.ret()
}

// expOf is expBelow for e = 0.
func (a *assembler) expOf(d reg.VecVirtual, p peak) reg.VecVirtual {
	if a.double {
		x, q, r := a.reg(), a.reg(), a.reg()
		a.mul(p.rate, d, x)
		n := a.exponent(x)
		hi, lo := a.ln2()
		a.mul(hi, n, q)
		a.VMOVAPS(d, r)
		a.fmsub213(q, p.rate, r) // fused, so the product is not rounded
		a.fmadd231(p.rateLow, d, r)
		a.fnmadd231(lo, n, r)
		y := a.expPolynomial(r, n)
		a.clearUnderflow(x, y)
		return y
	}
	x, n, y := a.reg(), a.reg(), a.reg()
	a.VMULPS(p.rateLow, d, x)
	a.VFMADD231PS(p.rate, d, x)
	a.VMOVAPS(x, n)
	a.round(n)
	a.VSUBPS(n, x, d)
	a.horner(y, d, coeff.Exp2)
	y = a.scale32(y, n)
	a.keep(a.compare(greaterOrEqual, x, a.f32(-151)), y, y)
	return y
}

// emitSoftmaxColumns makes three passes over the classes, as emitSampleColumns does.
func emitSoftmaxColumns(a *assembler) {
	dst, logits := a.param("dst"), a.param("logits")
	a.param("classes")
	p := peak{top: a.reg(), rate: a.scalar("s.rate"), rateLow: a.scalar("s.rateLow")}
	a.VMOVUPS(a.number(minusInfinity), p.top)
	a.eachClass("top", []reg.GPVirtual{logits}, func(at []span) { a.VMAXPS(at[0].get(), p.top, p.top) })
	total := a.newSum()
	a.eachClass("exponentials", []reg.GPVirtual{dst, logits}, func(at []span) {
		x := at[1].get()
		a.VSUBPS(p.top, x, x)
		y := a.expOf(x, p)
		at[0].put(y)
		total.add(y)
	})
	a.scaleColumns(dst, a.inverseOf(total))
	a.ret()
}

// scaleColumns multiplies transposed rows.
func (a *assembler) scaleColumns(array reg.GPVirtual, by reg.VecVirtual) {
	a.eachClass("scaling", []reg.GPVirtual{array}, func(at []span) {
		x := at[0].get()
		a.VMULPS(by, x, x)
		at[0].put(x)
	})
}

func emitGradPair(a *assembler) {
	a.begin()
	mean, meanLow, weight := a.scalar("s.mean"), a.scalar("s.meanLow"), a.scalar("s.weight")
	meanP, meanPLow, weightP := a.scalar("s.meanP"), a.scalar("s.meanPLow"), a.scalar("s.weightP")
	a.each(func(at []span, _ *mask) {
		g := at[3].get()
		x, y := a.centred(at[1].get(), g, mean, meanLow), a.centred(at[2].get(), g, meanP, meanPLow)
		a.mul(weight, x, x)
		a.fnmadd231(weightP, y, x)
		at[0].put(x)
	})
	a.ret()
}

func emitReinMaxColumns(a *assembler) {
	dst, soft, probs, grad := a.param("dst"), a.param("soft"), a.param("probs"), a.param("grad")
	a.param("classes")
	class := a.reg()
	a.VMOVUPS(Mem{Base: a.param("chosen")}, class)
	under, underP := a.newSum(), a.newSum()
	a.eachClassOf(class, "dot", []reg.GPVirtual{soft, probs, grad}, func(at []span, chosen func() mask) {
		// Loaded as late as possible, because registers are scarce.
		g := at[2].get()
		under.addProduct(at[0].get(), g)
		underP.addProduct(at[1].get(), g)
		a.keep(chosen(), g, g)
		under.add(g)
	})
	a.VMULPD(a.f64(0.5), under.lower, under.lower)
	a.VMULPD(a.f64(0.5), under.upper, under.upper)
	mean, meanLow := a.splitSum(under)
	meanP, meanPLow := a.splitSum(underP)
	a.eachClassOf(class, "gradient", []reg.GPVirtual{dst, soft, probs, grad}, func(at []span, chosen func() mask) {
		g := at[3].get()
		x, y := a.centred(at[1].get(), g, mean, meanLow), a.centred(at[2].get(), g, meanP, meanPLow)
		a.VFNMADD231PS(a.f32(0.5), y, x)
		a.VSUBPS(mean, g, g)
		a.VSUBPS(meanLow, g, g)
		a.keep(chosen(), g, g)
		a.VADDPS(g, x, x)
		at[0].put(x)
	})
	a.ret()
}

// splitSum returns a sum as two registers of float32 that add up to it. It changes the
// sum.
func (a *assembler) splitSum(s sum) (hi, lo reg.VecVirtual) {
	hi = a.narrow(s.lower, s.upper)
	lower, upper := a.widen(hi)
	a.VSUBPD(lower, s.lower, s.lower)
	a.VSUBPD(upper, s.upper, s.upper)
	return hi, a.narrow(s.lower, s.upper)
}

// eachClassOf is eachClass for a body that can also compute the mask of the lanes whose
// row has chosen the class.
func (a *assembler) eachClassOf(classes reg.VecVirtual, label string, arrays []reg.GPVirtual, body func(at []span, chosen func() mask)) {
	c := a.zero()
	a.eachClass(label, arrays, func(at []span) {
		body(at, func() mask { return a.equalWords(c, classes) })
		a.VPADDD(a.u32(1), c, c)
	})
}

func emitLimit(a *assembler) {
	a.begin()
	most, total := a.broadcast(a.address("most")), a.newSum()
	a.each(func(at []span, _ *mask) {
		x := at[0].get()
		a.min(most, x, x)
		at[0].put(x)
		total.add(x)
	})
	total.store()
	a.ret()
}

func emitGapColumns(a *assembler) {
	soft := a.param("soft")
	a.param("classes")
	top, most := a.zero(), a.reg()
	a.eachClass("top", []reg.GPVirtual{soft}, func(at []span) { a.VMAXPS(at[0].get(), top, top) })
	a.VMULPS(a.field("s.factor"), top, most)
	class, total := a.reg(), a.newSum()
	a.VMOVUPS(a.field("s.class"), class)
	a.eachClassOf(class, "limit", []reg.GPVirtual{soft}, func(at []span, chosen func() mask) {
		x := at[0].get()
		a.VMINPS(most, x, x)
		a.pick(chosen(), top, x, x)
		at[0].put(x)
		total.add(x)
	})
	a.scaleColumns(soft, a.inverseOf(total))
	a.ret()
}

// inverseOf returns 1/s in float32. It changes the sum.
func (a *assembler) inverseOf(s sum) reg.VecVirtual {
	one := a.reg()
	a.VMOVUPD(a.f64(1), one)
	a.VDIVPD(s.lower, one, s.lower)
	a.VDIVPD(s.upper, one, s.upper)
	return a.narrow(s.lower, s.upper)
}

func emitConditionalSoft(a *assembler) {
	a.prepare()
	a.begin()
	total := a.newSum()
	a.each(func(at []span, rest *mask) {
		// Loaded anew in each step, because registers are scarce.
		y := a.conditional(at[1], at[2], at[3].get(), a.scalar("s.e"), a.scalar("s.logE"), a.scalar("s.rate"))
		if rest != nil {
			a.keep(*rest, y, y)
		}
		at[0].put(y)
		total.add(y)
	})
	total.store()
	a.ret()
}

// conditional returns e^(rate·min(logProb + logE − log(noise + prob·e), 0)).
func (a *assembler) conditional(logProb, prob span, noise, e, logE, rate reg.VecVirtual) reg.VecVirtual {
	a.fmadd231(e, prob.get(), noise)
	phi := a.minusLogOf(noise)
	a.add(logE, phi, phi)
	a.add(logProb.get(), phi, phi)
	a.min(a.zero(), phi, phi)
	a.mul(rate, phi, phi)
	return a.exp(phi)
}

func emitAddGrad(a *assembler) {
	a.begin()
	mean, meanLow := a.scalar("s.mean"), a.scalar("s.meanLow")
	inverse := a.scalar("s.inverse")
	a.each(func(at []span, _ *mask) {
		x, sum := a.centred(at[1].get(), at[2].get(), mean, meanLow), at[0].get()
		a.fmadd231(inverse, x, sum)
		at[0].put(sum)
	})
	a.ret()
}

func emitRaoColumns(a *assembler) {
	a.prepare()
	dst, grad, soft := a.param("dst"), a.param("grad"), a.param("soft")
	logProbs, probs, noise := a.param("logProbs"), a.param("probs"), a.param("noise")
	for _, name := range []string{"classes", "s", "e"} {
		a.param(name)
	}
	e, copied := a.reg(), a.reg()
	a.VMOVUPS(Mem{Base: a.param("e")}, e)
	a.VMOVAPS(e, copied)
	minus, logE := a.minusLogOf(copied), a.zero()
	a.VSUBPS(minus, logE, logE)
	total, mean := a.newSum(), a.newSum()
	a.eachClass("samples", []reg.GPVirtual{logProbs, probs, noise, grad, soft}, func(at []span) {
		y := a.conditional(at[0], at[1], at[2].get(), e, logE, a.scalar("s.rate"))
		at[4].put(y)
		total.add(y)
		mean.addProduct(y, at[3].get())
	})
	a.VDIVPD(total.lower, mean.lower, mean.lower)
	a.VDIVPD(total.upper, mean.upper, mean.upper)
	hi, lo := a.splitSum(mean)
	weight := a.inverseOf(total)
	a.VMULPS(a.scalar("s.weight"), weight, weight)
	a.eachClass("gradient", []reg.GPVirtual{dst, soft, grad}, func(at []span) {
		x, sum := a.centred(at[1].get(), at[2].get(), hi, lo), at[0].get()
		a.VFMADD231PS(weight, x, sum)
		at[0].put(sum)
	})
	a.ret()
}
