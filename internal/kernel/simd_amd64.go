//go:build !purego

package kernel

//go:generate go run -C gen . -out ../simd_amd64.s -stubs ../simd_amd64_stubs.go -pkg kernel

import (
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

// lanes is how many float32 a register of the level holds.
func lanes() int {
	if level == levelAVX512 {
		return 16
	}
	return 8
}

// fillGroupsSIMD is fillGroups, if the level has it.
func fillGroupsSIMD[T Float](dst []T, s Stream, rounds *[20]uint32, group uint64) bool {
	if level == levelGo {
		return false
	}
	first := group * 16
	counter := [4]uint32{uint32(first), uint32(first >> 32), uint32(s.Draw), uint32(s.Draw >> 32)}
	switch dst := any(dst).(type) {
	case []float32:
		if level == levelAVX512 {
			gumbel32AVX512(&dst[0], len(dst)/64, rounds, &counter)
		} else {
			gumbel32AVX2(&dst[0], len(dst)/64, rounds, &counter)
		}
	case []float64:
		gumbel64AVX2(&dst[0], len(dst)/64, rounds, &counter)
	}
	return true
}

// scalars are what a row's kernels take besides arrays: the peak's sum and
// what its rounding lost, 1/tau and the mean gradient in two parts each.
type scalars struct{ top, low, hi, lo, mean, rest float32 }

func (s scalars) array() *[6]float32 {
	return &[6]float32{s.top, s.low, s.hi, s.lo, s.mean, s.rest}
}

// split32 splits a number into two float32 that add up to it.
func split32(x float64) (hi, lo float32) {
	hi = float32(x)
	return hi, float32(x - float64(hi))
}

// simdTau tells whether the kernels take a temperature: its inverse has to be
// far from the ends of float32.
func simdTau(tau float64) bool { return level != levelGo && tau > 1e-30 && tau < 1e30 }

// shortRow is the most classes for which rows go through a register's lanes
// side by side.
const shortRow = 64

// sampleRowsSIMD is sampleRows, if the level has it.
func sampleRowsSIMD[T Float](hard, soft, logits, noise []T, classes int, tau float64) (bad int, ok bool) {
	x, isFloat32 := any(logits).([]float32)
	if !isFloat32 || (soft != nil && !simdTau(tau)) || level == levelGo {
		return 0, false
	}
	rows := rows32{any(hard).([]float32), any(soft).([]float32), x, any(noise).([]float32), classes, scalars{}}
	rows.at.hi, rows.at.lo = split32(1 / tau)
	if classes <= shortRow {
		return rows.short(), true
	}
	return rows.long(), true
}

// rows32 are rows of float32 to sample: see sampleRows.
type rows32 struct {
	hard, soft, logits, noise []float32
	classes                   int
	at                        scalars // 1/tau
}

// long goes along one row after another.
func (r *rows32) long() (bad int) {
	for lo := 0; lo < len(r.logits); lo += r.classes {
		hi := lo + r.classes
		logits, noise := r.logits[lo:hi], r.noise[lo:hi]
		top, isBad := peakSIMD(logits, noise)
		if isBad {
			return lo / r.classes
		}
		if r.hard != nil {
			r.hard[lo+top.class] = 1
		}
		if r.soft != nil {
			r.at.top, r.at.low = top.sum, top.low
			sum := exps32(r.soft[lo:hi], logits, noise, r.at)
			times32(r.soft[lo:hi], float32(1/sum))
		}
	}
	return -1
}

// peakSIMD is findPeak, but does not tell what is bad.
func peakSIMD(logits, noise []float32) (top peak[float32], bad bool) {
	var peaks [32]float32
	var classes [18]uint32
	if level == levelAVX512 {
		peak32AVX512(&logits[0], &noise[0], len(logits), &peaks, &classes)
	} else {
		peak32AVX2(&logits[0], &noise[0], len(logits), &peaks, &classes)
	}
	sums := peaks[:lanes()]
	best := 0
	for i, sum := range sums {
		if sum > sums[best] {
			best = i
		}
	}
	sum := sums[best]
	if classes[17] != 0 || sum-sum != 0 {
		return top, true
	}
	equals := int(classes[16] >> best & 1)
	for _, s := range sums {
		if s == sum {
			equals++
		}
	}
	if equals > 1 { // rounded sums tie: compare what was lost
		top, _ = findPeak(logits, noise)
		return top, false
	}
	c := int(classes[best])
	return peak[float32]{c, sum, lost(logits[c], noise[c], sum)}, false
}

func exps32(dst, logits, noise []float32, at scalars) float64 {
	var sum [16]float64
	if level == levelAVX512 {
		exps32AVX512(&dst[0], &logits[0], &noise[0], len(dst), at.array(), &sum)
	} else {
		exps32AVX2(&dst[0], &logits[0], &noise[0], len(dst), at.array(), &sum)
	}
	return addLanes(&sum)
}

func addLanes(sum *[16]float64) (total float64) {
	for _, s := range sum {
		total += s
	}
	return total
}

func times32(dst []float32, by float32) {
	if level == levelAVX512 {
		times32AVX512(&dst[0], len(dst), by)
	} else {
		times32AVX2(&dst[0], len(dst), by)
	}
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
	size := lanes() * classes
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

// short takes as many rows as there are lanes at a time.
func (r *rows32) short() (bad int) {
	s := shortRowsPool.Get().(*shortRows)
	defer shortRowsPool.Put(s)
	var soft *float32
	if r.soft != nil {
		soft = &s.c[0]
	}
	bad, at := -1, r.at.array()
	s.each(r.classes, r.logits, r.noise, r.soft, func(first, rows int) bool {
		var peaks [32]float32
		var classes [18]uint32
		if level == levelAVX512 {
			columns32AVX512(soft, &s.a[0], &s.b[0], r.classes, at, &peaks, &classes)
		} else {
			columns32AVX2(soft, &s.a[0], &s.b[0], r.classes, at, &peaks, &classes)
		}
		for i := range rows {
			if sum := peaks[i]; classes[17]>>i&1 != 0 || sum-sum != 0 {
				bad = first + i
				return false
			}
			if r.hard != nil {
				r.hard[(first+i)*r.classes+int(classes[i])] = 1
			}
		}
		return true
	})
	return bad
}

// gradRowsSIMD is gradRows, if the level has it.
func gradRowsSIMD[T Float](dst, soft, grad []T, classes int, tau float64) bool {
	y, ok := any(soft).([]float32)
	if !ok || !simdTau(tau) {
		return false
	}
	out, g := any(dst).([]float32), any(grad).([]float32)
	at := scalars{hi: float32(1 / tau)}
	if classes <= shortRow {
		gradShort(out, y, g, classes, at.array())
		return true
	}
	for lo := 0; lo < len(y); lo += classes {
		hi := lo + classes
		at.mean, at.rest = split32(dot32(y[lo:hi], g[lo:hi]))
		if level == levelAVX512 {
			grad32AVX512(&out[lo], &y[lo], &g[lo], classes, at.array())
		} else {
			grad32AVX2(&out[lo], &y[lo], &g[lo], classes, at.array())
		}
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

func dot32(soft, grad []float32) float64 {
	var sum [16]float64
	if level == levelAVX512 {
		dot32AVX512(&soft[0], &grad[0], len(soft), &sum)
	} else {
		dot32AVX2(&soft[0], &grad[0], len(soft), &sum)
	}
	return addLanes(&sum)
}

// gradTauRowSIMD is gradTauRow, if the level has it.
func gradTauRowSIMD[T Float](logits, noise, soft, grad []T, top peak[T], tau float64) (sum float64, ok bool) {
	x, ok := any(logits).([]float32)
	if !ok || !simdTau(tau) {
		return 0, false
	}
	n, y, g := any(noise).([]float32), any(soft).([]float32), any(grad).([]float32)
	at := scalars{top: float32(top.sum), low: float32(top.low)}
	at.mean, at.rest = split32(dot32(y, g))
	var lanes [16]float64
	if level == levelAVX512 {
		gradTau32AVX512(&x[0], &n[0], &y[0], &g[0], len(x), at.array(), &lanes)
	} else {
		gradTau32AVX2(&x[0], &n[0], &y[0], &g[0], len(x), at.array(), &lanes)
	}
	return addLanes(&lanes) / tau, true
}
