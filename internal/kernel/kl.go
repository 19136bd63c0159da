package kernel

import "math"

// KL sets dst, one element a distribution, to the Kullback-Leibler divergence
// of softmax(q) from softmax(p):
//
//	KL = Σᵢ softmax(q)ᵢ (log softmax(q)ᵢ − log softmax(p)ᵢ)
//
// A nil p is the uniform distribution.
func KL[T Float](dst, q, p []T, d Dims) error {
	return eachDivergence(q, p, d, func(t *tile[T], r int, logQ, logP []float64) {
		dst[t.distribution(r)] = T(divergence(logQ, logP))
	}, nil)
}

// GradKLQ sets dst to the gradient to q, given that to KL, one element a
// distribution: dL/dqᵢ = g softmax(q)ᵢ (log softmax(q)ᵢ − log softmax(p)ᵢ − KL).
func GradKLQ[T Float](dst, q, p, grad []T, d Dims) error {
	return eachDivergence(q, p, d, func(t *tile[T], r int, logQ, logP []float64) {
		g, kl := float64(grad[t.distribution(r)]), divergence(logQ, logP)
		out := t.target(2, dst)[r*d.Classes:]
		for i, lq := range logQ {
			out[i] = 0
			if y := math.Exp(lq); y != 0 {
				out[i] = T(g * y * (lq - logP[i] - kl))
			}
		}
	}, dst)
}

// GradKLP sets dst to the gradient to p: dL/dpᵢ = g (softmax(p)ᵢ − softmax(q)ᵢ).
func GradKLP[T Float](dst, q, p, grad []T, d Dims) error {
	return eachDivergence(q, p, d, func(t *tile[T], r int, logQ, logP []float64) {
		g := float64(grad[t.distribution(r)])
		out := t.target(2, dst)[r*d.Classes:]
		for i, lq := range logQ {
			out[i] = T(g * (math.Exp(logP[i]) - math.Exp(lq)))
		}
	}, dst)
}

// eachDivergence calls f for every distribution with log softmax(q) and
// log softmax(p). What f writes by way of buffer 2 goes to dst.
func eachDivergence[T Float](q, p []T, d Dims, f func(t *tile[T], r int, logQ, logP []float64), dst []T) error {
	return eachTile(d, costNoise, func(t *tile[T], _ int) error {
		logQ, logP := make([]float64, d.Classes), make([]float64, d.Classes)
		for i := range logP {
			logP[i] = -math.Log(float64(d.Classes))
		}
		rowsQ := t.read(0, q)
		var rowsP []T
		if p != nil {
			rowsP = t.read(1, p)
		}
		for r := range t.rows {
			lo, hi := r*d.Classes, (r+1)*d.Classes
			if err := logSoftmax(t, logQ, rowsQ[lo:hi], r, BadFirst); err != nil {
				return err
			}
			if p != nil {
				if err := logSoftmax(t, logP, rowsP[lo:hi], r, BadSecond); err != nil {
					return err
				}
				if c := unbounded(logQ, logP); c >= 0 {
					return &InputError{t.index(r, c), Infinite, float64(rowsP[lo+c])}
				}
			}
			f(t, r, logQ, logP)
		}
		if dst != nil {
			t.flush(2, dst)
		}
		return nil
	})
}

// logSoftmax sets dst to the log softmax of row r, -Inf where masked.
func logSoftmax[T Float](t *tile[T], dst []float64, row []T, r int, culprit Problem) error {
	top := math.Inf(-1)
	for c, v := range row {
		if !(v-v == 0) && !(v < 0) {
			return &InputError{t.index(r, c), culprit, float64(v)}
		}
		top = max(top, float64(v))
	}
	if math.IsInf(top, -1) {
		problem := AllMasked
		if culprit == BadSecond {
			problem = AllMaskedSecond
		}
		return &InputError{Index: t.index(r, 0), Problem: problem}
	}
	var sum float64
	for c, v := range row {
		dst[c] = float64(v) - top
		sum += math.Exp(dst[c])
	}
	shift := math.Log(sum)
	for c := range dst {
		dst[c] -= shift
	}
	return nil
}

// unbounded returns the first class that q allows and p does not, else -1.
func unbounded(logQ, logP []float64) int {
	for c, lq := range logQ {
		if math.IsInf(logP[c], -1) && !math.IsInf(lq, -1) {
			return c
		}
	}
	return -1
}

// divergence returns Σ e^logQ (logQ − logP). Rounding alone could make it
// negative.
func divergence(logQ, logP []float64) float64 {
	var sum float64
	for i, lq := range logQ {
		if y := math.Exp(lq); y != 0 {
			sum += y * (lq - logP[i])
		}
	}
	return max(sum, 0)
}
