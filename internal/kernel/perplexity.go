package kernel

import "math"

// Perplexity sets dst, one element per block, to the perplexity of the block's mean
// distribution:
//
//	PP = e^H,  H = −Σᵢ p̄ᵢ log p̄ᵢ
//
// Distribution number r of the logits is in block r mod blocks, and p̄ is the mean of
// softmax(logits) over a block, which has at least one distribution. Unless it is empty,
// Perplexity also sets slopes, one element per block and class, to −PP (log p̄ᵢ + H), or 0
// where p̄ᵢ is 0. This is the gradient to p̄ up to a constant that GradPerplexity cancels.
func Perplexity[T Float](dst, slopes, logits []T, d Dims, blocks int) error {
	if d.Size() == 0 {
		return nil
	}
	pool := bufferPool[float64]()
	buffers := pool.Get().(*[maxArrays][]float64)
	defer pool.Put(buffers)
	sums, err := sumSoftmax(buffers, logits, d, blocks)
	if err != nil {
		return err
	}
	for b := range dst {
		lo, hi := b*d.Classes, (b+1)*d.Classes
		value, h := perplexity(sums[lo:hi])
		dst[b] = T(value)
		if len(slopes) == 0 {
			continue
		}
		for i, logP := range sums[lo:hi] {
			slopes[lo+i] = 0
			if !isMasked(logP) {
				slopes[lo+i] = T(-value * (logP + h))
			}
		}
	}
	return nil
}

// perplexity replaces the sums of probabilities by the logarithms of their mean, and
// returns the perplexity and the entropy. It divides by the sum of the sums, which is the
// number of distributions but for the rounding of their probabilities. Rounding does not
// take the perplexity out of its bounds.
func perplexity(sums []float64) (value, h float64) {
	var total float64
	for _, sum := range sums {
		total += sum
	}
	for i, sum := range sums {
		p := sum / total
		sums[i] = math.Log(p)
		if p != 0 {
			h -= p * sums[i]
		}
	}
	return min(max(math.Exp(h), 1), float64(len(sums))), h
}

const (
	// maxSums bounds the number of goroutines that have work, and the memory for their
	// sums.
	maxSums = 64

	// sumRows is how many distributions of each block go into a sum, at least, so that
	// the sums take little memory and time beside the logits.
	sumRows = 8

	// sumSpan is how many elements are added at a time, at least. The distributions of
	// few classes would waste most of a vector register.
	sumSpan = 512
)

// sumSoftmax returns the sum of softmax(logits) over each block, in a buffer. A bit does
// not depend on the number of goroutines, because each run of tiles has its own sums.
func sumSoftmax[T Float](buffers *[maxArrays][]float64, logits []T, d Dims, blocks int) ([]float64, error) {
	width, _, count := d.tiles()
	size := max(CeilDiv(count, maxSums), CeilDiv(sumRows*blocks, width))
	period := blocks * d.Classes
	span := period * CeilDiv(sumSpan, period)
	stride := span + addPadding
	sums := sized(&buffers[0], CeilDiv(count, size)*stride)
	clear(sums)
	err := eachRun(d, size, costOf[T](costNoise), func(t *tile[T], number int) error {
		soft, err := t.probabilities(logits)
		if err != nil {
			return err
		}
		sum := sums[number/size*stride:][:stride]
		at := t.distribution(0) % blocks * d.Classes
		for len(soft) > 0 {
			n := min(span-at, len(soft))
			addTo(soft[:n], sum[at:])
			soft, at = soft[n:], 0
		}
		return nil
	})
	total := sized(&buffers[1], period)
	clear(total)
	for ; len(sums) > 0; sums = sums[stride:] {
		for at := 0; at < span; at += period {
			for i, v := range sums[at : at+period] {
				total[i] += v
			}
		}
	}
	return total, err
}

// probabilities returns the softmax of the tile's rows, in buffer 2.
func (t *tile[T]) probabilities(logits []T) ([]T, error) {
	rows, zeros, soft := t.read(0, logits), t.noise(1, Noise[T]{}, prefetch[T]{}), t.buffer(2)
	if bad := sampleRows(oneHots[T]{}, soft, rows, zeros, t.Classes, 1); bad >= 0 {
		return nil, rowError(t, rows, zeros, bad)
	}
	return soft, nil
}

// addPadding is how many elements after the sums the vector code of addTo may access. It
// adds 0 to them.
const addPadding = 15

// addToGo adds x to sums.
func addToGo[T Float](x []T, sums []float64) {
	for i, v := range x {
		sums[i] += float64(v)
	}
}

// GradPerplexity sets dst to the gradient to the logits, given that to the perplexities.
// Of the B distributions of a block, each with the softmax p, it is
//
//	(g/B) pᵢ (slopeᵢ − Σⱼ pⱼ slopeⱼ)
//
// which is the gradient of a softmax that receives the gradient g·slope/B. If g is not
// finite, it is NaN, but 0 for a masked class.
func GradPerplexity[T Float](dst, logits, slopes, grad []T, d Dims, blocks int) {
	if d.Size() == 0 {
		return
	}
	pool := bufferPool[T]()
	buffers := pool.Get().(*[maxArrays][]T)
	defer pool.Put(buffers)
	width, _, _ := d.tiles()
	upstream := sized(&buffers[0], (blocks+width)*d.Classes) // of a tile that begins in any block
	batch := float64(d.Rows() / blocks)
	for i, slope := range slopes {
		upstream[i] = T(float64(grad[i/d.Classes]) / batch * float64(slope))
	}
	for at := len(slopes); at < len(upstream); at *= 2 {
		copy(upstream[at:], upstream[:at])
	}
	c := Choice[T]{Dims: d, Logits: logits, Tau: 1}
	c.estimateRows(dst, func(t *tile[T]) []T {
		first := t.distribution(0) % blocks * d.Classes
		return upstream[first : first+t.rows*d.Classes]
	}, c.gradSoftmax())
}
