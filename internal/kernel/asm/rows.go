package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A sum has the sums of lanes in float64. Lanes of float64 need only the lower
// register.
type sum struct {
	a            *assembler
	lower, upper reg.VecVirtual
}

// newSum returns a sum of 0.
func (a *assembler) newSum() sum {
	s := sum{a, a.reg(), a.reg()}
	a.clear(s.lower)
	a.clear(s.upper)
	return s
}

func (s sum) add(x reg.VecVirtual) {
	if s.a.double {
		s.a.VADDPD(x, s.lower, s.lower)
		return
	}
	lower, upper := s.a.widen(x)
	s.a.VADDPD(lower, s.lower, s.lower)
	s.a.VADDPD(upper, s.upper, s.upper)
}

// addProduct adds x·y.
func (s sum) addProduct(x, y reg.VecVirtual) {
	if s.a.double {
		s.a.VFMADD231PD(x, y, s.lower)
		return
	}
	xLower, xUpper := s.a.widen(x)
	yLower, yUpper := s.a.widen(y)
	s.a.VFMADD231PD(xLower, yLower, s.lower)
	s.a.VFMADD231PD(xUpper, yUpper, s.upper)
}

// store returns the sum from the function.
func (s sum) store() { s.storeAt(Mem{Base: s.a.param("sum")}) }

// storeAt stores the sums of lanes.
func (s sum) storeAt(to Mem) {
	s.a.VMOVUPD(s.lower, to)
	to.Disp += s.a.bytes
	s.a.VMOVUPD(s.upper, to)
}

// clearWhereZero sets x to 0 where y is 0, so that a product of the two is 0 there
// even if x is infinite or NaN.
func (a *assembler) clearWhereZero(x, y reg.VecVirtual) {
	a.keep(a.compare(notEqual, y, a.zero()), x, x)
}
