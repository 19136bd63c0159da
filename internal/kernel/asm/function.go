package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A function is one of package kernel that has vector code: see implement.
type function struct {
	name       string
	typeParams []variable
	params     []variable
	counted    int // how many parameters, from the first on, are arrays whose length the assembly gets
	results    []variable
	body       []string // of the plain Go function, by line
}

// A variable is a parameter or a result, with its type in Go.
type variable struct{ name, typ string }

func (v variable) isArray() bool { return strings.HasPrefix(v.typ, "[]") }

// list writes variables as a declaration does.
func list(variables []variable) string {
	var b strings.Builder
	for i, v := range variables {
		b.WriteString(v.name)
		switch {
		case i == len(variables)-1:
			b.WriteString(" " + v.typ)
		case variables[i+1].typ != v.typ:
			b.WriteString(" " + v.typ + ", ")
		default:
			b.WriteString(", ")
		}
	}
	return b.String()
}

func (f function) generic() bool { return len(f.typeParams) > 0 }

func (f function) returns(name string) bool {
	for _, r := range f.results {
		if r.name == name {
			return true
		}
	}
	return false
}

// symbol is the name of the assembly function at a level.
func (f function) symbol(l level) string { return fmt.Sprint(f.name, l.bits(), l.suffix) }

// levels returns those at which the function has vector code, in the order in which
// the dispatch tests for them.
func (f function) levels() []level {
	all := []level{avx512, avx2}
	if f.generic() {
		all = append([]level{avx2Double}, all...)
	}
	return all
}

// stub returns the parameters and the result of the assembly function at a level. Arrays
// become addresses, sum becomes the address for the sums of lanes, and bad a word.
func (f function) stub(t *traversal, l level) string {
	params := f.withLength(t)
	for i, p := range params {
		if p.isArray() {
			p.typ = "*" + strings.TrimPrefix(p.typ, "[]")
		}
		params[i].typ = l.resolve(p.typ)
	}
	if f.returns("bad") {
		return "(" + list(params) + ") (bad uint32)"
	}
	return "(" + list(params) + ")"
}

// withLength returns the parameters with two that only the assembly has: the length
// of the counted arrays, after these, and the address for the sums, before the arrays
// that are not counted.
func (f function) withLength(t *traversal) (params []variable) {
	params = append(params, f.params[:f.counted]...)
	if f.counted > 0 {
		params = append(params, variable{t.length, "int"})
	}
	sum := f.returns("sum")
	for _, p := range f.params[f.counted:] {
		if sum && p.isArray() {
			params, sum = append(params, sums), false
		}
		params = append(params, p)
	}
	if sum {
		params = append(params, sums)
	}
	return params
}

var sums = variable{"sum", "*[16]float64"}

var typeParameter = regexp.MustCompile(`\b[TW]\b`)

// resolve replaces the type parameters in a type by the types of the level.
func (l level) resolve(typ string) string {
	return typeParameter.ReplaceAllStringFunc(typ, func(name string) string {
		if name == "T" {
			return fmt.Sprint("float", l.bits())
		}
		return fmt.Sprint("uint", l.bits())
	})
}
