package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/gumbel-go/gumbel/ops"
)

const evaluationBatch = 1000

// scores are in nats per image; lower is better. Those that were not finished are NaN.
type scores struct {
	soft, discrete float64 // −ELBO with one sample
	bound          float64 // of −log p(x), from several samples
	bounded        int     // images that bound is the mean of
}

// evaluate scores a model on images. It has its own source of random numbers, so
// it returns the same scores each time and does not affect training. It draws the
// samples of the bound last, so that their number does not change the other
// scores. With an error, it returns the scores that are finished; of the bound, that
// is the mean over the first images.
func evaluate(ctx context.Context, p *parameters, im *images, tau float64, samples int, report reporter) (scores, error) {
	s := scores{soft: math.NaN(), discrete: math.NaN(), bound: math.NaN()}
	batch := min(evaluationBatch, im.n)
	if im.n%batch != 0 {
		return s, fmt.Errorf("evaluate: %d images in batches of %d: the batch must divide them", im.n, batch)
	}
	source := ops.NewSource(newRand(p.settings.Seed, forEvaluation, 0).Uint64())
	soft, err := newDecoderGraph(p, batch, softSamples(p.settings, source, tau))
	if err != nil {
		return s, err
	}
	defer soft.close()
	discrete, err := newDecoderGraph(p, batch, discreteSamples(p.settings, source))
	if err != nil {
		return s, err
	}
	defer discrete.close()
	logits, kl, err := encodeAll(ctx, p, im, batch)
	if err != nil {
		return s, err
	}
	e := evaluator{ctx: ctx, images: im, batch: batch, logits: logits, report: report, total: len(logits) * (2 + samples)}
	reconstruction, err := e.reconstruction(soft)
	if err != nil {
		return s, err
	}
	s.soft = reconstruction + kl
	if reconstruction, err = e.reconstruction(discrete); err != nil {
		return s, err
	}
	s.discrete = reconstruction + kl
	if samples > 0 {
		s.bound, s.bounded, err = e.bound(discrete, p.settings.Classes, samples)
	}
	return s, err
}

// encodeAll returns the logits of all images, one slice per batch, and the mean
// KL.
func encodeAll(ctx context.Context, p *parameters, im *images, batch int) (logits [][]float32, kl float64, err error) {
	g, err := newEncoderGraph(p, batch)
	if err != nil {
		return nil, 0, err
	}
	defer g.close()
	for first := 0; first < im.n; first += batch {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		if err := g.encode(im, first); err != nil {
			return nil, 0, err
		}
		logits = append(logits, slices.Clone(g.logits.floats()))
		kl += sum(g.kl.floats())
	}
	return logits, kl / float64(im.n), nil
}

type evaluator struct {
	ctx    context.Context
	images *images
	batch  int
	logits [][]float32

	report      reporter
	done, total int // batches decoded
}

// decode decodes batch i, unless the evaluation is interrupted.
func (e *evaluator) decode(g *decoderGraph, i int) error {
	if err := e.ctx.Err(); err != nil {
		return err
	}
	if err := g.decode(e.logits[i], e.images, i*e.batch); err != nil {
		return err
	}
	e.done++
	e.report(e.done, e.total)
	return nil
}

// reconstruction returns the mean of −log p(x|z), with one z per image.
func (e *evaluator) reconstruction(g *decoderGraph) (float64, error) {
	var total float64
	for i := range e.logits {
		if err := e.decode(g, i); err != nil {
			return 0, err
		}
		total += sum(g.losses.floats())
	}
	return total / float64(e.images.n), nil
}

// bound returns the mean, over the first n images, of
//
//	−log (1/m) Σⱼ p(x|zⱼ) p(zⱼ) / q(zⱼ|x),   zⱼ ~ q(z|x),  j = 1 … m
//
// (Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", 2016,
// equation 8), where z is one-hot and p(z) is uniform. Without an error, n is the
// number of all images.
func (e *evaluator) bound(g *decoderGraph, classes, m int) (mean float64, n int, err error) {
	var total float64
	for i, logits := range e.logits {
		logRatio := logQ(logits, classes)
		for j := range logRatio {
			logRatio[j] = -math.Log(float64(classes)) - logRatio[j] // log p − log q of the class
		}
		means := make([]logMeanExp, e.batch)
		for range m {
			if err := e.decode(g, i); err != nil {
				return total / float64(n), n, err
			}
			addSample(means, g.losses.floats(), g.sample.floats(), logRatio)
		}
		for _, w := range means {
			total -= w.value()
		}
		n += e.batch
	}
	return total / float64(n), n, nil
}

// addSample adds log p(x|z) + log p(z) − log q(z|x) of one sample to each image's
// mean.
func addSample(means []logMeanExp, losses, z []float32, logRatio []float64) {
	code := len(z) / len(means)
	for i := range means {
		w := -sum(losses[i*pixels : (i+1)*pixels])
		for k := i * code; k < (i+1)*code; k++ {
			if z[k] == 1 {
				w += logRatio[k]
			}
		}
		means[i].add(w)
	}
}

// logQ returns the log-softmax of each block of classes.
func logQ(logits []float32, classes int) []float64 {
	q := make([]float64, len(logits))
	for first := 0; first < len(logits); first += classes {
		block := logits[first : first+classes]
		var l logMeanExp
		for _, v := range block {
			l.add(float64(v))
		}
		logSum := l.value() + math.Log(float64(classes))
		for i, v := range block {
			q[first+i] = float64(v) - logSum
		}
	}
	return q
}

// logMeanExp computes log (1/n) Σ exp(v) of the values added, without overflow.
type logMeanExp struct {
	n, sum, max float64 // sum is Σ exp(v − max)
}

func (l *logMeanExp) add(v float64) {
	switch {
	case l.n == 0:
		l.sum, l.max = 1, v
	case v > l.max:
		l.sum, l.max = l.sum*math.Exp(l.max-v)+1, v
	default:
		l.sum += math.Exp(v - l.max)
	}
	l.n++
}

func (l *logMeanExp) value() float64 { return l.max + math.Log(l.sum/l.n) }

// sum adds float32 values in float64. A float32 sum over a thousand images would
// lose the losses of nearly black pixels, which are too small.
func sum(values []float32) float64 {
	var total float64
	for _, v := range values {
		total += float64(v)
	}
	return total
}
