package kernel

// Noise is what is added to the logits: the array Given, else the noise of a
// Stream, else nothing.
type Noise[T Float] struct {
	Given  []T
	Stream *Stream
}

// A Sampler draws from Categorical(softmax(Logits)) by the Gumbel-max trick
// and its relaxation at temperature Tau.
type Sampler[T Float] struct {
	Dims
	Logits []T
	Noise  Noise[T]
	Tau    float64
}

// Soft sets dst to softmax((logits + noise)/tau).
func (s Sampler[T]) Soft(dst []T) error { return s.sample(nil, dst) }

// Hard sets dst to the one-hot of argmax(logits + noise) and, unless it is
// nil, soft to the soft sample.
func (s Sampler[T]) Hard(dst, soft []T) error { return s.sample(dst, soft) }

func (s Sampler[T]) sample(hard, soft []T) error {
	return eachTile(s.Dims, costOf[T](costNoise), func(t *tile[T], _ int) error {
		var oneHot, relaxed []T
		if hard != nil {
			oneHot = t.target(2, hard)
		}
		if soft != nil {
			relaxed = t.target(3, soft)
		}
		logits := t.read(0, s.Logits)
		noise := t.noise(1, s.Noise, prefetch[T]{logits, relaxed})
		clear(oneHot)
		if bad := sampleRows(oneHot, relaxed, logits, noise, s.Classes, s.Tau); bad >= 0 {
			return rowError(t, logits, noise, bad)
		}
		if hard != nil {
			t.flush(2, hard)
		}
		if soft != nil {
			t.flush(3, soft)
		}
		return nil
	})
}

// sampleRows sets soft to the soft sample of each row and 1 in hard, which is
// cleared, at the class of its peak; either may be nil. It stops at the first
// row with an input that is not allowed and returns that, else -1.
func sampleRows[T Float](hard, soft, logits, noise []T, classes int, tau float64) (bad int) {
	if bad, ok := sampleRowsSIMD(hard, soft, logits, noise, classes, tau); ok {
		return bad
	}
	for lo := 0; lo < len(logits); lo += classes {
		hi := lo + classes
		top, bad := findPeak(logits[lo:hi], noise[lo:hi])
		if bad >= 0 || top.class < 0 {
			return lo / classes
		}
		if hard != nil {
			hard[lo+top.class] = 1
		}
		if soft != nil {
			softmax(soft[lo:hi], logits[lo:hi], noise[lo:hi], top, tau)
		}
	}
	return -1
}

// GradTau returns the gradient to tau, given the soft sample and the gradient
// that reaches it:
//
//	dL/dτ = −(1/τ) Σᵢ xᵢ yᵢ (gᵢ − Σⱼ gⱼ yⱼ)
//
// with x = (logits + noise − max)/τ in place of log y, from which it differs
// by a constant that cancels: x is right where y underflows.
func (s Sampler[T]) GradTau(soft, grad []T) (float64, error) {
	if s.Size() == 0 {
		return 0, nil
	}
	_, _, count := s.tiles()
	sums := make([]float64, count)
	err := eachTile(s.Dims, costOf[T](costNoise), func(t *tile[T], number int) error {
		logits, noise := t.read(0, s.Logits), t.noise(1, s.Noise, prefetch[T]{})
		y, g := t.read(2, soft), t.read(3, grad)
		for r := range t.rows {
			lo, hi := r*t.Classes, (r+1)*t.Classes
			top, bad := findPeak(logits[lo:hi], noise[lo:hi])
			if bad >= 0 || top.class < 0 {
				return rowError(t, logits, noise, r)
			}
			sums[number] -= gradTauRow(logits[lo:hi], noise[lo:hi], y[lo:hi], g[lo:hi], top, s.Tau)
		}
		return nil
	})
	var total float64
	for _, sum := range sums {
		total += sum
	}
	return total / s.Tau, err
}

// gradTauRow returns Σᵢ xᵢ yᵢ (gᵢ − Σⱼ gⱼ yⱼ) of a row: see GradTau.
func gradTauRow[T Float](logits, noise, soft, grad []T, top peak[T], tau float64) float64 {
	if sum, ok := gradTauRowSIMD(logits, noise, soft, grad, top, tau); ok {
		return sum
	}
	mean := dot(soft, grad)
	var sum float64
	for i, y := range soft {
		if y != 0 {
			sum += top.below(logits[i], noise[i]) / tau * (float64(y) * (float64(grad[i]) - mean))
		}
	}
	return sum
}

// Grad sets dst to the gradient to the logits, which is that to the noise too,
// given the soft sample and the gradient that reaches it:
//
//	dL/dlᵢ = yᵢ (gᵢ − Σⱼ gⱼ yⱼ)/τ
//
// A class whose sample is 0 gets exactly 0, whatever reaches it.
func Grad[T Float](dst, soft, grad []T, d Dims, tau float64) {
	_ = eachTile(d, costOf[T](costLight), func(t *tile[T], _ int) error {
		y, g, out := t.read(0, soft), t.read(1, grad), t.target(2, dst)
		if !gradRowsSIMD(out, y, g, d.Classes, tau) {
			gradRows(out, y, g, d.Classes, tau)
		}
		t.flush(2, dst)
		return nil
	})
}

// gradRows sets dst to the gradient to the logits of each row.
func gradRows[T Float](dst, soft, grad []T, classes int, tau float64) {
	for lo := 0; lo < len(soft); lo += classes {
		hi := lo + classes
		mean := dot(soft[lo:hi], grad[lo:hi])
		for i := lo; i < hi; i++ {
			dst[i] = 0
			if y := soft[i]; y != 0 {
				dst[i] = T(float64(y) * (float64(grad[i]) - mean) / tau)
			}
		}
	}
}
