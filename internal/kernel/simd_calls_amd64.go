//go:build !purego

package kernel

import "github.com/gumbel-go/gumbel/internal/philox"

// The assembly's functions, each by the element type and the level. What they
// do is said in asm, where they are made.

func gumbelSIMD[T Float](dst, ahead, also []T, rounds *[20]uint32, counter *[4]uint32) {
	groups := len(dst) / philox.Group
	switch dst := any(dst).(type) {
	case []float32:
		a, b := any(ahead).([]float32), any(also).([]float32)
		if level == levelAVX512 {
			gumbel32AVX512(&dst[0], groups, rounds, counter, &a[0], &b[0])
		} else {
			gumbel32AVX2(&dst[0], groups, rounds, counter, &a[0], &b[0])
		}
	case []float64:
		a, b := any(ahead).([]float64), any(also).([]float64)
		gumbel64AVX2(&dst[0], groups, rounds, counter, &a[0], &b[0])
	}
}

// peaks returns the bits of the lanes that tie and of those that met a NaN.
func peaks[T Float](logits, noise []T, sums *[32]T, classes *[16]int) (tie, isNaN uint32) {
	switch x := any(logits).(type) {
	case []float32:
		n, to := any(noise).([]float32), any(sums).(*[32]float32)
		var words [18]uint32
		if level == levelAVX512 {
			peak32AVX512(&x[0], &n[0], len(x), to, &words)
		} else {
			peak32AVX2(&x[0], &n[0], len(x), to, &words)
		}
		for i := range classes {
			classes[i] = int(words[i])
		}
		return words[16], words[17]
	case []float64:
		n, to := any(noise).([]float64), any(sums).(*[32]float64)
		var words [18]uint64
		peak64AVX2(&x[0], &n[0], len(x), to, &words)
		for i := range classes {
			classes[i] = int(words[i])
		}
		return uint32(words[16]), uint32(words[17])
	}
	return 0, 0
}

func addLanes(sum *[16]float64) (total float64) {
	for _, s := range sum {
		total += s
	}
	return total
}

func expsSIMD[T Float](dst, logits, noise []T, at *[6]T) float64 {
	var sum [16]float64
	switch dst := any(dst).(type) {
	case []float32:
		logits, noise, at := any(logits).([]float32), any(noise).([]float32), any(at).(*[6]float32)
		if level == levelAVX512 {
			exps32AVX512(&dst[0], &logits[0], &noise[0], len(dst), at, &sum)
		} else {
			exps32AVX2(&dst[0], &logits[0], &noise[0], len(dst), at, &sum)
		}
	case []float64:
		logits, noise, at := any(logits).([]float64), any(noise).([]float64), any(at).(*[6]float64)
		exps64AVX2(&dst[0], &logits[0], &noise[0], len(dst), at, &sum)
	}
	return addLanes(&sum)
}

func timesSIMD[T Float](dst []T, by T) {
	switch dst := any(dst).(type) {
	case []float32:
		by := any(by).(float32)
		if level == levelAVX512 {
			times32AVX512(&dst[0], len(dst), by)
		} else {
			times32AVX2(&dst[0], len(dst), by)
		}
	case []float64:
		by := any(by).(float64)
		times64AVX2(&dst[0], len(dst), by)
	}
}

func dotSIMD[T Float](soft, grad, ahead []T) float64 {
	var sum [16]float64
	switch soft := any(soft).(type) {
	case []float32:
		grad, ahead := any(grad).([]float32), any(ahead).([]float32)
		if level == levelAVX512 {
			dot32AVX512(&soft[0], &grad[0], len(soft), &sum, &ahead[0])
		} else {
			dot32AVX2(&soft[0], &grad[0], len(soft), &sum, &ahead[0])
		}
	case []float64:
		grad, ahead := any(grad).([]float64), any(ahead).([]float64)
		dot64AVX2(&soft[0], &grad[0], len(soft), &sum, &ahead[0])
	}
	return addLanes(&sum)
}

func gradSIMD[T Float](dst, soft, grad []T, at *[6]T) {
	switch dst := any(dst).(type) {
	case []float32:
		soft, grad, at := any(soft).([]float32), any(grad).([]float32), any(at).(*[6]float32)
		if level == levelAVX512 {
			grad32AVX512(&dst[0], &soft[0], &grad[0], len(dst), at)
		} else {
			grad32AVX2(&dst[0], &soft[0], &grad[0], len(dst), at)
		}
	case []float64:
		soft, grad, at := any(soft).([]float64), any(grad).([]float64), any(at).(*[6]float64)
		grad64AVX2(&dst[0], &soft[0], &grad[0], len(dst), at)
	}
}

func gradTauSIMD[T Float](logits, noise, soft, grad []T, at *[6]T) float64 {
	var sum [16]float64
	switch logits := any(logits).(type) {
	case []float32:
		noise, soft, grad, at := any(noise).([]float32), any(soft).([]float32), any(grad).([]float32), any(at).(*[6]float32)
		if level == levelAVX512 {
			gradTau32AVX512(&logits[0], &noise[0], &soft[0], &grad[0], len(logits), at, &sum)
		} else {
			gradTau32AVX2(&logits[0], &noise[0], &soft[0], &grad[0], len(logits), at, &sum)
		}
	case []float64:
		noise, soft, grad, at := any(noise).([]float64), any(soft).([]float64), any(grad).([]float64), any(at).(*[6]float64)
		gradTau64AVX2(&logits[0], &noise[0], &soft[0], &grad[0], len(logits), at, &sum)
	}
	return addLanes(&sum)
}

func bceSIMD[T Float](dst, logits, targets []T) (bad uint32) {
	switch dst := any(dst).(type) {
	case []float32:
		logits, targets := any(logits).([]float32), any(targets).([]float32)
		if level == levelAVX512 {
			bad = bce32AVX512(&dst[0], &logits[0], &targets[0], len(dst))
		} else {
			bad = bce32AVX2(&dst[0], &logits[0], &targets[0], len(dst))
		}
	case []float64:
		logits, targets := any(logits).([]float64), any(targets).([]float64)
		bad = bce64AVX2(&dst[0], &logits[0], &targets[0], len(dst))
	}
	return bad
}

func bceGradSIMD[T Float](dst, logits, targets, grad []T) (bad uint32) {
	switch dst := any(dst).(type) {
	case []float32:
		logits, targets, grad := any(logits).([]float32), any(targets).([]float32), any(grad).([]float32)
		if level == levelAVX512 {
			bad = bceGrad32AVX512(&dst[0], &logits[0], &targets[0], &grad[0], len(dst))
		} else {
			bad = bceGrad32AVX2(&dst[0], &logits[0], &targets[0], &grad[0], len(dst))
		}
	case []float64:
		logits, targets, grad := any(logits).([]float64), any(targets).([]float64), any(grad).([]float64)
		bad = bceGrad64AVX2(&dst[0], &logits[0], &targets[0], &grad[0], len(dst))
	}
	return bad
}

func klDotSIMD[T Float](e, q, p []T, at *[6]T) (total float64, bad uint32) {
	var sum [16]float64
	switch e := any(e).(type) {
	case []float32:
		q, p, at := any(q).([]float32), any(p).([]float32), any(at).(*[6]float32)
		if level == levelAVX512 {
			bad = klDot32AVX512(&e[0], &q[0], &p[0], len(e), at, &sum)
		} else {
			bad = klDot32AVX2(&e[0], &q[0], &p[0], len(e), at, &sum)
		}
	case []float64:
		q, p, at := any(q).([]float64), any(p).([]float64), any(at).(*[6]float64)
		bad = klDot64AVX2(&e[0], &q[0], &p[0], len(e), at, &sum)
	}
	return addLanes(&sum), bad
}

func klGradSIMD[T Float](dst, e, q, p []T, at *[6]T) {
	switch dst := any(dst).(type) {
	case []float32:
		e, q, p, at := any(e).([]float32), any(q).([]float32), any(p).([]float32), any(at).(*[6]float32)
		if level == levelAVX512 {
			klGrad32AVX512(&dst[0], &e[0], &q[0], &p[0], len(dst), at)
		} else {
			klGrad32AVX2(&dst[0], &e[0], &q[0], &p[0], len(dst), at)
		}
	case []float64:
		e, q, p, at := any(e).([]float64), any(q).([]float64), any(p).([]float64), any(at).(*[6]float64)
		klGrad64AVX2(&dst[0], &e[0], &q[0], &p[0], len(dst), at)
	}
}

func weighSIMD[T Float](dst, a, b []T, at *[6]T) {
	switch dst := any(dst).(type) {
	case []float32:
		a, b, at := any(a).([]float32), any(b).([]float32), any(at).(*[6]float32)
		if level == levelAVX512 {
			weigh32AVX512(&dst[0], &a[0], &b[0], len(dst), at)
		} else {
			weigh32AVX2(&dst[0], &a[0], &b[0], len(dst), at)
		}
	case []float64:
		a, b, at := any(a).([]float64), any(b).([]float64), any(at).(*[6]float64)
		weigh64AVX2(&dst[0], &a[0], &b[0], len(dst), at)
	}
}
