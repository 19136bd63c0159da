package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A level is an instruction set together with an element type.
type level struct {
	suffix string // of the functions' names
	wide   bool   // AVX-512: 64-byte registers and mask registers
	double bool   // float64 instead of float32, on AVX2 only
	bytes  int    // of a register
	lanes  int    // elements in a register
}

var (
	avx2       = level{suffix: "AVX2", bytes: 32, lanes: 8}
	avx512     = level{suffix: "AVX512", wide: true, bytes: 64, lanes: 16}
	avx2Double = level{suffix: "AVX2", double: true, bytes: 32, lanes: 4}
)

// size is that of an element.
func (l level) size() int { return l.bytes / l.lanes }

// bits is the size of an element in bits.
func (l level) bits() int { return 8 * l.size() }

// An assembler writes a function at a level. The methods in this file are the
// operations in which levels differ. All other instructions have one name for
// every width of register.
type assembler struct {
	*build.Context
	level
	constants constants
	arguments

	even       reg.OpmaskVirtual // see prepare
	half, unit reg.VecVirtual
}

// reg returns a new vector register.
func (a *assembler) reg() reg.VecVirtual {
	if a.wide {
		return a.ZMM()
	}
	return a.YMM()
}

// regs returns n new vector registers.
func (a *assembler) regs(n int) []reg.VecVirtual {
	r := make([]reg.VecVirtual, n)
	for i := range r {
		r[i] = a.reg()
	}
	return r
}

// constants are the read-only vectors of a file, each of 64 bytes.
type constants map[string]Mem

// constant returns a vector of words of a size. It is defined on the first use.
func (a *assembler) constant(name string, size int, word func(i int) Constant) Mem {
	m, ok := a.constants[name]
	if !ok {
		m = a.StaticGlobal(name)
		a.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 64 / size {
			a.AddDatum(size*i, word(i))
		}
		a.constants[name] = m
	}
	return m
}

// f32, u32, f64 and u64 are vectors of one number.
func (a *assembler) f32(x float64) Mem { return a.u32(math.Float32bits(float32(x))) }

func (a *assembler) u32(x uint32) Mem {
	return a.constant(fmt.Sprintf("word%08x", x), 4, func(int) Constant { return U32(x) })
}

func (a *assembler) f64(x float64) Mem { return a.u64(math.Float64bits(x)) }

func (a *assembler) u64(x uint64) Mem {
	return a.constant(fmt.Sprintf("quad%016x", x), 8, func(int) Constant { return U64(x) })
}

// number is a vector of one number of the element type, word of one word of its
// size.
func (a *assembler) number(x float64) Mem {
	if a.double {
		return a.f64(x)
	}
	return a.f32(x)
}

func (a *assembler) word(x uint64) Mem {
	if a.double {
		return a.u64(x)
	}
	return a.u32(uint32(x))
}

// iota is the vector 0, 1, 2 … of words of the element's size, iota32 of 32 bits.
func (a *assembler) iota() Mem {
	if a.double {
		return a.constant("iota64", 8, func(i int) Constant { return U64(i) })
	}
	return a.iota32()
}

func (a *assembler) iota32() Mem {
	return a.constant("iota", 4, func(i int) Constant { return U32(i) })
}

// firstLanesTable is eight words of ones, then eight of zeros.
func (a *assembler) firstLanesTable() Mem {
	return a.constant("firstLanes", 4, func(i int) Constant { return U32(uint32(int32(i-8) >> 31)) })
}

// prepare loads constants into registers, where AVX-512 has enough of them. A function
// that uses Philox or the logarithm begins with it.
func (a *assembler) prepare() {
	if !a.wide {
		return
	}
	a.even = a.maskOf(0x5555) // the even 32-bit lanes
	a.half, a.unit = a.reg(), a.reg()
	a.VMOVUPS(a.f32(0.5), a.half)
	a.VMOVUPS(a.f32(1.0/(1<<32)), a.unit)
}

func (a *assembler) maskOf(bits uint32) reg.OpmaskVirtual {
	k, word := a.K(), a.GP32()
	a.MOVL(U32(bits), word)
	a.KMOVW(word, k)
	return k
}

// Arithmetic of either element type, with the operands in the assembler's order:
// sub is z = y − x, div z = y/x, maximum x if either is NaN or both are 0; of the fused
// ones, fmadd231 is z = y·x + z, fmadd213 z = y·z + x, fnmadd231 z = z − y·x, fmsub213
// z = y·z − x.

func (a *assembler) add(x Op, y, z reg.VecVirtual)      { a.either(a.VADDPS, a.VADDPD)(x, y, z) }
func (a *assembler) sub(x Op, y, z reg.VecVirtual)      { a.either(a.VSUBPS, a.VSUBPD)(x, y, z) }
func (a *assembler) mul(x Op, y, z reg.VecVirtual)      { a.either(a.VMULPS, a.VMULPD)(x, y, z) }
func (a *assembler) div(x Op, y, z reg.VecVirtual)      { a.either(a.VDIVPS, a.VDIVPD)(x, y, z) }
func (a *assembler) min(x Op, y, z reg.VecVirtual)      { a.either(a.VMINPS, a.VMINPD)(x, y, z) }
func (a *assembler) max(x Op, y, z reg.VecVirtual)      { a.either(a.VMAXPS, a.VMAXPD)(x, y, z) }
func (a *assembler) sqrt(x Op, z reg.VecVirtual)        { a.either(a.VSQRTPS, a.VSQRTPD)(x, z) }
func (a *assembler) addWords(x Op, y, z reg.VecVirtual) { a.either(a.VPADDD, a.VPADDQ)(x, y, z) }

func (a *assembler) fmadd231(x Op, y, z reg.VecVirtual) {
	a.either(a.VFMADD231PS, a.VFMADD231PD)(x, y, z)
}

func (a *assembler) fmadd213(x Op, y, z reg.VecVirtual) {
	a.either(a.VFMADD213PS, a.VFMADD213PD)(x, y, z)
}

func (a *assembler) fnmadd231(x Op, y, z reg.VecVirtual) {
	a.either(a.VFNMADD231PS, a.VFNMADD231PD)(x, y, z)
}

func (a *assembler) fmsub213(x Op, y, z reg.VecVirtual) {
	a.either(a.VFMSUB213PS, a.VFMSUB213PD)(x, y, z)
}

func (a *assembler) either(single, double func(...Op)) func(...Op) {
	if a.double {
		return double
	}
	return single
}

// and, or and xor are bitwise.
func (a *assembler) and(x Op, y, z reg.VecVirtual) {
	if a.wide {
		a.VPANDD(x, y, z)
	} else {
		a.VPAND(x, y, z)
	}
}

func (a *assembler) or(x Op, y, z reg.VecVirtual) {
	if a.wide {
		a.VPORD(x, y, z)
	} else {
		a.VPOR(x, y, z)
	}
}

func (a *assembler) xor(x Op, y, z reg.VecVirtual) {
	if a.wide {
		a.VPXORD(x, y, z)
	} else {
		a.VPXOR(x, y, z)
	}
}

func (a *assembler) clear(x reg.VecVirtual) { a.xor(x, x, x) }

// zero returns a register of zeros.
func (a *assembler) zero() reg.VecVirtual {
	x := a.reg()
	a.clear(x)
	return x
}

// A mask is the result of a comparison: a mask register, or a vector whose lanes
// are all ones or all zeros.
type mask struct {
	k reg.OpmaskVirtual
	v reg.VecVirtual
}

// The comparisons, by their immediates. They are false for a NaN, except those that
// say otherwise.
const (
	equal          = 0x00
	unordered      = 0x03 // true for a NaN
	less           = 0x11
	notLess        = 0x15 // true for a NaN
	notEqual       = 0x04 // true for a NaN
	notLessOrEqual = 0x16 // true for a NaN
	greaterOrEqual = 0x1D
	greater        = 0x1E
)

// compare compares x with y, lane by lane.
func (a *assembler) compare(how int, x reg.VecVirtual, y Op) mask {
	m := a.newMask()
	switch {
	case a.wide:
		a.VCMPPS(U8(how), y, x, m.k)
	case a.double:
		a.VCMPPD(U8(how), y, x, m.v)
	default:
		a.VCMPPS(U8(how), y, x, m.v)
	}
	return m
}

// equalWords compares words of 32 bits, lane by lane.
func (a *assembler) equalWords(x, y reg.VecVirtual) mask {
	m := a.newMask()
	if a.wide {
		a.VPCMPEQD(y, x, m.k)
	} else {
		a.VPCMPEQD(y, x, m.v)
	}
	return m
}

func (a *assembler) newMask() mask {
	if a.wide {
		return mask{k: a.K()}
	}
	return mask{v: a.reg()}
}

// noLanes returns an empty mask.
func (a *assembler) noLanes() mask {
	m := a.newMask()
	if a.wide {
		a.KXORW(m.k, m.k, m.k)
	} else {
		a.clear(m.v)
	}
	return m
}

// orMask adds m's lanes to those of n, andMask keeps only those of m in n, and
// dropMask takes m's lanes out of n.
func (a *assembler) orMask(m, n mask) {
	if a.wide {
		a.KORW(m.k, n.k, n.k)
	} else {
		a.VORPS(m.v, n.v, n.v)
	}
}

func (a *assembler) andMask(m, n mask) {
	if a.wide {
		a.KANDW(m.k, n.k, n.k)
	} else {
		a.VANDPS(m.v, n.v, n.v)
	}
}

func (a *assembler) dropMask(m, n mask) {
	if a.wide {
		a.KANDNW(n.k, m.k, n.k)
	} else {
		a.VANDNPS(n.v, m.v, n.v)
	}
}

// pick sets z to x in the mask's lanes and to y in the others.
func (a *assembler) pick(m mask, x, y, z reg.VecVirtual) {
	if a.wide {
		a.VBLENDMPS(x, y, m.k, z)
	} else {
		a.VBLENDVPS(m.v, x, y, z)
	}
}

// keep sets z to x in the mask's lanes and to 0 in the others.
func (a *assembler) keep(m mask, x, z reg.VecVirtual) {
	if a.wide {
		a.VMOVAPS_Z(x, m.k, z)
	} else {
		a.VANDPS(m.v, x, z)
	}
}

// storeMask writes a mask as a word of bits.
func (a *assembler) storeMask(m mask, to Mem) { a.MOVL(a.maskBits(m), to) }

// maskBits returns a mask as a word of bits.
func (a *assembler) maskBits(m mask) reg.GPVirtual {
	bits := a.GP32()
	switch {
	case a.wide:
		a.KMOVW(m.k, bits)
	case a.double:
		a.VMOVMSKPD(m.v, bits)
	default:
		a.VMOVMSKPS(m.v, bits)
	}
	return bits
}

// firstLanes returns the mask of the first n lanes, n less than their number. It
// changes n.
func (a *assembler) firstLanes(n reg.GPVirtual) mask {
	m := a.newMask()
	if a.wide {
		bits := a.GP64()
		a.MOVQ(n, reg.RCX)
		a.MOVQ(U64(1), bits)
		a.SHLQ(reg.CL, bits)
		a.DECQ(bits)
		a.KMOVW(bits.As32(), m.k)
		return m
	}
	table := a.GP64()
	a.LEAQ(a.firstLanesTable(), table)
	a.NEGQ(n)
	a.VMOVUPS(Mem{Base: table, Index: n, Scale: uint8(a.size()), Disp: 32}, m.v)
	return m
}

// load and store move the mask's lanes, or all if m is nil. The others are loaded
// as zeros, and left alone in memory.
func (a *assembler) load(m *mask, from Mem) reg.VecVirtual {
	v := a.reg()
	switch {
	case m == nil:
		a.VMOVUPS(from, v)
	case a.wide:
		a.VMOVUPS_Z(from, m.k, v)
	default:
		a.VMASKMOVPS(from, m.v, v)
	}
	return v
}

func (a *assembler) store(m *mask, v reg.VecVirtual, to Mem) {
	switch {
	case m == nil:
		a.VMOVUPS(v, to)
	case a.wide:
		a.VMOVUPS(v, m.k, to)
	default:
		a.VMASKMOVPS(v, m.v, to)
	}
}

// broadcast loads a number into all lanes.
func (a *assembler) broadcast(from Mem) reg.VecVirtual {
	v := a.reg()
	if a.double {
		a.VBROADCASTSD(from, v)
	} else {
		a.VBROADCASTSS(from, v)
	}
	return v
}

// widen returns the lower and the upper half of x's lanes, of float32, as
// float64.
func (a *assembler) widen(x reg.VecVirtual) (lower, upper reg.VecVirtual) {
	lower, upper = a.reg(), a.reg()
	if a.wide {
		half := a.YMM()
		a.VEXTRACTF32X8(U8(1), x, half)
		a.VCVTPS2PD(x.AsY(), lower)
		a.VCVTPS2PD(half, upper)
	} else {
		half := a.XMM()
		a.VEXTRACTF128(U8(1), x, half)
		a.VCVTPS2PD(x.AsX(), lower)
		a.VCVTPS2PD(half, upper)
	}
	return lower, upper
}

// narrow is the inverse of widen, with rounding.
func (a *assembler) narrow(lower, upper reg.VecVirtual) reg.VecVirtual {
	x := a.reg()
	if a.wide {
		half := a.YMM()
		a.VCVTPD2PS(lower, x.AsY())
		a.VCVTPD2PS(upper, half)
		a.VINSERTF32X8(U8(1), half, x, x)
	} else {
		half := a.XMM()
		a.VCVTPD2PSY(lower, x.AsX())
		a.VCVTPD2PSY(upper, half)
		a.VINSERTF128(U8(1), half, x, x)
	}
	return x
}
