package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A span is the part of an array that one step of a loop works on.
type span struct {
	a    *assembler
	base reg.Register
	m    *mask
}

func (s span) get() reg.VecVirtual  { return s.a.load(s.m, Mem{Base: s.base}) }
func (s span) put(v reg.VecVirtual) { s.a.store(s.m, v, Mem{Base: s.base}) }

// each runs body along the counted arrays, a register at a time, and once more for
// what is left over: then with the mask of its lanes, else with nil. The addresses
// of further arrays go along.
func (a *assembler) each(body func(at []span, rest *mask), further ...reg.GPVirtual) {
	var arrays []reg.GPVirtual
	for _, p := range a.params[:a.counted] {
		arrays = append(arrays, a.param(p.name))
	}
	arrays = append(arrays, further...)
	n := a.param(a.length)
	at := func(m *mask) (spans []span) {
		for _, p := range arrays {
			spans = append(spans, span{a, p, m})
		}
		return spans
	}
	a.Label("whole")
	a.CMPQ(n, U32(a.lanes))
	a.JB(LabelRef("rest"))
	body(at(nil), nil)
	for _, p := range arrays {
		a.ADDQ(U32(a.bytes), p)
	}
	a.SUBQ(U32(a.lanes), n)
	a.JMP(LabelRef("whole"))
	a.Label("rest")
	a.TESTQ(n, n)
	a.JZ(LabelRef("done"))
	m := a.firstLanes(n)
	body(at(&m), &m)
	a.Label("done")
}

// notFinite adds the lanes where x is NaN or infinite to bad.
func (a *assembler) notFinite(x reg.VecVirtual, bad mask) {
	d := a.reg()
	a.sub(x, x, d)
	a.orMask(a.compare(unordered, d, d), bad)
}
