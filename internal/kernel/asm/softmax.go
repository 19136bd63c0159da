package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/gumbel-go/gumbel/internal/coeff"
)

// What the arrays that kernels share with their callers hold, and where. In
// classes, the lanes' classes come first. The comments below give float32's
// functions; float64's differ in the type and the name alone.
const (
	peaksSum = 0
	peaksLow = 16

	classesTie = 16
	classesBad = 17

	scalarTop  = 0
	scalarLow  = 1
	scalarHi   = 2 // a factor, in two parts
	scalarLo   = 3
	scalarMean = 4 // the mean gradient, in two parts
	scalarRest = 5
)

// param loads a parameter of the function begun.
func param(name string) reg.GPVirtual {
	r := GP64()
	Load(Param(name), r)
	return r
}

// lost returns (a + b) − sum: see lost in sample.go.
func (l level) lost(a, b, sum reg.VecVirtual) reg.VecVirtual {
	bb, t, e := l.reg(), l.reg(), l.reg()
	l.sub(a, sum, bb)
	l.sub(bb, sum, t)
	l.sub(t, a, e)
	l.sub(bb, b, t)
	l.add(t, e, e)
	return e
}

// peak generates
//
//	func peak32LEVEL(logits, noise *float32, n int, peaks *[32]float32, classes *[18]uint32)
//
// which finds each lane's greatest sum logit + noise along a row and its
// first class, whether another class of the lane has the same sum, and
// whether a sum is NaN.
func peak(l level) {
	l.text("peak", "func(logits, noise *T, n int, peaks *[32]T, classes *[18]W)")
	logits, noise, n, peaks, classes := param("logits"), param("noise"), param("n"), param("peaks"), param("classes")
	best, class, at := l.reg(), l.reg(), l.reg()
	VMOVUPS(l.number(math.Inf(-1)), best)
	VMOVUPS(u32(^uint32(0)), class)
	VMOVUPS(l.iota(), at)
	tie, bad := l.noMask(), l.noMask()
	l.along("peak", n, []reg.Register{logits, noise}, func(a []span, rest *mask) {
		s := a[0].get()
		l.add(a[1].get(), s, s)
		if rest != nil {
			none := l.reg()
			VMOVUPS(l.number(math.Inf(-1)), none)
			l.pick(*rest, s, none, s)
		}
		l.orMask(l.compare(unordered, s, s), bad)
		more, same := l.compare(greater, s, best), l.compare(equal, s, best)
		l.dropMask(more, tie)
		l.orMask(same, tie)
		l.pick(more, s, best, best)
		l.pick(more, at, class, class)
		l.addWords(l.word(uint64(l.lanes)), at, at)
	})
	VMOVUPS(best, l.item(peaks, peaksSum))
	VMOVUPS(class, Mem{Base: classes})
	l.storeMask(tie, l.item(classes, classesTie))
	l.storeMask(bad, l.item(classes, classesBad))
	VZEROUPPER()
	RET()
}

// scale holds what a row's exponentials need: its peak and 1/tau.
type scale struct{ top, low, hi, lo reg.VecVirtual }

// loadScale reads what is at from.
func (l level) loadScale(from reg.Register) scale {
	return scale{
		l.broadcast(l.item(from, scalarTop)), l.broadcast(l.item(from, scalarLow)),
		l.broadcast(l.item(from, scalarHi)), l.broadcast(l.item(from, scalarLo)),
	}
}

// below returns logit + noise − peak in two parts.
func (l level) below(logit, noise reg.VecVirtual, at scale) (d, e reg.VecVirtual) {
	s := l.reg()
	l.add(noise, logit, s)
	e = l.lost(logit, noise, s)
	l.sub(at.top, s, s)
	l.sub(at.low, e, e)
	return s, e
}

// exp returns e^((d+e)/tau) for d + e ≤ 0, and 0 where that is -Inf. For
// float32, hi and lo are log2(e)/tau and the power is one of 2; for float64,
// 1/tau.
func (l level) exp(d, e reg.VecVirtual, at scale) reg.VecVirtual {
	if !l.double {
		return l.exp2(d, e, at)
	}
	x, q, r := l.reg(), l.reg(), l.reg()
	l.mul(at.hi, d, x)
	l.fmadd231(at.hi, e, x)
	n := l.exponent(x)
	hi, lo := l.log2()
	l.mul(hi, n, q)
	VMOVAPS(d, r)
	l.fmsub213(q, at.hi, r) // the product is not rounded
	l.fmadd231(at.lo, d, r)
	l.fnmadd231(lo, n, r)
	l.fmadd231(at.hi, e, r)
	y := l.expPolynomial(r, n)
	l.keep(l.compare(greaterOrEqual, x, l.underflow()), y, y)
	return y
}

// exp2 returns 2^(d·(hi+lo) + e·hi). Its polynomial is a minimax one for 2^r
// with r in [-1/2, 1/2], made as those of noise.go, of relative error 1.1e-7.
func (l level) exp2(d, e reg.VecVirtual, at scale) reg.VecVirtual {
	x, n, r, y := l.reg(), l.reg(), l.reg(), l.reg()
	VMULPS(at.lo, d, r)
	VFMADD231PS(at.hi, d, r)
	VMOVAPS(r, x)
	VFMADD231PS(at.hi, e, x)
	VMOVAPS(x, n)
	l.round(n)
	VSUBPS(n, r, r)
	VFMADD231PS(at.hi, e, r) // once more, for x is rounded
	l.horner(y, r, coeff.Exp2)
	y = l.powerOf2(y, n)
	l.keep(l.compare(greaterOrEqual, x, f32(-151)), y, y)
	return y
}

// horner sets p to the polynomial of x with coefficients c, from degree 0 on.
func (l level) horner(p, x reg.VecVirtual, c []float64) {
	last := len(c) - 1
	VMOVUPS(l.number(c[last]), p)
	for i := last - 1; i >= 0; i-- {
		l.fmadd213(l.number(c[i]), x, p)
	}
}

func (l level) round(x reg.VecVirtual) {
	switch {
	case l.double:
		VROUNDPD(U8(0), x, x)
	case l.wide:
		VRNDSCALEPS(U8(0), x, x)
	default:
		VROUNDPS(U8(0), x, x)
	}
}

// exponent returns the n for which e^x is 2^n times a number near 1.
func (l level) exponent(x reg.VecVirtual) (n reg.VecVirtual) {
	n = l.reg()
	l.mul(l.number(math.Log2E), x, n)
	l.round(n)
	return n
}

// log2 is log 2 in two parts, the first of so few bits that its multiples are
// exact.
func (l level) log2() (hi, lo Mem) {
	if l.double {
		return f64(coeff.ExpLn2Hi), f64(coeff.ExpLn2Lo)
	}
	return f32(coeff.ExpfLn2Hi), f32(coeff.ExpfLn2Lo)
}

// underflow is a number under which e^x is 0.
func (l level) underflow() Mem {
	if l.double {
		return f64(-746)
	}
	return f32(-104)
}

// expPolynomial returns 2^n·e^r: see exp32 in exp.go for float32; for float64
// it is exp of the Cephes library (S. Moshier).
func (l level) expPolynomial(r, n reg.VecVirtual) reg.VecVirtual {
	if l.double {
		return l.scale64(l.expRational(r), n)
	}
	z, p := l.reg(), l.reg()
	VMULPS(r, r, z)
	l.horner(p, r, coeff.Expf)
	VFMADD213PS(r, z, p)
	VADDPS(f32(1), p, p)
	return l.powerOf2(p, n)
}

// powerOf2 returns p·2^n, of float32, denormals too.
func (l level) powerOf2(p, n reg.VecVirtual) reg.VecVirtual {
	if l.wide {
		VSCALEFPS(n, p, p)
		return p
	}
	// By way of two factors, each a normal number.
	e, half := l.reg(), l.reg()
	VCVTPS2DQ(n, e)
	VPSRAD(U8(1), e, half)
	VPSUBD(half, e, e)
	for _, x := range []reg.VecVirtual{e, half} {
		VPADDD(u32(127), x, x)
		VPSLLD(U8(23), x, x)
		VMULPS(x, p, p)
	}
	return p
}

func (l level) expRational(r reg.VecVirtual) reg.VecVirtual {
	z, p, q := l.reg(), l.reg(), l.reg()
	VMULPD(r, r, z)
	l.horner(p, z, coeff.ExpP)
	VMULPD(r, p, p)
	l.horner(q, z, coeff.ExpQ)
	VSUBPD(p, q, q)
	VDIVPD(q, p, p)
	VADDPD(p, p, p)
	VADDPD(f64(1), p, p)
	return p
}

// scale64 returns p·2^n, by way of two factors.
func (l level) scale64(p, n reg.VecVirtual) reg.VecVirtual {
	e, half, factor := XMM(), XMM(), l.reg()
	VCVTPD2DQY(n, e)
	VPSRAD(U8(1), e, half)
	VPSUBD(half, e, e)
	for _, x := range []reg.VecVirtual{e, half} {
		VPADDD(u32(1023), x, x)
		VPMOVSXDQ(x, factor)
		VPSLLQ(U8(52), factor, factor)
		VMULPD(factor, p, p)
	}
	return p
}

// exps generates
//
//	func exps32LEVEL(dst, logits, noise *float32, n int, at *[6]float32, sum *[16]float64)
//
// which sets dst to e^((logit + noise − peak)/tau) along a row and sum to the
// sums of lanes.
func exps(l level) {
	l.text("exps", "func(dst, logits, noise *T, n int, at *[6]T, sum *[16]float64)")
	dst, logits, noise, n := param("dst"), param("logits"), param("noise"), param("n")
	at := l.loadScale(param("at"))
	total := l.newSums()
	l.along("exps", n, []reg.Register{dst, logits, noise}, func(a []span, rest *mask) {
		d, e := l.below(a[1].get(), a[2].get(), at)
		y := l.exp(d, e, at)
		if rest != nil {
			l.keep(*rest, y, y)
		}
		a[0].put(y)
		total.add(y)
	})
	total.store(param("sum"))
	VZEROUPPER()
	RET()
}

// times generates
//
//	func times32LEVEL(dst *float32, n int, by float32)
//
// which multiplies a row.
func times(l level) {
	l.text("times", "func(dst *T, n int, by T)")
	dst, n := param("dst"), param("n")
	by := l.reg()
	address, err := Param("by").Resolve()
	if err != nil {
		panic(err)
	}
	l.broadcastTo(address.Addr, by)
	l.along("times", n, []reg.Register{dst}, func(a []span, _ *mask) {
		y := a[0].get()
		l.mul(by, y, y)
		a[0].put(y)
	})
	VZEROUPPER()
	RET()
}

// dots generates
//
//	func dot32LEVEL(soft, grad *float32, n int, sum *[16]float64, ahead *float32)
//
// the sums of lanes of soft·grad, where soft is not 0. Along the way it fetches
// as many elements of another array into the cache.
func dots(l level) {
	l.text("dot", "func(soft, grad *T, n int, sum *[16]float64, ahead *T)")
	soft, grad, n, ahead := param("soft"), param("grad"), param("n"), param("ahead")
	total := l.newSums()
	l.along("dot", n, []reg.Register{soft, grad, ahead}, func(a []span, _ *mask) {
		y, g := a[0].get(), a[1].get()
		PREFETCHT0(Mem{Base: ahead})
		l.keep(l.compare(notEqual, y, l.zeroed()), g, g)
		total.addProduct(y, g)
	})
	total.store(param("sum"))
	VZEROUPPER()
	RET()
}

// centred returns y·(g − mean), 0 where y is 0.
func (l level) centred(y, g, mean, rest reg.VecVirtual) reg.VecVirtual {
	zero, x := l.reg(), l.reg()
	l.zero(zero)
	l.sub(mean, g, x)
	l.sub(rest, x, x)
	l.mul(y, x, x)
	l.keep(l.compare(notEqual, y, zero), x, x)
	return x
}

// grads generates
//
//	func grad32LEVEL(dst, soft, grad *float32, n int, at *[6]float32)
//
// which sets dst to soft·(grad − mean)/tau.
func grads(l level) {
	l.text("grad", "func(dst, soft, grad *T, n int, at *[6]T)")
	dst, soft, grad, n, at := param("dst"), param("soft"), param("grad"), param("n"), param("at")
	mean, rest := l.broadcast(l.item(at, scalarMean)), l.broadcast(l.item(at, scalarRest))
	inverse := l.broadcast(l.item(at, scalarHi))
	l.along("grad", n, []reg.Register{dst, soft, grad}, func(a []span, _ *mask) {
		x := l.centred(a[1].get(), a[2].get(), mean, rest)
		l.mul(inverse, x, x)
		a[0].put(x)
	})
	VZEROUPPER()
	RET()
}

// gradTaus generates
//
//	func gradTau32LEVEL(logits, noise, soft, grad *float32, n int, at *[6]float32, sum *[16]float64)
//
// the sums of lanes of (logit + noise − peak)·soft·(grad − mean).
func gradTaus(l level) {
	l.text("gradTau", "func(logits, noise, soft, grad *T, n int, at *[6]T, sum *[16]float64)")
	logits, noise, soft, grad, n, from := param("logits"), param("noise"), param("soft"), param("grad"), param("n"), param("at")
	at := l.loadScale(from)
	total := l.newSums()
	l.along("gradTau", n, []reg.Register{logits, noise, soft, grad}, func(a []span, _ *mask) {
		y := a[2].get()
		mean, rest := l.broadcast(l.item(from, scalarMean)), l.broadcast(l.item(from, scalarRest))
		x := l.centred(y, a[3].get(), mean, rest)
		d, e := l.below(a[0].get(), a[1].get(), at)
		l.add(e, d, d)
		zero := l.reg()
		l.zero(zero)
		l.keep(l.compare(notEqual, y, zero), d, d) // -Inf where masked
		total.addProduct(d, x)
	})
	total.store(param("sum"))
	VZEROUPPER()
	RET()
}
