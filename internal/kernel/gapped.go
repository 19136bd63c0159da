package kernel

import "math"

// AdaptiveGap is the gap of a distribution that depends on the probability p of the
// chosen class: −log(1−p)/p, with p at most 1−1e-5.
const AdaptiveGap = 0

// GradGapped is the estimator of Fan et al. (ICML 2022): straight-through softmax of
// logits that are moved until the chosen class leads all others by the gap, which is
// positive or AdaptiveGap.
func (c Choice[T]) GradGapped(dst, grad []T, gap float64) {
	fixed := math.Exp(-gap / c.Tau)
	at, atOne := newTemperature[T](c.Tau), newTemperature[T](1)
	c.estimate(dst, grad, estimator[T]{
		row: func(t *tile[T], dst, logits, grad []T, chosen int) {
			greatest := t.greatest(logits)
			top := logits[greatest]
			soft, factor := t.row(bufferSoft), fixed
			if gap == AdaptiveGap {
				u := t.softmax(soft, logits, grad, top, atOne)
				factor = math.Exp(-adaptiveGap(float64(soft[chosen])/u.total) / c.Tau)
			}
			u := t.softmax(soft, logits, grad, top, at)
			u.total = leaveGap(soft, soft[greatest], chosen, factor)
			u.dot = dot(soft, grad, dst)
			gradSoft(dst, soft, grad, u, c.Tau)
		},
		columns: func(w *columns, classes int, chosen *[16]uint32) {
			s := laneGaps{class: *chosen}
			for lane := range s.factor {
				s.factor[lane] = float32(fixed)
			}
			if gap == AdaptiveGap {
				w.softmax(&w.soft, classes, 1)
				lanes := lanes[float32]()
				for lane := range lanes {
					p := float64(w.soft[int(chosen[lane])*lanes+lane])
					s.factor[lane] = float32(math.Exp(-adaptiveGap(p) / c.Tau))
				}
			}
			w.softmax(&w.soft, classes, c.Tau)
			gapColumns(w.soft[:], classes, &s)
			w.gradSoft(classes, c.Tau)
		},
	})
}

func adaptiveGap(p float64) float64 {
	if p == 0 { // underflown
		return 1
	}
	p = min(p, 1-1e-5)
	return -math.Log1p(-p) / p
}

// leaveGap moves a sample: the chosen class gets the greatest probability, which is
// most, and others get at most factor times that. It returns the sum, by which the
// sample is not divided.
func leaveGap[T Float](soft []T, most T, chosen int, factor float64) float64 {
	total := limit(soft, T(float64(most)*factor)) - float64(soft[chosen]) + float64(most)
	soft[chosen] = most
	return total
}

// limitGo replaces x by the lesser of x and most, and returns the sum.
func limitGo[T Float](x []T, most T) (sum float64) {
	for i, v := range x {
		x[i] = min(v, most)
		sum += float64(x[i])
	}
	return sum
}

// laneGaps has the class that each lane's row has chosen, and by which factor other
// classes are less probable at least.
type laneGaps struct {
	class  [16]uint32
	factor [16]float32
}

// gapColumnsGo is leaveGap for transposed rows. It divides them by their sum.
func gapColumnsGo(soft []float32, classes int, s *laneGaps) {
	lanes := lanes[float32]()
	for lane := range lanes {
		var top float32
		for i := lane; i < classes*lanes; i += lanes {
			top = max(top, soft[i])
		}
		most := top * s.factor[lane]
		var total float64
		for i, c := lane, 0; c < classes; i, c = i+lanes, c+1 {
			soft[i] = min(soft[i], most)
			if uint32(c) == s.class[lane] {
				soft[i] = top
			}
			total += float64(soft[i])
		}
		for i := lane; i < classes*lanes; i += lanes {
			soft[i] *= float32(1 / total)
		}
	}
}
