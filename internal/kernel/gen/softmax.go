package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// What the arrays that kernels share with their callers hold, and where. In
// classes, the lanes' classes come first.
const (
	peaksSum = 0
	peaksLow = 64

	classesTie = 64
	classesBad = 68

	scalarTop  = 0
	scalarLow  = 4
	scalarHi   = 8 // 1/tau, its leading part
	scalarLo   = 12
	scalarMean = 16 // leading part
	scalarRest = 20
)

func minusInf() Mem { return u32(0xff800000) }

// param loads a parameter of the function begun.
func param(name string) reg.GPVirtual {
	r := GP64()
	Load(Param(name), r)
	return r
}

// lost returns (a + b) − sum: see lost in sample.go.
func (l level) lost(a, b, sum reg.VecVirtual) reg.VecVirtual {
	bb, t, e := l.reg(), l.reg(), l.reg()
	VSUBPS(a, sum, bb)
	VSUBPS(bb, sum, t)
	VSUBPS(t, a, e)
	VSUBPS(bb, b, t)
	VADDPS(t, e, e)
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
	TEXT("peak32"+l.suffix, NOSPLIT, "func(logits, noise *float32, n int, peaks *[32]float32, classes *[18]uint32)")
	Pragma("noescape")
	logits, noise, n, peaks, classes := param("logits"), param("noise"), param("n"), param("peaks"), param("classes")
	best, class, at := l.reg(), l.reg(), l.reg()
	VMOVUPS(minusInf(), best)
	VMOVUPS(u32(^uint32(0)), class)
	VMOVUPS(iota32(), at)
	tie, bad := l.noMask(), l.noMask()
	l.along("peak", n, []reg.Register{logits, noise}, func(a []span, rest *mask) {
		s := a[0].get()
		VADDPS(a[1].get(), s, s)
		if rest != nil {
			none := l.reg()
			VMOVUPS(minusInf(), none)
			l.pick(*rest, s, none, s)
		}
		l.orMask(l.compare(unordered, s, s), bad)
		more, same := l.compare(greater, s, best), l.compare(equal, s, best)
		l.dropMask(more, tie)
		l.orMask(same, tie)
		l.pick(more, s, best, best)
		l.pick(more, at, class, class)
		VPADDD(u32(uint32(l.lanes)), at, at)
	})
	VMOVUPS(best, Mem{Base: peaks, Disp: peaksSum})
	VMOVUPS(class, Mem{Base: classes})
	l.storeMask(tie, Mem{Base: classes, Disp: classesTie})
	l.storeMask(bad, Mem{Base: classes, Disp: classesBad})
	VZEROUPPER()
	RET()
}

// scale holds what a row's exponentials need: its peak and 1/tau.
type scale struct{ top, low, hi, lo reg.VecVirtual }

// loadScale reads what is at from.
func (l level) loadScale(from reg.Register) scale {
	return scale{
		l.broadcast(Mem{Base: from, Disp: scalarTop}), l.broadcast(Mem{Base: from, Disp: scalarLow}),
		l.broadcast(Mem{Base: from, Disp: scalarHi}), l.broadcast(Mem{Base: from, Disp: scalarLo}),
	}
}

// below returns logit + noise − peak in two parts.
func (l level) below(logit, noise reg.VecVirtual, at scale) (d, e reg.VecVirtual) {
	s := l.reg()
	VADDPS(noise, logit, s)
	e = l.lost(logit, noise, s)
	VSUBPS(at.top, s, s)
	VSUBPS(at.low, e, e)
	return s, e
}

// exp returns e^((d+e)/tau) for d + e ≤ 0, and 0 where that is -Inf. The
// quotient itself is never rounded: the product with 1/tau goes into the fused
// reduction.
func (l level) exp(d, e reg.VecVirtual, at scale) reg.VecVirtual {
	x, n, q := l.reg(), l.reg(), l.reg()
	VMULPS(at.hi, d, x)
	VMULPS(f32(1.44269504088896341), x, n)
	l.round(n)
	VMULPS(f32(0.693359375), n, q) // exact
	r := l.reg()
	VMOVAPS(d, r)
	VFMSUB213PS(q, at.hi, r)
	VFMADD231PS(at.lo, d, r)
	VFNMADD231PS(f32(-2.12194440e-4), n, r)
	VFMADD231PS(at.hi, e, r)
	y := l.expPolynomial(r, n)
	l.keep(l.compare(greaterOrEqual, x, f32(-104)), y, y)
	return y
}

func (l level) round(x reg.VecVirtual) {
	if l.wide {
		VRNDSCALEPS(U8(0), x, x)
	} else {
		VROUNDPS(U8(0), x, x)
	}
}

// expPolynomial returns 2^n·e^r: see exp32 in exp.go.
func (l level) expPolynomial(r, n reg.VecVirtual) reg.VecVirtual {
	z, p := l.reg(), l.reg()
	VMULPS(r, r, z)
	VMOVUPS(f32(1.9875691500e-4), p)
	for _, c := range []float64{1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		VFMADD213PS(f32(c), r, p)
	}
	VFMADD213PS(r, z, p)
	VADDPS(f32(1), p, p)
	if l.wide {
		VSCALEFPS(n, p, p)
		return p
	}
	// 2^n by way of two factors, so that denormals come out too.
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

// exps generates
//
//	func exps32LEVEL(dst, logits, noise *float32, n int, at *[6]float32, sum *[16]float64)
//
// which sets dst to e^((logit + noise − peak)/tau) along a row and sum to the
// sums of lanes.
func exps(l level) {
	TEXT("exps32"+l.suffix, NOSPLIT, "func(dst, logits, noise *float32, n int, at *[6]float32, sum *[16]float64)")
	Pragma("noescape")
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
	TEXT("times32"+l.suffix, NOSPLIT, "func(dst *float32, n int, by float32)")
	Pragma("noescape")
	dst, n := param("dst"), param("n")
	by := l.reg()
	address, err := Param("by").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(address.Addr, by)
	l.along("times", n, []reg.Register{dst}, func(a []span, _ *mask) {
		y := a[0].get()
		VMULPS(by, y, y)
		a[0].put(y)
	})
	VZEROUPPER()
	RET()
}

// dots generates
//
//	func dot32LEVEL(soft, grad *float32, n int, sum *[16]float64)
//
// the sums of lanes of soft·grad, where soft is not 0.
func dots(l level) {
	TEXT("dot32"+l.suffix, NOSPLIT, "func(soft, grad *float32, n int, sum *[16]float64)")
	Pragma("noescape")
	soft, grad, n := param("soft"), param("grad"), param("n")
	total := l.newSums()
	l.along("dot", n, []reg.Register{soft, grad}, func(a []span, _ *mask) {
		y, g := a[0].get(), a[1].get()
		zero := l.reg()
		l.zero(zero)
		l.keep(l.compare(notEqual, y, zero), g, g)
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
	VSUBPS(mean, g, x)
	VSUBPS(rest, x, x)
	VMULPS(y, x, x)
	l.keep(l.compare(notEqual, y, zero), x, x)
	return x
}

// grads generates
//
//	func grad32LEVEL(dst, soft, grad *float32, n int, at *[6]float32)
//
// which sets dst to soft·(grad − mean)/tau.
func grads(l level) {
	TEXT("grad32"+l.suffix, NOSPLIT, "func(dst, soft, grad *float32, n int, at *[6]float32)")
	Pragma("noescape")
	dst, soft, grad, n, at := param("dst"), param("soft"), param("grad"), param("n"), param("at")
	mean, rest := l.broadcast(Mem{Base: at, Disp: scalarMean}), l.broadcast(Mem{Base: at, Disp: scalarRest})
	inverse := l.broadcast(Mem{Base: at, Disp: scalarHi})
	l.along("grad", n, []reg.Register{dst, soft, grad}, func(a []span, _ *mask) {
		x := l.centred(a[1].get(), a[2].get(), mean, rest)
		VMULPS(inverse, x, x)
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
	TEXT("gradTau32"+l.suffix, NOSPLIT, "func(logits, noise, soft, grad *float32, n int, at *[6]float32, sum *[16]float64)")
	Pragma("noescape")
	logits, noise, soft, grad, n, from := param("logits"), param("noise"), param("soft"), param("grad"), param("n"), param("at")
	at := l.loadScale(from)
	total := l.newSums()
	l.along("gradTau", n, []reg.Register{logits, noise, soft, grad}, func(a []span, _ *mask) {
		y := a[2].get()
		mean, rest := l.broadcast(Mem{Base: from, Disp: scalarMean}), l.broadcast(Mem{Base: from, Disp: scalarRest})
		x := l.centred(y, a[3].get(), mean, rest)
		d, e := l.below(a[0].get(), a[1].get(), at)
		VADDPS(e, d, d)
		zero := l.reg()
		l.zero(zero)
		l.keep(l.compare(notEqual, y, zero), d, d) // -Inf where masked
		total.addProduct(d, x)
	})
	total.store(param("sum"))
	VZEROUPPER()
	RET()
}
