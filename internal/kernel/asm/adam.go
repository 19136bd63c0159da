package main

func init() { elementwise.implement("adam", emitAdam) }

// emitAdam has the operations of adamGo in their order.
func emitAdam(a *assembler) {
	a.begin()
	beta1, rest1 := a.scalar("s.beta1"), a.scalar("s.rest1")
	beta2, rest2 := a.scalar("s.beta2"), a.scalar("s.rest2")
	epsilon, rate := a.scalar("s.epsilon"), a.scalar("s.rate")
	unbiasMean, unbiasSquare := a.scalar("s.unbiasMean"), a.scalar("s.unbiasSquare")
	a.each(func(at []span, _ *mask) {
		w, g, m, s := at[0].get(), at[1].get(), at[2].get(), at[3].get()
		t := a.reg()
		a.mul(m, beta1, m)
		a.mul(g, rest1, t)
		a.add(t, m, m)
		at[2].put(m)
		a.mul(g, g, g)
		a.mul(g, rest2, g)
		a.mul(s, beta2, s)
		a.add(g, s, s)
		at[3].put(s)
		a.mul(unbiasMean, m, m)
		a.mul(rate, m, m)
		a.mul(unbiasSquare, s, s)
		a.sqrt(s, s)
		a.add(epsilon, s, s)
		a.div(s, m, m)
		a.sub(m, w, w)
		at[0].put(w)
	})
	a.ret()
}
