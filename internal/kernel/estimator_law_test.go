package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gumbel-go/gumbel/internal/philox"
)

// A quadratic is f(z) = aᵀz + ½zᵀHz.
type quadratic struct {
	a []float64
	h [][]float64
}

func (q quadratic) gradient(d int) []float64 { // at corner d
	g := slices.Clone(q.a)
	for i := range g {
		g[i] += q.h[i][d]
	}
	return g
}

func (q quadratic) values() []float64 { // at the corners
	v := slices.Clone(q.a)
	for i := range v {
		v[i] += q.h[i][i] / 2
	}
	return v
}

func randomQuadratic(r *rand.Rand, n int) quadratic {
	q := quadratic{make([]float64, n), make([][]float64, n)}
	for i := range n {
		q.a[i], q.h[i] = r.NormFloat64(), make([]float64, n)
		for j := range i + 1 {
			q.h[i][j] = r.NormFloat64()
			q.h[j][i] = q.h[i][j]
		}
	}
	return q
}

// enumerate returns the gradient of an estimator for each class that may be chosen, and
// their mean, given the gradient of the loss at each corner.
func enumerate(logits []float64, tau float64, gradient func(d int) []float64, f func(c Choice[float64], dst, grad []float64)) (each [][]float64, mean []float64) {
	n := len(logits)
	c := Choice[float64]{Dims: Dims{n, n, 1}, Tau: tau}
	var grads []float64
	for d := range n {
		c.Logits, c.Chosen = append(c.Logits, logits...), append(c.Chosen, fromClass[float64](d))
		grads = append(grads, gradient(d)...)
	}
	dst := make([]float64, n*n)
	f(c, dst, grads)
	mean = make([]float64, n)
	for d, p := range softmaxOf(logits, 1) {
		each = append(each, dst[d*n:(d+1)*n])
		for i, v := range each[d] {
			mean[i] += p * v
		}
	}
	return each, mean
}

func closeTo(got, want []float64, tolerance float64) bool {
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= tolerance) {
			return false
		}
	}
	return len(got) == len(want)
}

// At tau 1, the mean of ReinMax is the exact gradient of any quadratic loss, and each of
// its gradients is that of ZGR: ½(J(p)g + ⟨g, D − p⟩(D − p)).
func TestReinMaxIsExact(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 1))
		for n := 2; n <= 12; n++ {
			for range 20 {
				logits := make([]float64, n)
				for i := range logits {
					logits[i] = 2 * r.NormFloat64()
				}
				f, p := randomQuadratic(r, n), softmaxOf(logits, 1)
				each, mean := enumerate(logits, 1, f.gradient, Choice[float64].GradReinMax)
				if exact := jacobian(p, f.values(), 1); !closeTo(mean, exact, 1e-12) {
					t.Fatalf("%d classes: the mean is %v, want %v", n, mean, exact)
				}
				for d, got := range each {
					g := f.gradient(d)
					want, product := jacobian(p, g, 0.5), g[d]
					for i := range p {
						product -= g[i] * p[i]
					}
					for i := range want {
						want[i] -= product / 2 * p[i]
					}
					want[d] += product / 2
					if !closeTo(got, want, 1e-12) {
						t.Fatalf("%d classes, class %d: the gradient is %v, that of ZGR %v", n, d, got, want)
					}
				}
			}
		}
	})
}

// The numbers were computed independently.
func TestReinMaxQuadratic(t *testing.T) {
	f := quadratic{[]float64{0.3, -0.7, 1.1, 0.2}, [][]float64{{1, 0.5, -0.3, 0.2}, {0.5, -2, 0.4, 0.1}, {-0.3, 0.4, 0.7, -0.6}, {0.2, 0.1, -0.6, 1.5}}}
	logits := []float64{0.5, -1, 2, 0}
	_, got := enumerate(logits, 1, f.gradient, Choice[float64].GradReinMax)
	if want := []float64{-0.0614124884891, -0.102087461914, 0.186333271432, -0.0228333210294}; !closeTo(got, want, 1e-12) {
		t.Errorf("the mean of ReinMax is %v, want %v", got, want)
	}
	_, got = enumerate(logits, 1, f.gradient, Choice[float64].GradSoftmax)
	if want := []float64{-0.128861530229, -0.0527986721589, 0.29143562943, -0.109775427042}; !closeTo(got, want, 1e-12) {
		t.Errorf("the mean of straight-through softmax is %v, want %v", got, want)
	}
}

// Where the greatest logit was chosen and the others are further below it than the gap,
// the gapped estimator is straight-through softmax.
func TestOpenGap(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		logits, grad := []float64{-0.5, 2, 0.9, -3, 0}, []float64{1, 2, -1, 3, 0.5}
		c := Choice[float64]{Dims{1, 5, 1}, logits, []float64{fromClass[float64](1)}, 0.6}
		want, got := make([]float64, 5), make([]float64, 5)
		c.GradSoftmax(want, grad)
		if c.GradGapped(got, grad, 1); !closeTo(got, want, 1e-15) {
			t.Errorf("the gradient is %v, want %v", got, want)
		}
		if c.GradGapped(got, grad, 1.2); closeTo(got, want, 1e-3) {
			t.Errorf("with a closed gap, the gradient is still %v", got)
		}
	})
}

// moments returns the mean of n numbers and the standard error of that.
func moments(x []float64) (mean, stderr float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	var square float64
	for _, v := range x {
		square += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(square) / float64(len(x))
}

const manySigmas = 5.5 // one false alarm in 26 million comparisons; seeds are fixed

// The mean of Gumbel-Rao's Jacobian for two classes, given the class chosen, is that of a
// quadrature, and for tau to 0 that of ReinMax at tau 1.
func TestRaoJacobian(t *testing.T) {
	const rows, delta = 40_000, 0.5
	p := 1 / (1 + math.Exp(-delta))
	for _, test := range []struct {
		tau         float64
		first, last float64 // where the first class is chosen, or the last
		slack       float64 // the limit is as far away
	}{
		{1, 0.154664664562, 0.17558061866, 0},
		{0.1, 0.19378065713, 0.298837326007, 0},
		{0.004, (1 - p) / 2, p / 2, 1e-3},
	} {
		for chosen, want := range []float64{test.first, test.last} {
			d := Dims{rows, 2, 1}
			logits, grad, choices, got := make([]float64, 2*rows), make([]float64, 2*rows), make([]float64, rows), make([]float64, 2*rows)
			for r := range rows {
				logits[2*r], grad[2*r], choices[r] = delta, 1, fromClass[float64](chosen)
			}
			Choice[float64]{d, logits, choices, test.tau}.GradRao(got, grad, Stream{Key: philox.DeriveKey(1, uint64(chosen))}, 5)
			var jacobians []float64
			for r := range rows {
				jacobians = append(jacobians, got[2*r])
			}
			if mean, stderr := moments(jacobians); math.Abs(mean-want) > manySigmas*stderr+test.slack {
				t.Errorf("tau %v, class %d: the mean is %v ± %v, want %v", test.tau, chosen, mean, stderr, want)
			}
		}
	}
}

// Gumbel-Rao has the mean of the straight-through gradient, and a smaller variance.
func TestRaoMean(t *testing.T) {
	t.Run("float32", testRaoMean[float32])
	t.Run("float64", testRaoMean[float64])
}

func testRaoMean[T Float](t *testing.T) {
	const rows, classes = 50_000, 4
	d := Dims{rows, classes, 1}
	logits, grad, chosen := make([]T, d.Size()), make([]T, d.Size()), make([]T, rows)
	for i := range logits {
		logits[i], grad[i] = []T{0.5, -1, 2, 0}[i%classes], []T{1, -0.5, 0.25, 2}[i%classes]
	}
	stream := Stream{Key: philox.DeriveKey(5, 6)}
	s := Sampler[T]{d, logits, Noise[T]{Stream: &stream}, 0.5}
	hard, soft, straight, rao := make([]T, d.Size()), make([]T, d.Size()), make([]T, d.Size()), make([]T, d.Size())
	if err := s.Hard(hard, soft); err != nil {
		t.Fatal(err)
	}
	s.Grad(straight, soft, grad)
	if err := s.Choose(hard, chosen); err != nil {
		t.Fatal(err)
	}
	Choice[T]{d, logits, chosen, 0.5}.GradRao(rao, grad, stream, 10)
	for k := range classes {
		var x, y []float64
		for r := range rows {
			x, y = append(x, float64(straight[r*classes+k])), append(y, float64(rao[r*classes+k]))
		}
		want, wantError := moments(x)
		got, gotError := moments(y)
		if math.Abs(got-want) > manySigmas*math.Hypot(gotError, wantError) {
			t.Errorf("class %d: the mean is %v ± %v, that of the straight-through gradient %v ± %v", k, got, gotError, want, wantError)
		}
		if gotError > 0.95*wantError {
			t.Errorf("class %d: the standard error is %v, that of the straight-through gradient %v", k, gotError, wantError)
		}
	}
}

// If D is drawn from p, the conditional noise φ, less log p, is standard Gumbel noise in
// each class, and its argmax is D.
func TestRaoNoise(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const rows = 20_000
		logits := []float64{0.5, -1, 2, 0}
		classes := len(logits)
		d := Dims{rows, classes, 1}
		stream, repeated := Stream{Key: philox.DeriveKey(7, 7)}, slices.Repeat(logits, rows)
		hard, chosen, noise, soft := make([]float64, d.Size()), make([]float64, rows), make([]float64, d.Size()), make([]float64, classes)
		if err := (Sampler[float64]{d, repeated, Noise[float64]{Stream: &stream}, 1}).Choose(hard, chosen); err != nil {
			t.Fatal(err)
		}
		fill(noise, stream.Sub(0), 0, prefetch[float64]{}, exponentialLaw)
		p, logProbs := softmaxOf(logits, 1), make([]float64, classes)
		samples := make([][]float64, classes)
		for r, c := range chosen {
			at := toClass(c)
			logProbabilities(logProbs, logits, p, 2, at)
			e := noise[r*classes:][:classes]
			conditionalSoft(soft, logProbs, p, e, &raoScalars[float64]{e[at], math.Log(e[at]), 1})
			if soft[at] != 1 || slices.Max(soft) != 1 {
				t.Fatalf("class %d is chosen, but the noise has the exponentials %v", at, soft)
			}
			for k, y := range soft {
				samples[k] = append(samples[k], math.Log(y)-math.Log(e[at])-math.Log(p[k]))
			}
		}
		for k, sample := range samples {
			slices.Sort(sample)
			worst := 0.0
			for i, x := range sample {
				f := math.Exp(-math.Exp(-x))
				worst = max(worst, f-float64(i)/rows, float64(i+1)/rows-f)
			}
			// P(sqrt(n)·D > 2.7) = 9e-7, asymptotically.
			if distance := worst * math.Sqrt(rows); distance > 2.7 {
				t.Errorf("class %d: sqrt(n)·D = %.2f, want at most 2.7", k, distance)
			}
		}
	})
}

// No gradient of many distributions is NaN or infinite.
func TestEstimatorsStayFinite(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		d := Dims{20_000, 10, 1}
		logits, grad, chosen, hard, got := normals[float32](d.Size(), 5, 1), finite[float32](d.Size(), 2), make([]float32, d.Outer), make([]float32, d.Size()), make([]float32, d.Size())
		for _, tau := range []float64{0.01, 0.3, 100} {
			if err := (Sampler[float32]{d, logits, Noise[float32]{Stream: &testedStream}, tau}).Choose(hard, chosen); err != nil {
				t.Fatal(err)
			}
			for _, e := range testedEstimators[float32]() {
				e.grad(Choice[float32]{d, logits, chosen, tau}, got, grad)
				for i, v := range got {
					if !isFinite(v) {
						t.Fatalf("%s, tau %v: gradient %d is %v", e.name, tau, i, v)
					}
				}
			}
		}
	})
}
