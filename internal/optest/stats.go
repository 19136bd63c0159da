package optest

import (
	"flag"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

var long = flag.Bool("long", false, "run the long versions of the statistical tests, which take minutes")

// Seeds are fixed, so that a law holds always or never. Each bound is one that a
// correct sampler misses with a probability of at most 1e-6.

// KS compares a sample with a continuous law by the test of Kolmogorov and Smirnov.
func KS(t *testing.T, name string, sample []float64, cdf func(float64) float64) {
	t.Helper()
	sample = slices.Sorted(slices.Values(sample))
	n, worst := float64(len(sample)), 0.0
	for i, x := range sample {
		p := cdf(x)
		worst = max(worst, p-float64(i)/n, float64(i+1)/n-p)
	}
	// P(sqrt(n)·D > 2.7) = 2·exp(−2·2.7²) = 9e-7, asymptotically.
	if d := worst * math.Sqrt(n); d > 2.7 {
		t.Errorf("%s: sqrt(n)·D = %.2f over %d samples, want at most 2.7", name, d, len(sample))
	}
}

// Count compares a number of events with its expectation.
func Count(t *testing.T, name string, got, trials int, p float64) {
	t.Helper()
	CountWithin(t, name, 5, got, trials, p)
}

// CountWithin is Count with a bound in standard deviations. With 7, a correct sampler
// misses one bound in 4e11.
func CountWithin(t *testing.T, name string, deviations float64, got, trials int, p float64) {
	t.Helper()
	mean := float64(trials) * p
	if math.Abs(float64(got)-mean) > deviations*math.Sqrt(mean*(1-p))+1 {
		t.Errorf("%s: %d of %d, want about %.1f", name, got, trials, mean)
	}
}

// ChiSquare compares counts with probabilities by Pearson's test. Cells whose expected
// count is less than 10 are combined.
func ChiSquare(t *testing.T, name string, counts []int, probabilities []float64) {
	t.Helper()
	total := 0
	for _, c := range counts {
		total += c
	}
	var sum, restWant float64
	var cells, restGot int
	add := func(got int, want float64) {
		sum += (float64(got) - want) * (float64(got) - want) / want
		cells++
	}
	for i, c := range counts {
		want := float64(total) * probabilities[i]
		switch {
		case want == 0 && c > 0:
			t.Errorf("%s: %d samples of cell %d, which has the probability 0", name, c, i)
		case want < 10:
			restWant += want
			restGot += c
		default:
			add(c, want)
		}
	}
	if restWant >= 10 {
		add(restGot, restWant)
	}
	if p := 1 - (distuv.ChiSquared{K: float64(cells - 1)}).CDF(sum); p < 1e-6 {
		t.Errorf("%s: chi-square %.1f over %d cells, p = %.2g", name, sum, cells, p)
	}
}
