package main

func init() {
	elementwise.implement("addRow", emitAddRow)
	elementwise.implement("gradReLU", emitGradReLU)
}

func emitAddRow(a *assembler) {
	a.begin()
	a.each(func(at []span, _ *mask) {
		sum, excess, y, s := at[0].get(), at[1].get(), at[2].get(), a.reg()
		a.sub(excess, y, y)
		a.add(y, sum, s)
		a.sub(sum, s, excess)
		a.sub(y, excess, excess)
		at[0].put(s)
		at[1].put(excess)
	})
	a.ret()
}

func emitGradReLU(a *assembler) {
	a.begin()
	zero := a.zero()
	a.each(func(at []span, _ *mask) {
		grad := at[2].get()
		a.keep(a.compare(notLessOrEqual, at[1].get(), zero), grad, grad)
		at[0].put(grad)
	})
	a.ret()
}
