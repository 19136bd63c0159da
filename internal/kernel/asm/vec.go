package main

import (
	"fmt"
	"math"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// level is an instruction set that kernels are generated for. The methods of
// this file are the few operations in which the two differ; all others have
// one name for both widths.
type level struct {
	suffix string
	wide   bool // AVX-512: 64-byte registers and mask registers
	double bool // float64 in place of float32, with AVX2 alone
	bytes  int
	lanes  int

	even       reg.OpmaskVirtual // the even 32-bit lanes
	half, unit reg.VecVirtual    // 1/2, 2⁻³²
}

var levels = []level{
	{suffix: "AVX2", bytes: 32, lanes: 8},
	{suffix: "AVX512", wide: true, bytes: 64, lanes: 16},
	{suffix: "AVX2", double: true, bytes: 32, lanes: 4},
}

// size is that of an element.
func (l level) size() int { return l.bytes / l.lanes }

// text begins the function name32LEVEL, or name64LEVEL. In its signature T is
// the element type and W a word of its size.
func (l level) text(name, signature string) {
	bits := fmt.Sprint(8 * l.size())
	signature = strings.NewReplacer("T", "float"+bits, "W", "uint"+bits).Replace(signature)
	TEXT(name+bits+l.suffix, NOSPLIT, signature)
	Pragma("noescape")
}

// item is where an element of an array is.
func (l level) item(array reg.Register, i int) Mem { return Mem{Base: array, Disp: i * l.size()} }

// number is a vector of one number, word of one word.
func (l level) number(x float64) Mem {
	if l.double {
		return f64(x)
	}
	return f32(x)
}

func (l level) word(x uint64) Mem {
	if l.double {
		return u64(x)
	}
	return u32(uint32(x))
}

// iota is the vector 0, 1, 2 ….
func (l level) iota() Mem {
	if !l.double {
		return iota32()
	}
	m, ok := constants["iota64"]
	if !ok {
		m = GLOBL("iota64", RODATA|NOPTR)
		for i := range 4 {
			DATA(8*i, U64(i))
		}
		constants["iota64"] = m
	}
	return m
}

// Arithmetic of either element type, with the operands in the assembler's
// order: sub is c = b − a, div c = b/a; of the fused ones, fmadd231 is
// c = b·a + c, fmadd213 c = b·c + a, fnmadd231 c = c − b·a, fmsub213 c = b·c − a.

func (l level) add(a Op, b, c reg.VecVirtual)       { l.either(VADDPS, VADDPD)(a, b, c) }
func (l level) sub(a Op, b, c reg.VecVirtual)       { l.either(VSUBPS, VSUBPD)(a, b, c) }
func (l level) mul(a Op, b, c reg.VecVirtual)       { l.either(VMULPS, VMULPD)(a, b, c) }
func (l level) div(a Op, b, c reg.VecVirtual)       { l.either(VDIVPS, VDIVPD)(a, b, c) }
func (l level) fmadd231(a Op, b, c reg.VecVirtual)  { l.either(VFMADD231PS, VFMADD231PD)(a, b, c) }
func (l level) fmadd213(a Op, b, c reg.VecVirtual)  { l.either(VFMADD213PS, VFMADD213PD)(a, b, c) }
func (l level) fnmadd231(a Op, b, c reg.VecVirtual) { l.either(VFNMADD231PS, VFNMADD231PD)(a, b, c) }
func (l level) fmsub213(a Op, b, c reg.VecVirtual)  { l.either(VFMSUB213PS, VFMSUB213PD)(a, b, c) }
func (l level) addWords(a Op, b, c reg.VecVirtual)  { l.either(VPADDD, VPADDQ)(a, b, c) }

func (l level) either(single, double func(...Op)) func(...Op) {
	if l.double {
		return double
	}
	return single
}

// reg returns a new vector register.
func (l level) reg() reg.VecVirtual {
	if l.wide {
		return ZMM()
	}
	return YMM()
}

// constants are the read-only vectors made so far, each of 64 bytes.
var constants = map[string]Mem{}

// f32 is a vector of one number.
func f32(x float64) Mem { return u32(math.Float32bits(float32(x))) }

// u32 is a vector of one word.
func u32(x uint32) Mem {
	name := fmt.Sprintf("word%08x", x)
	m, ok := constants[name]
	if !ok {
		m = GLOBL(name, RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(x))
		}
		constants[name] = m
	}
	return m
}

// f64 is a vector of one double.
func f64(x float64) Mem { return u64(math.Float64bits(x)) }

func u64(x uint64) Mem {
	name := fmt.Sprintf("quad%016x", x)
	m, ok := constants[name]
	if !ok {
		m = GLOBL(name, RODATA|NOPTR)
		for i := range 8 {
			DATA(8*i, U64(x))
		}
		constants[name] = m
	}
	return m
}

// iota32 is the vector 0, 1, 2 ….
func iota32() Mem {
	m, ok := constants["iota"]
	if !ok {
		m = GLOBL("iota", RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(i))
		}
		constants["iota"] = m
	}
	return m
}

// and, or and xor are bitwise.
func (l level) and(a Op, b, dst reg.VecVirtual) {
	if l.wide {
		VPANDD(a, b, dst)
	} else {
		VPAND(a, b, dst)
	}
}

func (l level) or(a Op, b, dst reg.VecVirtual) {
	if l.wide {
		VPORD(a, b, dst)
	} else {
		VPOR(a, b, dst)
	}
}

func (l level) xor(a Op, b, dst reg.VecVirtual) {
	if l.wide {
		VPXORD(a, b, dst)
	} else {
		VPXOR(a, b, dst)
	}
}

func (l level) zero(dst reg.VecVirtual) { l.xor(dst, dst, dst) }

// prepare sets, in the function begun, what wide registers hold throughout.
func (l *level) prepare() {
	if !l.wide {
		return
	}
	l.even = l.maskOf(0x5555)
	l.half, l.unit = l.reg(), l.reg()
	VMOVUPS(f32(0.5), l.half)
	VMOVUPS(f32(1.0/(1<<32)), l.unit)
}

func (l level) maskOf(bits uint32) reg.OpmaskVirtual {
	k, word := K(), GP32()
	MOVL(U32(bits), word)
	KMOVW(word, k)
	return k
}

// mask is the outcome of a comparison: a mask register, or a vector whose
// lanes are all ones or all zeros.
type mask struct {
	k reg.OpmaskVirtual
	v reg.VecVirtual
}

// The comparisons, by their immediates.
const (
	equal          = 0x00 // ordered, as all that follow but two
	unordered      = 0x03
	less           = 0x11
	notEqual       = 0x04 // or unordered
	greaterOrEqual = 0x1D
	greater        = 0x1E
)

// compare compares a with b, lane by lane.
func (l level) compare(how int, a reg.VecVirtual, b Op) mask {
	m := l.newMask()
	switch {
	case l.wide:
		VCMPPS(U8(how), b, a, m.k)
	case l.double:
		VCMPPD(U8(how), b, a, m.v)
	default:
		VCMPPS(U8(how), b, a, m.v)
	}
	return m
}

func (l level) newMask() mask {
	if l.wide {
		return mask{k: K()}
	}
	return mask{v: l.reg()}
}

func (l level) noMask() mask {
	m := l.newMask()
	if l.wide {
		KXORW(m.k, m.k, m.k)
	} else {
		l.zero(m.v)
	}
	return m
}

// orMask and andMask change their last argument.
func (l level) orMask(a, b mask) {
	if l.wide {
		KORW(a.k, b.k, b.k)
	} else {
		VORPS(a.v, b.v, b.v)
	}
}

func (l level) andMask(a, b mask) {
	if l.wide {
		KANDW(a.k, b.k, b.k)
	} else {
		VANDPS(a.v, b.v, b.v)
	}
}

// dropMask takes a's lanes out of b.
func (l level) dropMask(a, b mask) {
	if l.wide {
		KANDNW(b.k, a.k, b.k)
	} else {
		VANDNPS(b.v, a.v, b.v)
	}
}

// pick sets dst to yes in the mask's lanes, to no elsewhere.
func (l level) pick(m mask, yes, no, dst reg.VecVirtual) {
	if l.wide {
		VBLENDMPS(yes, no, m.k, dst)
	} else {
		VBLENDVPS(m.v, yes, no, dst)
	}
}

// keep sets dst to x in the mask's lanes, to 0 elsewhere.
func (l level) keep(m mask, x, dst reg.VecVirtual) {
	if l.wide {
		VMOVAPS_Z(x, m.k, dst)
	} else {
		VANDPS(m.v, x, dst)
	}
}

// storeMask writes a mask as a word of bits.
func (l level) storeMask(m mask, to Mem) { MOVL(l.maskBits(m), to) }

// maskBits is a mask as a word of bits.
func (l level) maskBits(m mask) reg.GPVirtual {
	bits := GP32()
	switch {
	case l.wide:
		KMOVW(m.k, bits)
	case l.double:
		VMOVMSKPD(m.v, bits)
	default:
		VMOVMSKPS(m.v, bits)
	}
	return bits
}

// firstLanes is the mask of the first n lanes, n under the lanes' number. It
// spoils n.
func (l level) firstLanes(n reg.GPVirtual) mask {
	m := l.newMask()
	if l.wide {
		bits := GP64()
		MOVQ(n, reg.RCX)
		MOVQ(U64(1), bits)
		SHLQ(reg.CL, bits)
		DECQ(bits)
		KMOVW(bits.As32(), m.k)
		return m
	}
	table := GP64()
	LEAQ(firstLanesTable(), table)
	NEGQ(n)
	VMOVUPS(Mem{Base: table, Index: n, Scale: uint8(l.size()), Disp: 32}, m.v)
	return m
}

// firstLanesTable is eight words of ones, then eight of zeros.
func firstLanesTable() Mem {
	m, ok := constants["firstLanes"]
	if !ok {
		m = GLOBL("firstLanes", RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(uint32(int32(i-8)>>31)))
		}
		constants["firstLanes"] = m
	}
	return m
}

// load and store move the mask's lanes; the others are zeros and left alone.
func (l level) load(m *mask, from Mem) reg.VecVirtual {
	v := l.reg()
	switch {
	case m == nil:
		VMOVUPS(from, v)
	case l.wide:
		VMOVUPS_Z(from, m.k, v)
	default:
		VMASKMOVPS(from, m.v, v)
	}
	return v
}

func (l level) store(m *mask, v reg.VecVirtual, to Mem) {
	switch {
	case m == nil:
		VMOVUPS(v, to)
	case l.wide:
		VMOVUPS(v, m.k, to)
	default:
		VMASKMOVPS(v, m.v, to)
	}
}

// broadcast loads a number into all lanes.
func (l level) broadcast(from Mem) reg.VecVirtual {
	v := l.reg()
	l.broadcastTo(from, v)
	return v
}

func (l level) broadcastTo(from Mem, v reg.VecVirtual) {
	if l.double {
		VBROADCASTSD(from, v)
	} else {
		VBROADCASTSS(from, v)
	}
}

// span is an array that a loop goes along.
type span struct {
	l    level
	base reg.Register
	m    *mask
}

func (s span) get() reg.VecVirtual  { return s.l.load(s.m, Mem{Base: s.base}) }
func (s span) put(v reg.VecVirtual) { s.l.store(s.m, v, Mem{Base: s.base}) }

// along runs body over n elements of arrays side by side, a register at a time,
// and once more for what is left: then with the mask of its lanes, else nil.
func (l level) along(name string, n reg.GPVirtual, arrays []reg.Register, body func(at []span, rest *mask)) {
	at := func(m *mask) (spans []span) {
		for _, a := range arrays {
			spans = append(spans, span{l, a, m})
		}
		return spans
	}
	Label(name + "whole")
	CMPQ(n, U32(l.lanes))
	JB(LabelRef(name + "rest"))
	body(at(nil), nil)
	for _, a := range arrays {
		ADDQ(U32(l.bytes), a)
	}
	SUBQ(U32(l.lanes), n)
	JMP(LabelRef(name + "whole"))
	Label(name + "rest")
	TESTQ(n, n)
	JZ(LabelRef(name + "done"))
	m := l.firstLanes(n)
	body(at(&m), &m)
	Label(name + "done")
}

// sums adds lanes up in float64; float64 lanes need a alone.
type sums struct {
	l    level
	a, b reg.VecVirtual
}

func (l level) newSums() sums {
	s := sums{l, l.reg(), l.reg()}
	l.zero(s.a)
	l.zero(s.b)
	return s
}

// halves converts float32 lanes to float64.
func (l level) halves(x reg.VecVirtual) (a, b reg.VecVirtual) {
	a, b = l.reg(), l.reg()
	if l.wide {
		upper := YMM()
		VEXTRACTF32X8(U8(1), x, upper)
		VCVTPS2PD(x.AsY(), a)
		VCVTPS2PD(upper, b)
	} else {
		upper := XMM()
		VEXTRACTF128(U8(1), x, upper)
		VCVTPS2PD(x.AsX(), a)
		VCVTPS2PD(upper, b)
	}
	return a, b
}

// whole converts them back.
func (l level) whole(a, b reg.VecVirtual) reg.VecVirtual {
	x := l.reg()
	if l.wide {
		upper := YMM()
		VCVTPD2PS(a, x.AsY())
		VCVTPD2PS(b, upper)
		VINSERTF32X8(U8(1), upper, x, x)
	} else {
		upper := XMM()
		VCVTPD2PSY(a, x.AsX())
		VCVTPD2PSY(b, upper)
		VINSERTF128(U8(1), upper, x, x)
	}
	return x
}

func (s sums) add(x reg.VecVirtual) {
	if s.l.double {
		VADDPD(x, s.a, s.a)
		return
	}
	a, b := s.l.halves(x)
	VADDPD(a, s.a, s.a)
	VADDPD(b, s.b, s.b)
}

// addProduct adds x·y.
func (s sums) addProduct(x, y reg.VecVirtual) {
	if s.l.double {
		VFMADD231PD(x, y, s.a)
		return
	}
	xa, xb := s.l.halves(x)
	ya, yb := s.l.halves(y)
	VFMADD231PD(xa, ya, s.a)
	VFMADD231PD(xb, yb, s.b)
}

func (s sums) store(to reg.Register) {
	VMOVUPD(s.a, Mem{Base: to})
	VMOVUPD(s.b, Mem{Base: to, Disp: s.l.bytes})
}
