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

// A traversal is a way to go through memory. The functions of one share a file of
// assembly and a file of Go that calls it.
type traversal struct {
	name   string
	unit   int    // the elements that one of its steps takes
	length string // what its assembly calls the number of steps
	emit   map[string]func(a *assembler)
}

var (
	noise       = newTraversal("noise", philox.Group, "groups")
	elementwise = newTraversal("elementwise", 1, "n")
	rows        = newTraversal("rows", 1, "n")
)

var traversals = []*traversal{noise, elementwise, rows}

func newTraversal(name string, unit int, length string) *traversal {
	return &traversal{name, unit, length, map[string]func(a *assembler){}}
}

// implement says how to write the vector code of a function of package kernel. The
// package has nameGo, the same in plain Go. Its signature says the rest:
//
//   - If it is generic in T, it has vector code in float32 and float64, else in
//     float32 alone. A type parameter W is the word of T's size.
//   - The arrays that it lists first are equally long, and the assembly gets their
//     length, unless the function has a parameter of type int instead.
//   - Of the arrays that it lists later, the assembly gets the address alone.
//   - Its other parameters are numbers, and pointers to structs or arrays.
//   - It may return a sum float64, and then bad bool.
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

// assemble writes functions at all levels.
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
