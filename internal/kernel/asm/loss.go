package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

// expOf returns e^x for x ≤ 0: see exp32 in exp.go.
func (l level) expOf(x reg.VecVirtual) reg.VecVirtual {
	n, r := l.exponent(x), l.reg()
	hi, lo := l.log2()
	VMOVAPS(x, r)
	l.fnmadd231(hi, n, r)
	l.fnmadd231(lo, n, r)
	y := l.expPolynomial(r, n)
	l.keep(l.compare(greaterOrEqual, x, l.underflow()), y, y)
	return y
}

// notFinite adds the lanes where x is NaN or infinite to bad.
func (l level) notFinite(x reg.VecVirtual, bad mask) {
	d := l.reg()
	l.sub(x, x, d)
	l.orMask(l.compare(unordered, d, d), bad)
}

// bces generates
//
//	func bce32LEVEL(dst, logits, targets *float32, n int) (bad uint32)
//
// the binary cross-entropy: see BCE in bce.go. bad is not 0 where a logit or
// a target is not finite.
func bces(l level) {
	l.text("bce", "func(dst, logits, targets *T, n int) (bad uint32)")
	l.prepare()
	dst, logits, targets, n := param("dst"), param("logits"), param("targets"), param("n")
	bad := l.noMask()
	l.along("bce", n, []reg.Register{dst, logits, targets}, func(a []span, _ *mask) {
		x, z := a[1].get(), a[2].get()
		l.notFinite(x, bad)
		l.notFinite(z, bad)
		e, size := l.expOfMinusSize(x)
		// log(1+e) is log(2^k·(1+f)), where 1 + e is never rounded.
		f, k, zero := l.reg(), l.reg(), l.reg()
		l.zero(zero)
		l.sub(l.number(1), e, f)
		l.mul(l.number(0.5), f, f)
		VMOVUPS(l.number(1), k)
		small := l.compare(less, e, l.number(l.seamOfLog()))
		l.pick(small, e, f, f)
		l.pick(small, zero, k, k)
		minus := l.minusLog(f, k)
		l.chosen(x, z)
		l.mul(size, z, z)
		l.sub(minus, z, z)
		a[0].put(z)
	})
	l.returnBad(bad)
}

// seamOfLog is the number up to which minusLog takes f as it is.
func (l level) seamOfLog() float64 {
	if l.double {
		return math.Sqrt2 - 1
	}
	return 0.5
}

// expOfMinusSize returns e^−|x| and |x|.
func (l level) expOfMinusSize(x reg.VecVirtual) (e, size reg.VecVirtual) {
	minus := l.reg()
	size = l.reg()
	l.and(l.word(1<<(8*l.size()-1)-1), x, size)
	l.or(l.word(1<<(8*l.size()-1)), x, minus)
	return l.expOf(minus), size
}

// chosen replaces z by 1 − z where x is over 0.
func (l level) chosen(x, z reg.VecVirtual) {
	rest, zero := l.reg(), l.reg()
	l.zero(zero)
	VMOVUPS(l.number(1), rest)
	l.sub(z, rest, rest)
	l.pick(l.compare(greater, x, zero), rest, z, z)
}

func (l level) returnBad(bad mask) {
	bits := l.maskBits(bad)
	VZEROUPPER()
	Store(bits, Return("bad"))
	RET()
}

// bceGrads generates
//
//	func bceGrad32LEVEL(dst, logits, targets, grad *float32, n int) (bad uint32)
//
// grad·(sigmoid(logit) − target): see GradBCELogits in bce.go.
func bceGrads(l level) {
	l.text("bceGrad", "func(dst, logits, targets, grad *T, n int) (bad uint32)")
	dst, logits, targets, grad, n := param("dst"), param("logits"), param("targets"), param("grad"), param("n")
	bad := l.noMask()
	l.along("bceGrad", n, []reg.Register{dst, logits, targets, grad}, func(a []span, _ *mask) {
		x, z := a[1].get(), a[2].get()
		l.notFinite(x, bad)
		l.notFinite(z, bad)
		e, _ := l.expOfMinusSize(x)
		q := l.reg()
		l.add(l.number(1), e, q)
		l.div(q, e, q)
		l.chosen(x, z)
		// q − z, or where x is over 0 its negative, (1 − z) − q.
		l.sub(z, q, q)
		positive, flip, zero := l.compare(greater, x, l.zeroed()), l.reg(), l.reg()
		l.zero(zero)
		l.sub(q, zero, flip)
		l.pick(positive, flip, q, q)
		l.mul(a[3].get(), q, q)
		a[0].put(q)
	})
	l.returnBad(bad)
}

func (l level) zeroed() reg.VecVirtual {
	zero := l.reg()
	l.zero(zero)
	return zero
}

// klDots generates
//
//	func klDot32LEVEL(e, q, p *float32, n int, at *[6]float32, sum *[16]float64) (bad uint32)
//
// the sums of lanes of e·((q − top) − (p − low)) where e is not 0; top and low
// of at are the maxima of q and p. bad is not 0 where p is -Inf and q is not.
func klDots(l level) {
	l.text("klDot", "func(e, q, p *T, n int, at *[6]T, sum *[16]float64) (bad uint32)")
	e, q, p, n, at := param("e"), param("q"), param("p"), param("n"), param("at")
	topQ, topP := l.broadcast(l.item(at, scalarTop)), l.broadcast(l.item(at, scalarLow))
	total, bad := l.newSums(), l.noMask()
	l.along("klDot", n, []reg.Register{e, q, p}, func(a []span, _ *mask) {
		y, x, z := a[0].get(), a[1].get(), a[2].get()
		none := l.reg()
		VMOVUPS(l.number(math.Inf(-1)), none)
		masked := l.compare(equal, z, none)
		l.andMask(l.compare(notEqual, x, none), masked)
		l.orMask(masked, bad)
		d := l.difference(y, x, z, topQ, topP)
		total.addProduct(y, d)
	})
	total.store(param("sum"))
	l.returnBad(bad)
}

// difference returns (q − topQ) − (p − topP), 0 where y is 0.
func (l level) difference(y, q, p, topQ, topP reg.VecVirtual) reg.VecVirtual {
	d, t := l.reg(), l.reg()
	l.sub(topQ, q, d)
	l.sub(topP, p, t)
	l.sub(t, d, d)
	l.keep(l.compare(notEqual, y, l.zeroed()), d, d)
	return d
}

// klGrads generates
//
//	func klGrad32LEVEL(dst, e, q, p *float32, n int, at *[6]float32)
//
// e·hi·(difference − mean), where difference is that of klDot32.
func klGrads(l level) {
	l.text("klGrad", "func(dst, e, q, p *T, n int, at *[6]T)")
	dst, e, q, p, n, at := param("dst"), param("e"), param("q"), param("p"), param("n"), param("at")
	topQ, topP := l.broadcast(l.item(at, scalarTop)), l.broadcast(l.item(at, scalarLow))
	by, mean, rest := l.broadcast(l.item(at, scalarHi)), l.broadcast(l.item(at, scalarMean)), l.broadcast(l.item(at, scalarRest))
	l.along("klGrad", n, []reg.Register{dst, e, q, p}, func(a []span, _ *mask) {
		y := a[1].get()
		d := l.difference(y, a[2].get(), a[3].get(), topQ, topP)
		x := l.centred(y, d, mean, rest)
		l.mul(by, x, x)
		a[0].put(x)
	})
	VZEROUPPER()
	RET()
}

// weighs generates
//
//	func weigh32LEVEL(dst, a, b *float32, n int, at *[6]float32)
//
// a·hi − b·lo.
func weighs(l level) {
	l.text("weigh", "func(dst, a, b *T, n int, at *[6]T)")
	dst, x, y, n, at := param("dst"), param("a"), param("b"), param("n"), param("at")
	hi, lo := l.broadcast(l.item(at, scalarHi)), l.broadcast(l.item(at, scalarLo))
	l.along("weigh", n, []reg.Register{dst, x, y}, func(a []span, _ *mask) {
		p, q := a[1].get(), a[2].get()
		l.mul(hi, p, p)
		l.fnmadd231(lo, q, p)
		a[0].put(p)
	})
	VZEROUPPER()
	RET()
}
