package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

// enumerable is a model of 2 latents with 2 classes each, so that it has 4 codes.
// Its posteriors are neither uniform nor certain.
func enumerable(t *testing.T) *parameters {
	t.Helper()
	s := settings{Hidden: [2]int{6, 5}, Batch: 1, Latents: 2, Classes: 2, Tau: jangTau, LR: 1e-3, Seed: 3}
	tr, err := newTrainer(s, numbered(1), alone(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	p, err := tr.parameters()
	if err != nil {
		t.Fatal(err)
	}
	copy(values(p.encoder[5]), []float32{0.7, -0.7, 1, -1})
	for i, w := range values(p.decoder[0]) { // so that codes differ by a few nats
		values(p.decoder[0])[i] = 5 * w
	}
	for i := range values(p.decoder[3]) {
		values(p.decoder[3])[i] = 0.5
	}
	return p
}

func values(d *tensor.Dense) []float32 { return d.Data().([]float32) }

// halves returns n images: one image in the first half, another in the second.
func halves(n int) *images {
	im := &images{n: n, pixels: make([]byte, 0, n*pixels)}
	r := rand.New(rand.NewPCG(1, 1))
	kinds := [2][]byte{make([]byte, pixels), make([]byte, pixels)}
	for i := range pixels {
		kinds[0][i], kinds[1][i] = byte(r.Uint32N(256)), byte(i%28*9)
	}
	for i := range n {
		im.pixels = append(im.pixels, kinds[2*i/n]...)
	}
	return im
}

// perceptronByHand applies a sequence of weights and biases to x.
func perceptronByHand(x []float64, weights []*tensor.Dense) []float64 {
	for layer := 0; layer < len(weights); layer += 2 {
		w, b := values(weights[layer]), values(weights[layer+1])
		y := make([]float64, len(b))
		for j := range y {
			y[j] = float64(b[j])
			for i := range x {
				y[j] += x[i] * float64(w[i*len(b)+j])
			}
			if layer < len(weights)-2 {
				y[j] = max(0, y[j])
			}
		}
		x = y
	}
	return x
}

// outcomes holds, for each of the 4 codes of an image, q(z|x) and
// w = log p(x|z) + log p(z) − log q(z|x).
type outcomes struct{ q, w [4]float64 }

func enumerate(p *parameters, image []byte) (o outcomes) {
	x := make([]float64, pixels)
	for i, v := range image {
		x[i] = float64(v) / 255
	}
	l := perceptronByHand(x, p.encoder)
	for code := range 4 {
		one, two := code/2, code%2
		o.q[code] = 1 / (1 + math.Exp(l[1-one]-l[one])) / (1 + math.Exp(l[3-two]-l[2+two]))
		z := make([]float64, 4)
		z[one], z[2+two] = 1, 1
		o.w[code] = math.Log(1.0/4) - math.Log(o.q[code])
		for i, a := range perceptronByHand(z, p.decoder) {
			o.w[code] += x[i]*a - math.Log1p(math.Exp(a))
		}
	}
	return o
}

// bound returns mean and variance of −log (1/m) Σ exp(w) over all draws of m codes.
func (o outcomes) bound(m int) (mean, variance float64) {
	ways := 1 << (2 * m)
	for way := range ways {
		likely, total := 1.0, 0.0
		for j := range m {
			code := way >> (2 * j) & 3
			likely *= o.q[code]
			total += math.Exp(o.w[code] - o.w[0])
		}
		v := -o.w[0] - math.Log(total/float64(m))
		mean += likely * v
		variance += likely * v * v
	}
	return mean, variance - mean*mean
}

// exact returns −log p(x).
func (o outcomes) exact() float64 {
	var total float64
	for code := range 4 {
		total += o.q[code] * math.Exp(o.w[code]-o.w[0])
	}
	return -o.w[0] - math.Log(total)
}

// expected returns the expected bound over images made by halves, and its standard
// error.
func expected(p *parameters, im *images, m int) (mean, deviation float64) {
	var variance float64
	for kind := range 2 {
		a, b := enumerate(p, im.image(kind*(im.n-1))).bound(m)
		mean, variance = mean+a/2, variance+b/2
	}
	return mean, math.Sqrt(variance / float64(im.n))
}

const rounding = 2e-3 // of float32 losses, in nats per image

func TestScoresAgainstEnumeration(t *testing.T) {
	p := enumerable(t)
	im := halves(2 * evaluationBatch)
	want, deviation := expected(p, im, 1)
	// At a temperature near 0, soft samples are nearly one-hot.
	e, err := evaluate(context.Background(), p, im, 1e-4, 1, ignore)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]float64{"soft": e.soft, "discrete": e.discrete, "bound of one sample": e.bound} {
		if !(math.Abs(got-want) < 4*deviation+rounding) {
			t.Errorf("%s: %.4f, want %.4f ± %.4f", name, got, want, deviation)
		}
	}
	// At temperature 10, soft samples are nearly uniform for any posterior.
	warm, err := evaluate(context.Background(), p, im, 10, 0, ignore)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(warm.soft-want) < 8*deviation {
		t.Errorf("soft score %.4f at temperature 10, %.4f at 0", warm.soft, want)
	}
	if warm.discrete != e.discrete {
		t.Errorf("discrete score %v with the bound, %v without", e.discrete, warm.discrete)
	}
}

// The bound falls to −log p(x) as the number of samples grows.
func TestBoundAgainstEnumeration(t *testing.T) {
	p := enumerable(t)
	im := halves(evaluationBatch)
	above := math.Inf(1)
	for _, m := range []int{1, 2, 4} {
		want, deviation := expected(p, im, m)
		if above-want < 5*deviation {
			t.Fatalf("m = %d: %.4f and %.4f are too close for a deviation of %.4f", m, above, want, deviation)
		}
		above = want
		e, err := evaluate(context.Background(), p, im, 1, m, ignore)
		if err != nil {
			t.Fatal(err)
		}
		if !(math.Abs(e.bound-want) < 4*deviation+rounding) {
			t.Errorf("m = %d: bound %.4f, want %.4f ± %.4f", m, e.bound, want, deviation)
		}
	}
	im = halves(20)
	exact := (enumerate(p, im.image(0)).exact() + enumerate(p, im.image(19)).exact()) / 2
	e, err := evaluate(context.Background(), p, im, 1, 1000, ignore)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(e.bound-exact) > 0.08 || above-exact < 0.5 {
		t.Errorf("1000 samples: bound %.4f, want %.4f; of 4 samples it is %.4f", e.bound, exact, above)
	}
}

func TestEvaluateStops(t *testing.T) {
	p := enumerable(t)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := evaluate(cancelled, p, halves(4), 1, 0, ignore); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
	_, err := evaluate(context.Background(), p, halves(evaluationBatch+1), 1, 0, ignore)
	if err == nil || !strings.Contains(err.Error(), "1001 images in batches of 1000") {
		t.Errorf("a batch left over: error %v", err)
	}
}

// An interrupted evaluation returns the scores that are finished, and of the bound the
// mean over the images that are.
func TestEvaluateKeepsFinishedScores(t *testing.T) {
	p, im := enumerable(t), halves(4*evaluationBatch)
	whole, err := evaluate(context.Background(), p, im, 1, 3, ignore)
	if err != nil || whole.bounded != im.n {
		t.Fatal(whole, err)
	}
	for _, tc := range []struct{ after, bounded int }{{1, 0}, {4, 0}, {5, 0}, {8, 0}, {9, 0}, {11, 1000}, {13, 1000}, {14, 2000}, {19, 3000}} {
		ctx, cancel := context.WithCancel(context.Background())
		total := 0
		got, err := evaluate(ctx, p, im, 1, 3, func(done, all int) {
			total = all
			if done == tc.after {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) || total != 20 {
			t.Errorf("after %d of %d batches: error %v", tc.after, total, err)
		}
		if (got.soft == whole.soft) != (tc.after >= 4) || (got.discrete == whole.discrete) != (tc.after >= 8) || got.bounded != tc.bounded {
			t.Errorf("after %d batches: %+v, in all %+v", tc.after, got, whole)
		}
		if want := firstBound(t, p, im, tc.bounded); tc.bounded > 0 && math.Abs(got.bound-want) > 0.3 {
			t.Errorf("after %d batches: bound %v, want about %v", tc.after, got.bound, want)
		}
	}
}

// firstBound returns the expected bound of 3 samples over the first n images.
func firstBound(t *testing.T, p *parameters, im *images, n int) (mean float64) {
	t.Helper()
	for i := 0; i < n; i += evaluationBatch {
		kind, _ := enumerate(p, im.image(i)).bound(3)
		mean += kind * float64(evaluationBatch) / float64(n)
	}
	return mean
}

func TestLogQ(t *testing.T) {
	masked := float32(math.Inf(-1))
	got := logQ([]float32{0, 0, 1000, -1000, masked, 3}, 2)
	for i, want := range []float64{-math.Ln2, -math.Ln2, 0, -2000, math.Inf(-1), 0} {
		if !(got[i] == want || math.Abs(got[i]-want) < 1e-12) {
			t.Errorf("element %d: %v, want %v", i, got[i], want)
		}
	}
}

func TestLogMeanExp(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{-3}, -3},
		{[]float64{-1e5, -1e5}, -1e5},
		{[]float64{-1e5, 1e5}, 1e5 - math.Ln2},
		{[]float64{1e5, -1e5}, 1e5 - math.Ln2},
		{[]float64{math.Log(2), math.Log(6), math.Log(1)}, math.Log(3)},
	} {
		var l logMeanExp
		for _, v := range tc.values {
			l.add(v)
		}
		if got := l.value(); math.Abs(got-tc.want) > 1e-12*math.Max(1, math.Abs(tc.want)) {
			t.Errorf("of %v: %v, want %v", tc.values, got, tc.want)
		}
	}
}
