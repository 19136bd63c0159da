package kernel

// GradReinMax is the estimator of Liu et al. (NeurIPS 2023):
//
//	2J(q)g − ½J(p)g,  q = ½(π + D)
//
// At tau 1 it is also the limit of Gumbel-Rao for tau to 0.
func (c Choice[T]) GradReinMax(dst, grad []T) {
	at, atOne := newTemperature[T](c.Tau), newTemperature[T](1)
	c.estimate(dst, grad, estimator[T]{
		row: func(t *tile[T], dst, logits, grad []T, chosen int) {
			top := logits[t.greatest(logits)]
			soft := t.row(bufferSoft)
			u := t.softmax(soft, logits, grad, top, at)
			probs, v := soft, u
			if c.Tau != 1 {
				probs = t.row(bufferProbs)
				v = t.softmax(probs, logits, grad, top, atOne)
			}
			mean := (u.mean() + float64(grad[chosen])) / 2
			s := reinMaxScalars[T]{weight: T(1 / u.total), weightP: T(0.5 / v.total)}
			s.mean, s.meanLow = splitFloat[T](mean)
			s.meanP, s.meanPLow = splitFloat[T](v.mean())
			gradPair(dst, soft, probs, grad, &s)
			dst[chosen] += T(float64(grad[chosen]) - mean)
		},
		columns: func(w *columns, classes int, chosen *[16]uint32) {
			w.softmax(&w.soft, classes, c.Tau)
			probs := &w.soft
			if c.Tau != 1 {
				probs = &w.probs
				w.softmax(probs, classes, 1)
			}
			reinMaxColumns(w.c[:], w.soft[:], probs[:], w.b[:], classes, chosen)
		},
	})
}

// reinMaxScalars are the means of the gradient under q and under p, each in two parts,
// and what the distributions are multiplied by.
type reinMaxScalars[T Float] struct{ mean, meanLow, meanP, meanPLow, weight, weightP T }

// gradPairGo sets dst to weight·soft·(grad − mean) − weightP·probs·(grad − meanP).
func gradPairGo[T Float](dst, soft, probs, grad []T, s *reinMaxScalars[T]) {
	for i, y := range soft {
		dst[i] = s.weight*centred(y, grad[i], s.mean, s.meanLow) - s.weightP*centred(probs[i], grad[i], s.meanP, s.meanPLow)
	}
}

// reinMaxColumnsGo sets dst to (π + D)∘(g − m) − ½p∘(g − ⟨p, g⟩), m = ½(⟨π, g⟩ + g_d), for
// transposed rows, each with the class that it has chosen.
func reinMaxColumnsGo(dst, soft, probs, grad []float32, classes int, chosen *[16]uint32) {
	lanes := lanes[float32]()
	for lane := range lanes {
		var meanSoft, meanP float64
		for i := lane; i < classes*lanes; i += lanes {
			meanSoft += float64(soft[i]) * float64(grad[i])
			meanP += float64(probs[i]) * float64(grad[i])
		}
		at := int(chosen[lane])*lanes + lane
		mean, meanLow := splitFloat[float32]((meanSoft + float64(grad[at])) / 2)
		high, low := splitFloat[float32](meanP)
		for i := lane; i < classes*lanes; i += lanes {
			dst[i] = centred(soft[i], grad[i], mean, meanLow) - 0.5*centred(probs[i], grad[i], high, low)
		}
		dst[at] += grad[at] - mean - meanLow
	}
}
