package kernel

import "math"

// LogProb sets dst, one element per distribution, to the log-probability of a value
// under softmax(logits):
//
//	Σᵢ vᵢ log pᵢ
//
// A masked class whose value is 0 adds nothing. Another value there is an error.
func LogProb[T Float](dst, logits, value []T, d Dims) error {
	return eachLogProb(logits, value, nil, d, nil, logProbKernel[T]{
		vector: func(x exponentials[T], logits, value, _ []T, distribution int) bool {
			h := dotEntropy(value, logits, &entropyScalars[T]{top: x.top}) - total(value)*math.Log(x.sum)
			dst[distribution] = T(h)
			return isFinite(T(h)) && math.Abs(h) > smallKL[T]()
		},
		plain: func(logP []float64, value, _ []T, distribution int) {
			var sum float64
			for i, v := range value {
				if v != 0 {
					sum += float64(v) * logP[i]
				}
			}
			dst[distribution] = T(sum)
		},
	})
}

// GradLogProbLogits sets dst to the gradient to the logits: g (vᵢ − pᵢ Σⱼ vⱼ).
func GradLogProbLogits[T Float](dst, logits, value, grad []T, d Dims) error {
	return eachLogProb(logits, value, grad, d, dst, logProbKernel[T]{
		vector: func(x exponentials[T], _, value, out []T, distribution int) bool {
			g := float64(grad[distribution])
			share := T(g * total(value) / x.sum)
			axpby(out, value, x.e, &axpbyScalars[T]{T(g), share})
			return isFinite(share)
		},
		plain: func(logP []float64, value, out []T, distribution int) {
			g, sum := float64(grad[distribution]), total(value)
			for i, lp := range logP {
				out[i] = 0
				if !isMasked(lp) {
					out[i] = T(g * (float64(value[i]) - sum*math.Exp(lp)))
				}
			}
		},
	})
}

// GradLogProbValue sets dst to the gradient to the value: g log pᵢ, 0 where masked.
func GradLogProbValue[T Float](dst, logits, value, grad []T, d Dims) error {
	return eachLogProb(logits, value, grad, d, dst, logProbKernel[T]{
		vector: func(x exponentials[T], logits, _, out []T, distribution int) bool {
			g, shift := float64(grad[distribution]), math.Log(x.sum)
			for i, l := range logits {
				out[i] = 0
				if !isMasked(l) {
					out[i] = T(g * (float64(l) - float64(x.top) - shift))
				}
			}
			return shift > smallKL[T]()
		},
		plain: func(logP []float64, _, out []T, distribution int) {
			g := float64(grad[distribution])
			for i, lp := range logP {
				out[i] = 0
				if !isMasked(lp) {
					out[i] = T(g * lp)
				}
			}
		},
	})
}

// total returns the sum of a value.
func total[T Float](value []T) (sum float64) {
	for _, v := range value {
		sum += float64(v)
	}
	return sum
}

// A logProbKernel works on one distribution and its value at a time. out is the
// distribution's row of the array that the op computes, if it computes one element per
// class.
type logProbKernel[T Float] struct {
	// vector does it in vector code. It returns false where it cannot.
	vector func(x exponentials[T], logits, value, out []T, distribution int) bool
	// plain is given log softmax(logits).
	plain func(logP []float64, value, out []T, distribution int)
}

// eachLogProb runs a kernel for every distribution. dst is the array that the kernel
// computes row by row, or nil. grad is nil or has one element per distribution.
func eachLogProb[T Float](logits, value, grad []T, d Dims, dst []T, kernel logProbKernel[T]) error {
	return eachTile(d, costOf[T](costNoise), func(t *tile[T], _ int) error {
		rows, values := t.read(0, logits), t.read(1, value)
		var out, rowOut []T
		if dst != nil {
			out = t.target(2, dst)
		}
		pool := rowWorkPool[T]()
		w := pool.Get().(*rowWork[T])
		defer pool.Put(w)
		for r := range t.rows {
			lo, hi := r*d.Classes, (r+1)*d.Classes
			if dst != nil {
				rowOut = out[lo:hi]
			}
			row, v, n := rows[lo:hi], values[lo:hi], t.distribution(r)
			if grad == nil || isFinite(grad[n]) {
				if x, ok := w.exponentials(&w.expQ, row); ok && kernel.vector(x, row, v, rowOut, n) {
					continue
				}
			}
			logP := sized(&w.logQ, d.Classes)
			if err := logSoftmax(t, logP, row, r, BadFirst); err != nil {
				return err
			}
			for c, x := range v {
				switch {
				case !isFinite(x):
					return &InputError{t.index(r, c), BadSecond, float64(x)}
				case x != 0 && isMasked(logP[c]):
					return &InputError{t.index(r, c), MaskedValue, float64(x)}
				}
			}
			kernel.plain(logP, v, rowOut, n)
		}
		if dst != nil {
			t.flush(2, dst)
		}
		return nil
	})
}
