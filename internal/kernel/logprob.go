package kernel

import "math"

// LogProb sets dst, one element per distribution, to the log-probability of a value
// under softmax(logits):
//
//	Σᵢ vᵢ log pᵢ
//
// A masked class whose value is 0 adds nothing. Another value there is an error.
func LogProb[T Float](dst, logits, value []T, d Dims) error {
	return eachDistribution(logits, value, d, nil, distributionKernel[T]{
		vector: func(w *rowWork[T], logits, value []T, distribution int, _ []T) bool {
			x, ok := w.exponentials(&w.expQ, logits)
			if !ok {
				return false
			}
			h := dotEntropy(value, logits, &entropyScalars[T]{top: x.top}) - sumUnmasked(value, logits)*math.Log(x.sum)
			dst[distribution] = T(h)
			return isFinite(T(h)) && math.Abs(h) > smallKL[T]()
		},
		columns: func(w *columns, first, rows int, _ bool) uint32 {
			x, totals, bad := w.logProb(d.Classes)
			return bad | failedLanes(rows, func(lane int) bool {
				h := x.dot[lane] - x.total[lane]*math.Log(totals[lane])
				dst[first+lane] = T(h)
				return isFinite(T(h)) && (h < -smallKL[T]() || h > smallKL[T]() || h < -smallEntropy[T]() && x.negative>>lane&1 == 0)
			})
		},
		second: weightsBeside[T],
		plain: func(logP, value []float64, distribution int, _ []T) {
			var sum float64
			for i, v := range value {
				if v != 0 {
					sum += v * logP[i]
				}
			}
			dst[distribution] = T(sum)
		},
	})
}

// GradLogProbLogits sets dst to the gradient to the logits: g (vᵢ − pᵢ Σⱼ vⱼ).
func GradLogProbLogits[T Float](dst, logits, value, grad []T, d Dims) error {
	return eachDistribution(logits, value, d, dst, distributionKernel[T]{
		vector: func(w *rowWork[T], logits, value []T, distribution int, out []T) bool {
			x, ok := w.exponentials(&w.expQ, logits)
			if ok = ok && isFinite(grad[distribution]); !ok {
				return false
			}
			g := float64(grad[distribution])
			share := T(g * sumUnmasked(value, logits) / x.sum)
			axpby(out, value, x.e, &axpbyScalars[T]{T(g), share})
			return isFinite(share)
		},
		columns: func(w *columns, first, rows int, _ bool) uint32 {
			var f columnWeights
			x, totals, bad := w.logProb(d.Classes)
			bad |= failedLanes(rows, func(lane int) bool {
				g := float64(grad[first+lane])
				return f.set(lane, g, -g*x.total[lane]/totals[lane])
			})
			axpbyColumns(w.c[:], w.b[:], w.soft[:], d.Classes, &f)
			return bad
		},
		second: weightsBeside[T],
		plain: func(logP, value []float64, distribution int, out []T) {
			g, sum := float64(grad[distribution]), total(value)
			for i, lp := range logP {
				out[i] = 0
				if !isMasked(lp) {
					out[i] = T(g * (value[i] - sum*math.Exp(lp)))
				}
			}
		},
	})
}

// GradLogProbValue sets dst to the gradient to the value: g log pᵢ, 0 where masked.
func GradLogProbValue[T Float](dst, logits, value, grad []T, d Dims) error {
	return eachDistribution(logits, value, d, dst, distributionKernel[T]{
		vector: func(w *rowWork[T], logits, _ []T, distribution int, out []T) bool {
			x, ok := w.exponentials(&w.expQ, logits)
			if ok = ok && isFinite(grad[distribution]); !ok {
				return false
			}
			g, shift := float64(grad[distribution]), math.Log(x.sum)
			for i, l := range logits {
				out[i] = 0
				if !isMasked(l) {
					out[i] = T(g * (float64(l) - float64(x.top) - shift))
				}
			}
			return shift > smallKL[T]()
		},
		columns: func(w *columns, first, rows int, _ bool) uint32 {
			var f columnFactors
			_, totals, bad := w.logProb(d.Classes)
			bad |= failedLanes(rows, func(lane int) bool {
				shift := math.Log(totals[lane])
				return f.set(lane, float64(grad[first+lane]), shift) && shift > smallKL[T]()
			})
			shiftedColumns(w.c[:], w.c[:], d.Classes, &f)
			return bad
		},
		second: weightsBeside[T],
		plain: func(logP, _ []float64, distribution int, out []T) {
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

// weightsBeside copies the value to dst. It has to be finite, and 0 where masked.
func weightsBeside[T Float](r tileRow[T], logP, dst []float64) error {
	for c, v := range r.p {
		switch {
		case !isFinite(v):
			return r.problem(c, BadSecond)
		case v != 0 && isMasked(logP[c]):
			return r.problem(c, MaskedValue)
		}
		dst[c] = float64(v)
	}
	return nil
}
