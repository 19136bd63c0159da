package kernel

import "math"

// GradRao is Gumbel-Rao (Paulus, Maddison and Krause, ICLR 2021): the gradient of a soft
// sample, averaged over noise that is drawn again on the condition that it leads to the
// class chosen. With E standard exponential noise,
//
//	φ_d = −log E_d,  φ_i = log p_i − log(E_i + p_i E_d)
//
// Each of the samples has the noise of a stream that belongs to the given one, and they
// are drawn one after another, so the memory does not depend on their number.
func (c Choice[T]) GradRao(dst, grad []T, noise Stream, samples int) {
	// More goroutines are worth it the more samples there are.
	_ = eachTile(c.Dims, costOf[T](costNoise)*samples, func(t *tile[T], _ int) error {
		in := c.inputs(t, t.read(bufferGrad, grad))
		out := t.target(bufferOut, dst)
		clear(out)
		if isFloat32[T]() && c.Classes <= shortRow && hasVector[T](c.Tau) {
			raoShortRows(any(t).(*tile[float32]), any(out).([]float32), any(in).(estimatorInputs[float32]), noise, samples, c.Tau)
		} else {
			c.raoRows(t, out, in, noise, samples)
		}
		in.spoil(out, c.Classes)
		t.flush(bufferOut, dst)
		return nil
	})
}

// raoRows adds the gradients of the samples to dst, row by row.
func (c Choice[T]) raoRows(t *tile[T], dst []T, in estimatorInputs[T], noise Stream, samples int) {
	clear(t.row(bufferZeros))
	atOne := newTemperature[T](1)
	logProbs, probs, drawn := t.buffer(bufferLogProbs), t.buffer(bufferProbs), t.buffer(bufferNoise)
	for r := range t.rows {
		lo, hi := r*c.Classes, (r+1)*c.Classes
		logits, greatest := in.logits[lo:hi], t.greatest(in.logits[lo:hi])
		u := t.softmax(probs[lo:hi], logits, in.grad[lo:hi], logits[greatest], atOne)
		scale(probs[lo:hi], T(1/u.total))
		logProbabilities(logProbs[lo:hi], logits, probs[lo:hi], greatest, in.class(r))
	}
	for k := range samples {
		t.exponential(drawn, noise.Sub(uint64(k)))
		for r := range t.rows {
			lo, hi := r*c.Classes, (r+1)*c.Classes
			row := raoRow[T]{logProbs[lo:hi], probs[lo:hi], drawn[lo:hi], in.grad[lo:hi]}
			row.add(dst[lo:hi], t.row(bufferSoft), row.noise[in.class(r)], c.Tau, float64(samples))
		}
	}
}

// logProbabilities sets dst to log softmax(logits), but to +Inf for the chosen class,
// so that its φ is the greatest. top is the class of the greatest logit.
func logProbabilities[T Float](dst, logits, probs []T, top, chosen int) {
	greatest, logP := float64(logits[top]), math.Log(float64(probs[top]))
	for i, logit := range logits {
		dst[i] = T(float64(logit) - greatest + logP)
	}
	dst[chosen] = T(math.Inf(1))
}

// raoRow is a distribution and its noise.
type raoRow[T Float] struct{ logProbs, probs, noise, grad []T }

// add adds the gradient of one sample to dst. e is the noise of the chosen class.
func (r raoRow[T]) add(dst, soft []T, e T, tau, samples float64) {
	if !hasVector[T](tau) {
		r.addPlain(dst, soft, float64(e), tau, samples)
		return
	}
	total := conditionalSoft(soft, r.logProbs, r.probs, r.noise, &raoScalars[T]{e, T(math.Log(float64(e))), T(1 / tau)})
	s := gradScalars[T]{inverse: T(1 / (tau * samples * total))}
	s.mean, s.meanLow = splitFloat[T](dot(soft, r.grad, dst) / total)
	addGrad(dst, soft, r.grad, &s)
}

// addPlain is add in float64.
func (r raoRow[T]) addPlain(dst, soft []T, e, tau, samples float64) {
	logE := math.Log(e)
	var total, mean float64
	for i, p := range r.probs {
		y := math.Exp(min(float64(r.logProbs[i])+logE-math.Log(float64(r.noise[i])+float64(p)*e), 0) / tau)
		soft[i] = T(y)
		total += y
		mean += y * float64(r.grad[i])
	}
	mean /= total
	for i, y := range soft {
		dst[i] += T(float64(y) * (float64(r.grad[i]) - mean) / (tau * samples * total))
	}
}

// raoScalars are the noise of the chosen class, its logarithm, and 1/tau.
type raoScalars[T Float] struct{ e, logE, rate T }

// conditionalSoftGo sets dst to e^((φ − φ_d)/tau), 1 for the chosen class d, and returns
// the sum.
func conditionalSoftGo[T Float](dst, logProbs, probs, noise []T, s *raoScalars[T]) (sum float64) {
	for i, p := range probs {
		phi := min(logProbs[i]+s.logE-T(math.Log(float64(noise[i]+p*s.e))), 0)
		dst[i] = T(math.Exp(float64(s.rate * phi)))
		sum += float64(dst[i])
	}
	return sum
}

// addGradGo adds soft·(grad − mean)·inverse to dst.
func addGradGo[T Float](dst, soft, grad []T, s *gradScalars[T]) {
	for i, y := range soft {
		dst[i] += s.inverse * centred(y, grad[i], s.mean, s.meanLow)
	}
}

// raoShortRows is raoRows for short rows, in vector code.
func raoShortRows(t *tile[float32], dst []float32, in estimatorInputs[float32], noise Stream, samples int, tau float64) {
	w := columnsPool.Get().(*columns)
	defer columnsPool.Put(w)
	classes, lanes := t.Classes, lanes[float32]()
	group := classes * lanes
	padded := CeilDiv(t.rows, lanes) * group
	logProbs, probs, sum := sized(&t.buffers[bufferLogProbs], padded), sized(&t.buffers[bufferProbs], padded), sized(&t.buffers[bufferSoft], padded)
	at := func(array []float32, first int) []float32 { return array[first*classes:][:group] }
	w.each(classes, in.logits, in.grad, nil, func(first, rows int) bool {
		w.softmax(&w.probs, classes, 1)
		copy(at(probs, first), w.probs[:])
		w.logProbabilities(at(logProbs, first), classes, laneClassesOf(in.chosen, first, rows))
		clear(at(sum, first))
		return true
	})
	drawn := t.buffer(bufferNoise)
	s := raoColumnsScalars{float32(1 / tau), float32(1 / (tau * float64(samples)))}
	for k := range samples {
		t.exponential(drawn, noise.Sub(uint64(k)))
		w.each(classes, drawn, in.grad, nil, func(first, rows int) bool {
			var e [16]float32
			for lane, class := range laneClassesOf(in.chosen, first, rows)[:lanes] {
				e[lane] = w.a[int(class)*lanes+lane]
			}
			raoColumns(at(sum, first), at(logProbs, first), at(probs, first), w.a[:], w.b[:], w.soft[:], classes, &s, &e)
			return true
		})
	}
	w.each(classes, in.logits, in.grad, dst, func(first, _ int) bool {
		copy(w.c[:], at(sum, first))
		return true
	})
}

// logProbabilities is logProbabilities for the transposed rows c.a, whose probabilities
// are c.probs.
func (c *columns) logProbabilities(dst []float32, classes int, chosen *[16]uint32) {
	lanes := lanes[float32]()
	for lane := range lanes {
		greatest, top := c.a[lane], c.probs[lane]
		for i := lane; i < classes*lanes; i += lanes {
			greatest, top = max(greatest, c.a[i]), max(top, c.probs[i])
		}
		logP := math.Log(float64(top))
		for i := lane; i < classes*lanes; i += lanes {
			dst[i] = float32(float64(c.a[i]) - float64(greatest) + logP)
		}
		dst[int(chosen[lane])*lanes+lane] = float32(math.Inf(1))
	}
}

// raoColumnsScalars are 1/tau, and what a sample's gradient is multiplied by.
type raoColumnsScalars struct{ rate, weight float32 }

// raoColumnsGo adds the gradient of one sample of transposed rows to dst. soft is memory
// for the sample, and e has the noise of the chosen classes.
func raoColumnsGo(dst, logProbs, probs, noise, grad, soft []float32, classes int, s *raoColumnsScalars, e *[16]float32) {
	lanes := lanes[float32]()
	for lane := range lanes {
		logE := float32(math.Log(float64(e[lane])))
		var total, mean float64
		for i := lane; i < classes*lanes; i += lanes {
			phi := min(logProbs[i]+logE-float32(math.Log(float64(noise[i]+probs[i]*e[lane]))), 0)
			soft[i] = float32(math.Exp(float64(s.rate * phi)))
			total += float64(soft[i])
			mean += float64(soft[i]) * float64(grad[i])
		}
		high, low := splitFloat[float32](mean / total)
		weight := float32(float64(s.weight) / total)
		for i := lane; i < classes*lanes; i += lanes {
			dst[i] += weight * centred(soft[i], grad[i], high, low)
		}
	}
}
