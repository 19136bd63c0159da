package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/reg"

	"github.com/gumbel-go/gumbel/internal/philox"
)

// A traversal is a way to go through memory. Its functions share a file of assembly and
// the Go files that go with it.
type traversal struct {
	name   string
	unit   int    // the number of elements that the length counts as one
	length string // the name of the length in the assembly
	emit   map[string]func(a *assembler)
}

var (
	noise       = newTraversal("noise", philox.Group, "groups")
	elementwise = newTraversal("elementwise", 1, "n")
	rows        = newTraversal("rows", 1, "n")
	matrix      = newTraversal("matrix", 1, "n")
)

var traversals = []*traversal{noise, elementwise, rows, matrix}

func newTraversal(name string, unit int, length string) *traversal {
	return &traversal{name, unit, length, map[string]func(a *assembler){}}
}

// implement gives a function of package kernel vector code, which emit writes. The
// package has to have nameGo, which computes the same in plain Go. The generator reads
// everything else from the signature of nameGo:
//
//   - A function that is generic in T has vector code in float32 and float64, another
//     one in float32 only. The type parameter W is a word of T's size.
//   - The first group of parameters may be arrays of equal length. The assembly gets
//     that length as well, unless the function has a parameter of type int.
//   - Of later arrays the assembly gets the address only.
//   - Other parameters are numbers, and pointers to structs or arrays.
//   - The function may return sum float64, and then bad bool.
func (t *traversal) implement(name string, emit func(a *assembler)) { t.emit[name] = emit }

// functions returns the traversal's functions in the order of their names.
func (t *traversal) functions(k *kernelSource) ([]function, error) {
	var functions []function
	for name := range t.emit {
		f, err := k.function(name)
		if err != nil {
			return nil, err
		}
		functions = append(functions, f)
	}
	slices.SortFunc(functions, func(f, g function) int { return strings.Compare(f.name, g.name) })
	return functions, nil
}

// assemble writes the functions at all their levels.
func (t *traversal) assemble(k *kernelSource, functions []function) (*ir.File, error) {
	a := assembler{Context: build.NewContext(), constants: constants{}}
	a.ConstraintExpr("!purego")
	for _, f := range functions {
		for _, l := range f.levels() {
			s, err := k.signature("func" + f.stub(t, l))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
			a.level = l
			a.arguments = arguments{f, f.withLength(t), s, t.length, map[string]reg.GPVirtual{}}
			a.Function(f.symbol(l))
			a.Attributes(attr.NOSPLIT)
			a.Signature(gotypes.NewSignature(k.types, s))
			t.emit[f.name](&a)
		}
	}
	file, err := a.Result()
	if err != nil {
		return nil, err
	}
	return file, pass.Compile.Execute(file)
}
