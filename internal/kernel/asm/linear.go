package main

func init() { elementwise.implement("addRow", emitAddRow) }

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
