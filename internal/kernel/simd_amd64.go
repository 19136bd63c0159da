//go:build !purego

package kernel

//go:generate go run -C asm . -out ../simd_amd64.s -stubs ../simd_stubs_amd64.go -pkg kernel

import (
	"math"
	"sync"

	"golang.org/x/sys/cpu"
)

// The instruction sets that there are kernels for.
const (
	levelGo = iota
	levelAVX2
	levelAVX512
)

// level is the one in use. Tests change it.
var level = detect()

func detect() int {
	switch x := cpu.X86; {
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasFMA:
		return levelAVX512
	case x.HasAVX2 && x.HasFMA:
		return levelAVX2
	}
	return levelGo
}

// lanes is how many T a register holds; float64 has AVX2 kernels alone.
func lanes[T Float]() int {
	switch {
	case !isFloat32[T]():
		return 4
	case level == levelAVX512:
		return 16
	}
	return 8
}

// fillGroupsSIMD is fillGroups, if the level has it.
func fillGroupsSIMD[T Float](dst []T, s Stream, rounds *[20]uint32, group uint64, ahead prefetch[T]) bool {
	if level == levelGo {
		return false
	}
	first := group * 16
	counter := [4]uint32{uint32(first), uint32(first >> 32), uint32(s.Draw), uint32(s.Draw >> 32)}
	if len(ahead.a) < len(dst) {
		ahead.a = dst
	}
	if len(ahead.b) < len(dst) {
		ahead.b = dst
	}
	gumbelSIMD(dst, ahead.a, ahead.b, rounds, &counter)
	return true
}

// scalars are what a row's kernels take besides arrays: the peak's sum and
// what its rounding lost, a factor and the mean gradient in two parts each.
type scalars[T Float] struct{ top, low, hi, lo, mean, rest T }

func (s scalars[T]) array() *[6]T {
	return &[6]T{s.top, s.low, s.hi, s.lo, s.mean, s.rest}
}

// parts splits a number into two that add up to it.
func parts[T Float](x float64) (hi, lo T) {
	hi = T(x)
	return hi, T(x - float64(hi))
}

// rate is what the exponentials multiply by, in two parts: 1/tau, or, of
// float32, whose powers are of 2, log2(e)/tau.
func rate[T Float](tau float64) (hi, lo T) {
	if isFloat32[T]() {
		return parts[T](math.Log2E / tau)
	}
	hi = T(1 / tau)
	return hi, T(math.FMA(-float64(hi), tau, 1) / tau)
}

// simdTau tells whether the kernels take a temperature. Its inverse has to be
// far from the ends of T, and in float32 the lesser part of the rate, at most
// 2⁻²⁴ of it, times any difference has to stay finite.
func simdTau[T Float](tau float64) bool {
	least, most := 1e-7, 1e30
	if !isFloat32[T]() {
		least, most = 1e-290, 1e290
	}
	return level != levelGo && tau > least && tau < most
}

// shortRow is the most classes for which float32 rows go through a register's
// lanes side by side.
const shortRow = 64

// sampleRowsSIMD is sampleRows, if the level has it.
func sampleRowsSIMD[T Float](hard, soft, logits, noise []T, classes int, tau float64) (bad int, ok bool) {
	if level == levelGo || (soft != nil && !simdTau[T](tau)) {
		return 0, false
	}
	var at scalars[T]
	at.hi, at.lo = rate[T](tau)
	if x, ok := any(logits).([]float32); ok && classes <= shortRow {
		return sampleShort(any(hard).([]float32), any(soft).([]float32), x, any(noise).([]float32), classes, any(at).(scalars[float32])), true
	}
	for lo := 0; lo < len(logits); lo += classes {
		hi := lo + classes
		top, isBad := peakSIMD(logits[lo:hi], noise[lo:hi])
		if isBad {
			return lo / classes, true
		}
		if hard != nil {
			hard[lo+top.class] = 1
		}
		if soft != nil {
			at.top, at.low = top.sum, top.low
			sum := expsSIMD(soft[lo:hi], logits[lo:hi], noise[lo:hi], at.array())
			timesSIMD(soft[lo:hi], T(1/sum))
		}
	}
	return -1, true
}

// peakSIMD is findPeak, but does not tell what is bad.
func peakSIMD[T Float](logits, noise []T) (top peak[T], bad bool) {
	var sums [32]T
	var classes [16]int
	tie, isNaN := peaks(logits, noise, &sums, &classes)
	best, equals := 0, 1
	for i, sum := range sums[:lanes[T]()] {
		switch {
		case sum > sums[best]:
			best, equals = i, 1
		case sum == sums[best] && i > 0:
			equals++
		}
	}
	sum := sums[best]
	if isNaN != 0 || sum-sum != 0 {
		return top, true
	}
	equals += int(tie >> best & 1)
	if equals > 1 { // rounded sums tie: compare what was lost
		top, _ = findPeak(logits, noise)
		return top, false
	}
	c := classes[best]
	return peak[T]{c, sum, lost(logits[c], noise[c], sum)}, false
}

// turned is room for as many short rows as there are lanes, one class of each
// after the other.
type turned [shortRow * 16]float32

func (t *turned) in(src []float32, classes int) {
	if level == levelAVX512 {
		turnIn32AVX512(&t[0], &src[0], classes)
	} else {
		turnIn32AVX2(&t[0], &src[0], classes)
	}
}

func (t *turned) out(dst []float32, classes int) {
	if level == levelAVX512 {
		turnOut32AVX512(&dst[0], &t[0], classes)
	} else {
		turnOut32AVX2(&dst[0], &t[0], classes)
	}
}

// shortRows is where short rows are worked on.
type shortRows struct {
	a, b, c turned                    // two inputs and an output
	padding [3][shortRow * 16]float32 // the last rows, plain, where they are fewer than the lanes
}

var shortRowsPool = sync.Pool{New: func() any { return new(shortRows) }}

// each turns as many rows of two arrays as there are lanes at a time into s.a
// and s.b, calls f, and turns s.c back into out unless that is nil. It stops
// where f returns false.
func (s *shortRows) each(classes int, a, b, out []float32, f func(first, rows int) bool) {
	size := lanes[float32]() * classes
	for lo := 0; lo < len(a); lo += size {
		n := min(size, len(a)-lo)
		x, y := a[lo:lo+n], b[lo:lo+n]
		if n < size {
			copy(s.padding[0][:], x)
			copy(s.padding[1][:], y)
			x, y = s.padding[0][:size], s.padding[1][:size]
		}
		s.a.in(x, classes)
		s.b.in(y, classes)
		if !f(lo/classes, n/classes) {
			return
		}
		switch {
		case out == nil:
		case n == size:
			s.c.out(out[lo:lo+n], classes)
		default:
			s.c.out(s.padding[2][:size], classes)
			copy(out[lo:], s.padding[2][:n])
		}
	}
}

// sampleShort is sampleRows for short rows, as many at a time as there are
// lanes. at holds the rate.
func sampleShort(hard, soft, logits, noise []float32, classes int, at scalars[float32]) (bad int) {
	s := shortRowsPool.Get().(*shortRows)
	defer shortRowsPool.Put(s)
	var target *float32
	if soft != nil {
		target = &s.c[0]
	}
	bad = -1
	s.each(classes, logits, noise, soft, func(first, rows int) bool {
		var peaks [32]float32
		var class [18]uint32
		if level == levelAVX512 {
			columns32AVX512(target, &s.a[0], &s.b[0], classes, at.array(), &peaks, &class)
		} else {
			columns32AVX2(target, &s.a[0], &s.b[0], classes, at.array(), &peaks, &class)
		}
		for i := range rows {
			if sum := peaks[i]; class[17]>>i&1 != 0 || sum-sum != 0 {
				bad = first + i
				return false
			}
			if hard != nil {
				hard[(first+i)*classes+int(class[i])] = 1
			}
		}
		return true
	})
	return bad
}

// gradRowsSIMD is gradRows, if the level has it.
func gradRowsSIMD[T Float](dst, soft, grad []T, classes int, tau float64) bool {
	if !simdTau[T](tau) {
		return false
	}
	at := scalars[T]{hi: T(1 / tau)}
	if y, ok := any(soft).([]float32); ok && classes <= shortRow {
		gradShort(any(dst).([]float32), y, any(grad).([]float32), classes, any(at.array()).(*[6]float32))
		return true
	}
	for lo := 0; lo < len(soft); lo += classes {
		hi := lo + classes
		at.mean, at.rest = parts[T](dotSIMD(soft[lo:hi], grad[lo:hi], dst[lo:hi]))
		gradSIMD(dst[lo:hi], soft[lo:hi], grad[lo:hi], at.array())
	}
	return true
}

func gradShort(dst, soft, grad []float32, classes int, at *[6]float32) {
	s := shortRowsPool.Get().(*shortRows)
	defer shortRowsPool.Put(s)
	s.each(classes, soft, grad, dst, func(_, _ int) bool {
		if level == levelAVX512 {
			gradColumns32AVX512(&s.c[0], &s.a[0], &s.b[0], classes, at)
		} else {
			gradColumns32AVX2(&s.c[0], &s.a[0], &s.b[0], classes, at)
		}
		return true
	})
}

// gradTauRowSIMD is gradTauRow, if the level has it.
func gradTauRowSIMD[T Float](logits, noise, soft, grad []T, top peak[T], tau float64) (sum float64, ok bool) {
	if !simdTau[T](tau) {
		return 0, false
	}
	at := scalars[T]{top: top.sum, low: top.low}
	at.mean, at.rest = parts[T](dotSIMD(soft, grad, soft))
	return gradTauSIMD(logits, noise, soft, grad, at.array()) / tau, true
}
