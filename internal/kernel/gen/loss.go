package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// expOf returns e^x for x ≤ 0: see exp32 in exp.go.
func (l level) expOf(x reg.VecVirtual) reg.VecVirtual {
	n, r := l.reg(), l.reg()
	VMULPS(f32(1.44269504088896341), x, n)
	l.round(n)
	VMOVAPS(x, r)
	VFNMADD231PS(f32(0.693359375), n, r)
	VFNMADD231PS(f32(-2.12194440e-4), n, r)
	y := l.expPolynomial(r, n)
	l.keep(l.compare(greaterOrEqual, x, f32(-104)), y, y)
	return y
}

// notFinite adds the lanes where x is NaN or infinite to bad.
func (l level) notFinite(x reg.VecVirtual, bad mask) {
	d := l.reg()
	VSUBPS(x, x, d)
	l.orMask(l.compare(unordered, d, d), bad)
}

// bces generates
//
//	func bce32LEVEL(dst, logits, targets *float32, n int) (bad uint32)
//
// the binary cross-entropy: see BCE in bce.go. bad is not 0 where a logit or
// a target is not finite.
func bces(l level) {
	TEXT("bce32"+l.suffix, NOSPLIT, "func(dst, logits, targets *float32, n int) (bad uint32)")
	Pragma("noescape")
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
		VSUBPS(f32(1), e, f)
		VMULPS(f32(0.5), f, f)
		VMOVUPS(f32(1), k)
		small := l.compare(less, e, f32(0.41421356237))
		l.pick(small, e, f, f)
		l.pick(small, zero, k, k)
		y := l.log32(f, k)
		l.chosen(x, z)
		VMULPS(size, z, z)
		VADDPS(z, y, y)
		a[0].put(y)
	})
	l.returnBad(bad)
}

// expOfMinusSize returns e^−|x| and |x|.
func (l level) expOfMinusSize(x reg.VecVirtual) (e, size reg.VecVirtual) {
	minus := l.reg()
	size = l.reg()
	l.and(u32(1<<31-1), x, size)
	l.or(u32(1<<31), x, minus)
	return l.expOf(minus), size
}

// chosen replaces z by 1 − z where x is over 0.
func (l level) chosen(x, z reg.VecVirtual) {
	rest, zero := l.reg(), l.reg()
	l.zero(zero)
	VMOVUPS(f32(1), rest)
	VSUBPS(z, rest, rest)
	l.pick(l.compare(greater, x, zero), rest, z, z)
}

func (l level) returnBad(bad mask) {
	bits := GP32()
	if l.wide {
		KMOVW(bad.k, bits)
	} else {
		VMOVMSKPS(bad.v, bits)
	}
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
	TEXT("bceGrad32"+l.suffix, NOSPLIT, "func(dst, logits, targets, grad *float32, n int) (bad uint32)")
	Pragma("noescape")
	dst, logits, targets, grad, n := param("dst"), param("logits"), param("targets"), param("grad"), param("n")
	bad := l.noMask()
	l.along("bceGrad", n, []reg.Register{dst, logits, targets, grad}, func(a []span, _ *mask) {
		x, z := a[1].get(), a[2].get()
		l.notFinite(x, bad)
		l.notFinite(z, bad)
		e, _ := l.expOfMinusSize(x)
		q := l.reg()
		VADDPS(f32(1), e, q)
		VDIVPS(q, e, q)
		l.chosen(x, z)
		// q − z, or where x is over 0 its negative, (1 − z) − q.
		VSUBPS(z, q, q)
		positive, flip, zero := l.compare(greater, x, l.zeroed()), l.reg(), l.reg()
		l.zero(zero)
		VSUBPS(q, zero, flip)
		l.pick(positive, flip, q, q)
		VMULPS(a[3].get(), q, q)
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
	TEXT("klDot32"+l.suffix, NOSPLIT, "func(e, q, p *float32, n int, at *[6]float32, sum *[16]float64) (bad uint32)")
	Pragma("noescape")
	e, q, p, n, at := param("e"), param("q"), param("p"), param("n"), param("at")
	topQ, topP := l.broadcast(Mem{Base: at, Disp: scalarTop}), l.broadcast(Mem{Base: at, Disp: scalarLow})
	total, bad := l.newSums(), l.noMask()
	l.along("klDot", n, []reg.Register{e, q, p}, func(a []span, _ *mask) {
		y, x, z := a[0].get(), a[1].get(), a[2].get()
		none := l.reg()
		VMOVUPS(minusInf(), none)
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
	VSUBPS(topQ, q, d)
	VSUBPS(topP, p, t)
	VSUBPS(t, d, d)
	l.keep(l.compare(notEqual, y, l.zeroed()), d, d)
	return d
}

// klGrads generates
//
//	func klGrad32LEVEL(dst, e, q, p *float32, n int, at *[6]float32)
//
// e·hi·(difference − mean), where difference is that of klDot32.
func klGrads(l level) {
	TEXT("klGrad32"+l.suffix, NOSPLIT, "func(dst, e, q, p *float32, n int, at *[6]float32)")
	Pragma("noescape")
	dst, e, q, p, n, at := param("dst"), param("e"), param("q"), param("p"), param("n"), param("at")
	topQ, topP := l.broadcast(Mem{Base: at, Disp: scalarTop}), l.broadcast(Mem{Base: at, Disp: scalarLow})
	by, mean, rest := l.broadcast(Mem{Base: at, Disp: scalarHi}), l.broadcast(Mem{Base: at, Disp: scalarMean}), l.broadcast(Mem{Base: at, Disp: scalarRest})
	l.along("klGrad", n, []reg.Register{dst, e, q, p}, func(a []span, _ *mask) {
		y := a[1].get()
		d := l.difference(y, a[2].get(), a[3].get(), topQ, topP)
		x := l.centred(y, d, mean, rest)
		VMULPS(by, x, x)
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
	TEXT("weigh32"+l.suffix, NOSPLIT, "func(dst, a, b *float32, n int, at *[6]float32)")
	Pragma("noescape")
	dst, x, y, n, at := param("dst"), param("a"), param("b"), param("n"), param("at")
	hi, lo := l.broadcast(Mem{Base: at, Disp: scalarHi}), l.broadcast(Mem{Base: at, Disp: scalarLo})
	l.along("weigh", n, []reg.Register{dst, x, y}, func(a []span, _ *mask) {
		p, q := a[1].get(), a[2].get()
		VMULPS(hi, p, p)
		VFNMADD231PS(lo, q, p)
		a[0].put(p)
	})
	VZEROUPPER()
	RET()
}
