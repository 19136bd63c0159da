package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

// adams generates
//
//	func adam32LEVEL(weights, grad, mean, square *float32, n int, at *[8]float32)
//
// a step of Adam: the operations of update in adam.go, in their order. at holds
// β₁, 1 − β₁, β₂, 1 − β₂, ε, the rate and the two corrections.
func adams(l level) {
	l.text("adam", "func(weights, grad, mean, square *T, n int, at *[8]T)")
	arrays := []reg.Register{param("weights"), param("grad"), param("mean"), param("square")}
	n, at := param("n"), param("at")
	var number [8]reg.VecVirtual
	for i := range number {
		number[i] = l.broadcast(l.item(at, i))
	}
	beta1, rest1, beta2, rest2, epsilon := number[0], number[1], number[2], number[3], number[4]
	rate, unbiasMean, unbiasSquare := number[5], number[6], number[7]
	l.along("adam", n, arrays, func(a []span, _ *mask) {
		w, g, m, s := a[0].get(), a[1].get(), a[2].get(), a[3].get()
		t := l.reg()
		l.mul(m, beta1, m)
		l.mul(g, rest1, t)
		l.add(t, m, m)
		a[2].put(m)
		l.mul(g, g, g)
		l.mul(g, rest2, g)
		l.mul(s, beta2, s)
		l.add(g, s, s)
		a[3].put(s)
		l.mul(unbiasMean, m, m)
		l.mul(rate, m, m)
		l.mul(unbiasSquare, s, s)
		l.either(VSQRTPS, VSQRTPD)(s, s)
		l.add(epsilon, s, s)
		l.div(s, m, m)
		l.sub(m, w, w)
		a[0].put(w)
	})
	VZEROUPPER()
	RET()
}
