package main

import (
	"fmt"
	"go/types"
	"strings"

	"github.com/mmcloughlin/avo/gotypes"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// arguments are the parameters of the function that an assembler writes.
type arguments struct {
	function
	assembly []variable       // the parameters as the assembly has them
	types    *types.Signature // of the assembly
	length   string           // the name of the arrays' length
	loaded   map[string]reg.GPVirtual
}

// begin loads the addresses and the length. It leaves the address for the sums until
// the end, because registers are scarce.
func (a *assembler) begin() {
	for _, p := range a.assembly {
		if p != sums && (p.typ == "int" || p.isArray() || strings.HasPrefix(p.typ, "*")) {
			a.param(p.name)
		}
	}
}

// param returns the register of a parameter. It is loaded on the first use.
func (a *assembler) param(name string) reg.GPVirtual {
	r, ok := a.loaded[name]
	if !ok {
		r = a.GP64()
		a.Load(a.Param(name), r)
		a.loaded[name] = r
	}
	return r
}

// address returns where a parameter is that is a number.
func (a *assembler) address(name string) Mem {
	basic, err := a.Param(name).Resolve()
	if err != nil {
		panic(err) // the function has no such parameter
	}
	return basic.Addr
}

// field returns where a field is: "s.top" is field top of the struct that parameter s
// points to.
func (a *assembler) field(path string) Mem {
	name, field, _ := strings.Cut(path, ".")
	offset, err := a.offset(name, field)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", path, err))
	}
	return Mem{Base: a.param(name), Disp: offset}
}

// scalar loads a field into all lanes.
func (a *assembler) scalar(path string) reg.VecVirtual { return a.broadcast(a.field(path)) }

// offset returns the offset of a field of the struct that a parameter points to.
func (a *assembler) offset(param, field string) (int, error) {
	for p := range a.types.Params().Variables() {
		if p.Name() != param {
			continue
		}
		pointer, ok := p.Type().Underlying().(*types.Pointer)
		if !ok {
			return 0, fmt.Errorf("%s is not a pointer", p.Type())
		}
		s, ok := pointer.Elem().Underlying().(*types.Struct)
		if !ok {
			return 0, fmt.Errorf("%s is not a struct", pointer.Elem())
		}
		var fields []*types.Var
		for f := range s.Fields() {
			fields = append(fields, f)
		}
		for i, offset := range gotypes.Sizes.Offsetsof(fields) {
			if fields[i].Name() == field {
				return int(offset), nil
			}
		}
		return 0, fmt.Errorf("%s has no field %s", pointer.Elem(), field)
	}
	return 0, fmt.Errorf("%s has no parameter %s", a.name, param)
}

// returnBad ends a function that returns whether any lane of a mask is set.
func (a *assembler) returnBad(bad mask) {
	bits := a.maskBits(bad)
	a.VZEROUPPER()
	a.Store(bits, a.Return("bad"))
	a.RET()
}

// ret ends a function.
func (a *assembler) ret() {
	a.VZEROUPPER()
	a.RET()
}
