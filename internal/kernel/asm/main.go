// Command asm writes the assembly of package kernel with avo. Run it by
// go generate in the package's folder.
package main

import (
	. "github.com/mmcloughlin/avo/build"
)

func main() {
	ConstraintExpr("!purego")
	for _, l := range levels {
		if !l.double {
			noise32(l)
			turnIn(l)
			turnOut(l)
			columns(l)
			gradColumns(l)
		}
		adams(l)
		peak(l)
		exps(l)
		times(l)
		dots(l)
		grads(l)
		gradTaus(l)
		bces(l)
		bceGrads(l)
		klDots(l)
		klGrads(l)
		weighs(l)
	}
	noise64(levels[0])
	Generate()
}
