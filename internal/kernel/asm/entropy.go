package main

func init() {
	rows.implement("dotEntropy", emitDotEntropy)
	rows.implement("gradEntropy", emitGradEntropy)
}

func emitDotEntropy(a *assembler) {
	a.begin()
	top, total := a.scalar("s.top"), a.newSum()
	a.each(func(at []span, _ *mask) {
		e, x := at[0].get(), at[1].get()
		a.sub(top, x, x)
		a.clearWhereZero(x, e)
		total.addProduct(e, x)
	})
	total.store()
	a.ret()
}

func emitGradEntropy(a *assembler) {
	a.begin()
	top, factor := a.scalar("s.top"), a.scalar("s.factor")
	mean, meanLow := a.scalar("s.mean"), a.scalar("s.meanLow")
	a.each(func(at []span, _ *mask) {
		x, zero := at[2].get(), a.zero()
		a.sub(top, x, x)
		x = a.centred(at[1].get(), x, mean, meanLow)
		a.sub(x, zero, x)
		a.mul(factor, x, x)
		at[0].put(x)
	})
	a.ret()
}
