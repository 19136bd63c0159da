package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gumbel-go/gumbel/internal/philox"
)

// Exponential noise has the same bits at every level, wherever it is cut, and its
// logarithm is the Gumbel noise of the same words.
func TestExponential(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testExponential[float32](t, 1e-6) })
	t.Run("float64", func(t *testing.T) { testExponential[float64](t, 1e-14) })
}

func testExponential[T Float](t *testing.T, tolerance float64) {
	const n = 20_000
	s := Stream{Key: philox.DeriveKey(7, 8), Draw: 1<<40 + 3}
	var want []T
	eachLevel(t, func(t *testing.T) {
		got, part, gumbels := make([]T, n), make([]T, n-70), make([]T, n)
		fill(got, s, 3, prefetch[T]{}, exponentialLaw)
		fill(part, s, 73, prefetch[T]{}, exponentialLaw)
		fillNoise(gumbels, s, 3, prefetch[T]{})
		if want == nil {
			want = got
		}
		for i, e := range got {
			if e != want[i] || i >= 70 && part[i-70] != e {
				t.Fatalf("element %d is %v, from another start %v, in plain Go %v", i, e, part[max(i-70, 0)], want[i])
			}
			if g := -math.Log(float64(e)); !(e > 0) || math.Abs(g-float64(gumbels[i])) > tolerance*(1+math.Abs(g)) {
				t.Fatalf("element %d is %v, but the Gumbel noise is %v", i, e, gumbels[i])
			}
		}
	})
}

// estimatorReference computes the estimators in float64, one distribution at a time.
type estimatorReference struct {
	logits, grad []float64
	chosen       int
	tau          float64
}

func softmaxOf(logits []float64, tau float64) []float64 {
	top := slices.Max(logits)
	p := make([]float64, len(logits))
	var sum kahan
	for i, l := range logits {
		p[i] = math.Exp((l - top) / tau)
		sum.add(p[i])
	}
	for i := range p {
		p[i] /= sum.total
	}
	return p
}

// jacobian returns scale·q∘(g − ⟨q, g⟩).
func jacobian(q, g []float64, scale float64) []float64 {
	var mean kahan
	for i, v := range q {
		mean.add(v * g[i])
	}
	j := make([]float64, len(q))
	for i, v := range q {
		j[i] = scale * v * (g[i] - mean.total)
	}
	return j
}

func (r estimatorReference) softmax() []float64 {
	return jacobian(softmaxOf(r.logits, r.tau), r.grad, 1/r.tau)
}

func (r estimatorReference) reinMax() []float64 {
	q := softmaxOf(r.logits, r.tau)
	q[r.chosen]++
	for i := range q {
		q[i] /= 2
	}
	grad := jacobian(q, r.grad, 2)
	for i, v := range jacobian(softmaxOf(r.logits, 1), r.grad, 0.5) {
		grad[i] -= v
	}
	return grad
}

func (r estimatorReference) gapped(gap float64) []float64 {
	if gap == AdaptiveGap {
		gap = adaptiveGap(softmaxOf(r.logits, 1)[r.chosen])
	}
	top := slices.Max(r.logits)
	moved := make([]float64, len(r.logits))
	for i, l := range r.logits {
		moved[i] = min(l-top, -gap)
	}
	moved[r.chosen] = 0
	return jacobian(softmaxOf(moved, r.tau), r.grad, 1/r.tau)
}

// conditional returns the noise φ of the paper, given exponential noise.
func (r estimatorReference) conditional(e []float64) []float64 {
	top := slices.Max(r.logits)
	var sum kahan
	for _, l := range r.logits {
		sum.add(math.Exp(l - top))
	}
	phi := make([]float64, len(e))
	for i, l := range r.logits {
		// −log(E_i/p_i + E_d), without overflow for a small p.
		small, logP := -math.Log(e[r.chosen]), l-top-math.Log(sum.total)
		x := logP - math.Log(e[i])
		phi[i] = min(small, x) - math.Log1p(math.Exp(-math.Abs(small-x)))
	}
	phi[r.chosen] = -math.Log(e[r.chosen])
	return phi
}

func (r estimatorReference) rao(samples [][]float64) []float64 {
	grad := make([]float64, len(r.logits))
	for _, e := range samples {
		phi := r.conditional(e)
		for i, v := range jacobian(softmaxOf(phi, r.tau), r.grad, 1/r.tau) {
			grad[i] += v / float64(len(samples))
		}
	}
	return grad
}

// testedEstimator is an estimator and its reference.
type testedEstimator[T Float] struct {
	name string
	grad func(c Choice[T], dst, grad []T)
	want func(r estimatorReference, e [][]float64) []float64
	rao  bool
}

const testedSamples = 3

var testedStream = Stream{Key: philox.DeriveKey(11, 12), Draw: 13}

func testedEstimators[T Float]() []testedEstimator[T] {
	gapped := func(gap float64) testedEstimator[T] {
		return testedEstimator[T]{
			name: fmt.Sprintf("gapped %v", gap),
			grad: func(c Choice[T], dst, grad []T) { c.GradGapped(dst, grad, gap) },
			want: func(r estimatorReference, _ [][]float64) []float64 { return r.gapped(gap) },
		}
	}
	return []testedEstimator[T]{
		{"softmax", Choice[T].GradSoftmax, func(r estimatorReference, _ [][]float64) []float64 { return r.softmax() }, false},
		{"ReinMax", Choice[T].GradReinMax, func(r estimatorReference, _ [][]float64) []float64 { return r.reinMax() }, false},
		gapped(1), gapped(0.3), gapped(AdaptiveGap),
		{"Rao", func(c Choice[T], dst, grad []T) { c.GradRao(dst, grad, testedStream, testedSamples) }, estimatorReference.rao, true},
	}
}

// exponentials returns the noise that GradRao gives a sample, in the order of the array.
func exponentialNoise[T Float](n int) [][]T {
	all := make([][]T, testedSamples)
	for k := range all {
		all[k] = make([]T, n)
		fill(all[k], testedStream.Sub(uint64(k)), 0, prefetch[T]{}, exponentialLaw)
	}
	return all
}

// check compares an estimator with its reference on every distribution.
func (e testedEstimator[T]) check(t *testing.T, c Choice[T], grad []T, noise [][]T) {
	t.Helper()
	got := make([]T, c.Size())
	e.grad(c, got, grad)
	epsilon := 0x1p-48
	if isFloat32[T]() {
		epsilon = 0x1p-19
	}
	for o := range c.Outer {
		for i := range c.Inner {
			at := func(k int) int { return (o*c.Classes+k)*c.Inner + i }
			of := func(array []T) []float64 {
				row := make([]float64, c.Classes)
				for k := range row {
					row[k] = float64(array[at(k)])
				}
				return row
			}
			r := estimatorReference{of(c.Logits), of(grad), toClass(c.Chosen[o*c.Inner+i]), c.Tau}
			var e0 [][]float64
			for _, sample := range noise {
				e0 = append(e0, of(sample))
			}
			want := e.want(r, e0)
			size := 0.0
			for _, g := range r.grad {
				size = max(size, math.Abs(g))
			}
			size *= 1 + 1/c.Tau
			if e.rao {
				size *= 1 + 8/c.Tau // φ is as large, and divided by tau
			}
			for k, w := range want {
				v := got[at(k)]
				if !(math.Abs(float64(v)-w) <= epsilon*size) || isMasked(c.Logits[at(k)]) && v != 0 {
					t.Fatalf("%s of %v, tau %v, distribution %d,%d: class %d of logit %v has gradient %v, want %v", e.name, c.Dims, c.Tau, o, i, k, c.Logits[at(k)], v, w)
				}
			}
		}
	}
}

// The estimators match their formulas wherever the classes are, also for logits far
// apart, masks, and temperatures outside the range of the vector code.
func TestEstimators(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testEstimatorFormulas[float32])
		t.Run("float64", testEstimatorFormulas[float64])
	})
}

func testEstimatorFormulas[T Float](t *testing.T) {
	for _, d := range allDims {
		noise := exponentialNoise[T](d.Size())
		for _, spread := range []float64{1, 1e4} {
			logits, grad := normals[T](d.Size(), spread, 1), finite[T](d.Size(), 2)
			for o := range d.Rows() {
				logits[o/d.Inner*d.Classes*d.Inner+o%d.Inner] = T(spread)
			}
			chosen, hard := make([]T, d.Rows()), make([]T, d.Size())
			s := Sampler[T]{d, logits, Noise[T]{Stream: &Stream{}}, 1}
			if err := s.Choose(hard, chosen); err != nil {
				t.Fatal(err)
			}
			for o, class := range chosen {
				if hard[(o/d.Inner*d.Classes+toClass(class))*d.Inner+o%d.Inner] != 1 {
					t.Fatalf("%v: distribution %d has not chosen class %d", d, o, toClass(class))
				}
			}
			for o := range chosen[:d.Rows()/3] { // any class that is not masked
				k := o % d.Classes
				if !isMasked(logits[(o/d.Inner*d.Classes+k)*d.Inner+o%d.Inner]) {
					chosen[o] = fromClass[T](k)
				}
			}
			taus := []float64{0.01, 0.6, 1, 1e31}
			if spread > 1 {
				taus = []float64{0.6, 1e31}
			}
			for _, tau := range taus {
				for _, e := range testedEstimators[T]() {
					e.check(t, Choice[T]{d, logits, chosen, tau}, grad, noise)
				}
			}
		}
	}
}

// The numbers were computed independently, on logits (0.5, −1, 2, 0) and the gradient
// (1, −0.5, 0.25, 2).
func TestEstimatorNumbers(t *testing.T) {
	masked := math.Inf(-1)
	gapped := func(gap float64) func(c Choice[float64], dst, grad []float64) {
		return func(c Choice[float64], dst, grad []float64) { c.GradGapped(dst, grad, gap) }
	}
	softmax, reinMax := Choice[float64].GradSoftmax, Choice[float64].GradReinMax
	for _, test := range []struct {
		name   string
		grad   func(c Choice[float64], dst, grad []float64)
		second float64 // the logit of class 1
		chosen int
		tau    float64
		want   []float64
	}{
		{"softmax", softmax, -1, 0, 1, []float64{0.0775593282901, -0.0357248647707, -0.184978148264, 0.143143684745}},
		{"softmax", softmax, -1, 2, 1.5, []float64{0.0541637307515, -0.0566728589464, -0.135763324489, 0.138272452684}},
		{"softmax", softmax, masked, 0, 1, []float64{0.0743189167334, 0, -0.219019266391, 0.144700349658}},
		{"ReinMax", reinMax, -1, 0, 1, []float64{0.244752029044, -0.0265153450566, -0.266287471082, 0.048050787095}},
		{"ReinMax", reinMax, -1, 0, 1.5, []float64{0.196941944766, -0.0820911482848, -0.2215801264, 0.106729329918}},
		{"ReinMax", reinMax, -1, 2, 1, []float64{0.0594167660681, -0.0132576725283, -0.130247970956, 0.0840888774163}},
		{"ReinMax", reinMax, -1, 2, 1.5, []float64{0.0799243339408, -0.0533666800546, -0.189234608387, 0.162676954501}},
		{"ReinMax", reinMax, -1, 0, 1e12, []float64{0.156532835855, -0.318075067615, -0.0559484258679, 0.217490657628}},
		{"ReinMax", reinMax, -1, 0, 1e-6, []float64{0.336220335855, 0.0178624323854, -0.282510925868, -0.0715718423724}},
		{"ReinMax", reinMax, masked, 0, 1, []float64{0.226234947586, 0, -0.276046771617, 0.0498118240312}},
		{"ReinMax", reinMax, masked, 0, 1.5, []float64{0.145522043499, 0, -0.258826457731, 0.113304414232}},
		{"gapped 1", gapped(1), -1, 0, 1, []float64{0.0892501865679, -0.0436443997796, -0.144828804808, 0.0992230180201}},
		{"gapped 1", gapped(1), -1, 0, 0.5, []float64{0.13003385104, -0.00610970465945, -0.157990201797, 0.034066055416}},
		{"gapped 1", gapped(1), -1, 2, 1, []float64{0.0775593282901, -0.0357248647707, -0.184978148264, 0.143143684745}},
		{"gapped 1", gapped(1), masked, 0, 1, []float64{0.0622105269475, 0, -0.160660379403, 0.0984498524551}},
		{"adaptive gap", gapped(AdaptiveGap), -1, 0, 1, []float64{0.0828354750537, -0.0449508226711, -0.138028259474, 0.100143607092}},
	} {
		eachLevel(t, func(t *testing.T) {
			c := Choice[float64]{Dims{1, 4, 1}, []float64{0.5, test.second, 2, 0}, []float64{fromClass[float64](test.chosen)}, test.tau}
			got := make([]float64, 4)
			test.grad(c, got, []float64{1, -0.5, 0.25, 2})
			for i, w := range test.want {
				if math.Abs(got[i]-w) > 1e-11 {
					t.Fatalf("%s, class %d, tau %v: the gradient is %v, want %v", test.name, test.chosen, test.tau, got, test.want)
				}
			}
		})
	}
}

// The reference of Gumbel-Rao and its vector code have the independent numbers for two
// samples of given noise.
func TestRaoNumbers(t *testing.T) {
	noise := [][]float64{{0.7, 1.9, 0.2, 1.1}, {2.3, 0.4, 0.9, 0.05}}
	for _, test := range []struct {
		second float64
		chosen int
		phi    []float64 // of the first sample
		want   []float64
	}{
		{-1, 0, []float64{0.356674943939, -3.99714445343, 0.0185199378965, -2.49701821543}, []float64{0.0956849921596, -0.0224254208454, -0.344896959794, 0.27163738848}},
		{-1, 2, nil, []float64{0.00201113273468, -0.00481141023483, -0.354405695391, 0.357205972892}},
		{math.Inf(-1), 0, nil, []float64{0.0860910023274, 0, -0.355770133413, 0.269679131085}},
	} {
		r := estimatorReference{[]float64{0.5, test.second, 2, 0}, []float64{1, -0.5, 0.25, 2}, test.chosen, 0.5}
		for i, want := range test.phi {
			if got := r.conditional(noise[0]); math.Abs(got[i]-want) > 1e-11 {
				t.Errorf("the conditional noise is %v, want %v", got, test.phi)
			}
		}
		eachLevel(t, func(t *testing.T) {
			logProbs, probs, got, soft := make([]float64, 4), softmaxOf(r.logits, 1), make([]float64, 4), make([]float64, 4)
			logProbabilities(logProbs, r.logits, probs, 2, test.chosen)
			for _, e := range noise {
				raoRow[float64]{logProbs, probs, e, r.grad}.add(got, soft, e[test.chosen], 0.5, 2)
			}
			reference := r.rao(noise)
			for i, w := range test.want {
				if math.Abs(got[i]-w) > 1e-11 || math.Abs(reference[i]-w) > 1e-11 {
					t.Fatalf("class %d: the gradient is %v, in the reference %v, want %v", test.chosen, got, reference, test.want)
				}
			}
		})
	}
}

// A masked class ignores a gradient that is not finite, and leaves the others theirs. If
// it reaches another class, none of the distribution has a finite gradient.
func TestEstimatorsNotFinite(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testEstimatorsNotFinite[float32])
		t.Run("float64", testEstimatorsNotFinite[float64])
	})
}

func testEstimatorsNotFinite[T Float](t *testing.T) {
	for _, bad := range []float64{math.Inf(1), math.Inf(-1), math.NaN()} {
		for _, k := range []int{3, 40, 100} {
			d := Dims{19, k, 1}
			logits, grad, chosen := finite[T](d.Size(), 1), finite[T](d.Size(), 2), make([]T, d.Outer)
			logits[4*k+1], logits[9*k+1], logits[9*k+2] = T(math.Inf(-1)), -30000, T(math.Inf(-1))
			for _, e := range testedEstimators[T]() {
				c := Choice[T]{d, logits, chosen, 0.7}
				clean, got := make([]T, d.Size()), make([]T, d.Size())
				e.grad(c, clean, grad)
				worse := slices.Clone(grad)
				worse[4*k+1], worse[9*k+1] = T(bad), T(bad)
				e.grad(c, got, worse)
				for i, v := range got {
					switch r := i / k; {
					case r != 9 && v != clean[i]:
						t.Fatalf("%s of %d classes: gradient %d is %v, want %v", e.name, k, i, v, clean[i])
					case r == 9 && isFinite(v) && i%k != 2, i == 9*k+2 && v != 0:
						t.Fatalf("%s of %d classes: gradient %d is %v beside one of %v", e.name, k, i, v, bad)
					}
				}
			}
		}
	}
}

// Gradients of the greatest finite size stay finite, and none of any estimator is NaN.
func TestEstimatorExtremes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testEstimatorExtremes[float32])
		t.Run("float64", testEstimatorExtremes[float64])
	})
}

func testEstimatorExtremes[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, d := range []Dims{{50, 1, 1}, {64, 2, 1}, {200, 17, 1}, {1, 65_536, 1}, {2, 100, 3}} {
		logits, grad := make([]T, d.Size()), make([]T, d.Size())
		for i := range logits {
			logits[i] = T([]float64{1e4, -1e4, math.Inf(-1), 0, 1e4}[r.IntN(5)])
			grad[i] = T(r.NormFloat64() * 1e30)
		}
		for o := range d.Rows() {
			logits[o/d.Inner*d.Classes*d.Inner+o%d.Inner] = -1e4
		}
		for _, tau := range []float64{0.01, 0.5, 100} {
			chosen, hard := make([]T, d.Rows()), make([]T, d.Size())
			if err := (Sampler[T]{d, logits, Noise[T]{Stream: &Stream{}}, tau}).Choose(hard, chosen); err != nil {
				t.Fatal(err)
			}
			for _, e := range testedEstimators[T]() {
				got := make([]T, d.Size())
				e.grad(Choice[T]{d, logits, chosen, tau}, got, grad)
				for i, v := range got {
					if !isFinite(v) || v != 0 && (d.Classes == 1 || isMasked(logits[i])) {
						t.Fatalf("%s of %v, tau %v: gradient %d of logit %v is %v", e.name, d, tau, i, logits[i], v)
					}
				}
			}
		}
	}
}

// Shares of a batch have the gradients of the whole, to the bit.
func TestEstimatorShares(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, d := range []Dims{{997, 10, 1}, {150, 65, 1}, {40, 4, 5}} {
			logits, grad, chosen := finite[float32](d.Size(), 1), finite[float32](d.Size(), 2), make([]float32, d.Rows())
			for i := range chosen {
				chosen[i] = fromClass[float32](i % d.Classes)
			}
			whole, cut := make([]float32, d.Size()), d.Outer/3
			c, noise := Choice[float32]{d, logits, chosen, 0.6}, testedStream
			c.GradRao(whole, grad, noise, testedSamples)
			n := cut * d.Classes * d.Inner
			first, second := c, c
			first.Outer, second.Outer = cut, d.Outer-cut
			second.Logits, second.Chosen = logits[n:], chosen[cut*d.Inner:]
			got := make([]float32, d.Size())
			first.GradRao(got[:n], grad[:n], noise, testedSamples)
			noise.First = uint64(n)
			second.GradRao(got[n:], grad[n:], noise, testedSamples)
			if !slices.Equal(got, whole) {
				t.Errorf("%v: the shares differ from the whole", d)
			}
		}
	})
}

// estimators compares their vector code with plain Go.
func (c *vectorCheck[T]) estimators() {
	c.near("gradPair", func(plain bool, dst []T) (float64, bool) {
		choose(plain, gradPairGo[T], gradPair[T])(dst, c.e, c.z, c.g, &reinMaxScalars[T]{0.3, low, -0.4, low, 0.9, 0.6})
		return 0, false
	})
	for half := range 2 {
		c.near("expDot", func(plain bool, dst []T) (sum float64, _ bool) {
			var s softmaxScalars[T]
			s.top = 9
			s.setRate(0.7)
			var sums expSums
			choose(plain, expDotGo[T], expDot[T])(dst, c.infinite, c.g, &s, &sums)
			for lane := range sums.total {
				sum += [2]float64{sums.total[lane], sums.dot[lane]}[half]
			}
			return sum, false
		})
	}
	c.near("limit", func(plain bool, dst []T) (float64, bool) {
		copy(dst, c.x)
		return choose(plain, limitGo[T], limit[T])(dst, 0.5), false
	})
	c.near("addGrad", func(plain bool, dst []T) (float64, bool) {
		copy(dst, c.x)
		choose(plain, addGradGo[T], addGrad[T])(dst, c.e, c.g, &gradScalars[T]{1.7, 0.3, low})
		return 0, false
	})
	logProbs, noise := slices.Clone(c.infinite), make([]T, c.n)
	logProbs[c.n/2] = T(math.Inf(1)) // the chosen class
	fill(noise, Stream{}, 5, prefetch[T]{}, exponentialLaw)
	c.near("conditionalSoft", func(plain bool, dst []T) (float64, bool) {
		return choose(plain, conditionalSoftGo[T], conditionalSoft[T])(dst, logProbs, c.e, noise, &raoScalars[T]{0.7, -0.35667494, 0.8}), false
	})
}

// logSpace compares its vector code with plain Go.
func (c *vectorCheck[T]) logSpace() {
	masked := slices.Clone(c.x)
	masked[c.n/3] = T(math.Inf(-1))
	noise := slices.Clone(c.y)
	noise[c.n-1] = T(math.Inf(-1))
	finiteOr := func(dst []T) { // the difference of two infinities is NaN
		for i, v := range dst {
			if isMasked(v) {
				dst[i] = 7
			}
		}
	}
	c.near("logSoftmaxOf", func(plain bool, dst []T) (float64, bool) {
		choose(plain, logSoftmaxOfGo[T], logSoftmaxOf[T])(dst, masked, noise, &logScalars[T]{30, low, 0.7, 2.5, least[T]()})
		finiteOr(dst)
		return 0, false
	})
	c.near("logSoftmaxOf", func(plain bool, dst []T) (float64, bool) { // outside the range of T
		choose(plain, logSoftmaxOfGo[T], logSoftmaxOf[T])(dst, masked, noise, &logScalars[T]{-least[T]() / 2, 0, 1e5, 2.5, least[T]()})
		finiteOr(dst)
		for i, v := range dst {
			if v != 7 && v != least[T]() {
				c.t.Fatalf("element %d is %v, want the least number", i, v)
			}
			dst[i] = 0
		}
		return 0, false
	})
	c.near("sumUnmasked", func(plain bool, _ []T) (float64, bool) {
		g := slices.Clone(c.g)
		g[c.n/3] = T(math.NaN())
		return choose(plain, sumUnmaskedGo[T], sumUnmasked[T])(g, masked), false
	})
	c.near("gradLog", func(plain bool, dst []T) (float64, bool) {
		logs, g := make([]T, c.n), slices.Clone(c.g)
		for i, x := range masked {
			logs[i] = min(-x, x)
		}
		g[c.n/3] = T(math.NaN())
		choose(plain, gradLogGo[T], gradLog[T])(dst, logs, g, &gradLogScalars[T]{1.7, -3})
		return 0, false
	})
}

// Log space has its formulas wherever the classes are.
func TestLogSpace(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testLogSpace[float32])
		t.Run("float64", testLogSpace[float64])
	})
}

func testLogSpace[T Float](t *testing.T) {
	epsilon := 0x1p-48
	if isFloat32[T]() {
		epsilon = 0x1p-20
	}
	for _, d := range allDims {
		for _, tau := range []float64{0.01, 0.7, 100, 1e31} {
			logits, grad, noise := normals[T](d.Size(), 3, 1), finite[T](d.Size(), 2), make([]T, d.Size())
			for o := range d.Rows() {
				logits[o/d.Inner*d.Classes*d.Inner+o%d.Inner] = 1
			}
			Gumbel(noise, testedStream, 0, 1)
			for i, l := range logits {
				if isMasked(l) {
					grad[i] = T(math.NaN())
				}
			}
			stream := testedStream
			s := Sampler[T]{d, logits, Noise[T]{Stream: &stream}, tau}
			sample, got := make([]T, d.Size()), make([]T, d.Size())
			if err := s.Log(sample); err != nil {
				t.Fatal(err)
			}
			s.GradLog(got, sample, grad)
			wantTau, sizeTau := 0.0, 0.0
			for o := range d.Rows() {
				at := func(k int) int { return (o/d.Inner*d.Classes+k)*d.Inner + o%d.Inner }
				z := make([]float64, d.Classes)
				for k := range z {
					z[k] = float64(logits[at(k)]) + float64(noise[at(k)])
				}
				y, top, sum, size := softmaxOf(z, tau), slices.Max(z), 0.0, 0.0
				var total kahan
				for k, v := range z {
					total.add(math.Exp((v - top) / tau))
					if y[k] > 0 || !math.IsInf(v, -1) {
						sum += float64(grad[at(k)])
						size += math.Abs(float64(grad[at(k)]))
					}
				}
				for k, v := range z {
					i := at(k)
					if math.IsInf(v, -1) {
						if got[i] != 0 || !isMasked(sample[i]) {
							t.Fatalf("%v, tau %v: a masked class has the sample %v and the gradient %v", d, tau, sample[i], got[i])
						}
						continue
					}
					want := (v-top)/tau - math.Log(total.total)
					if !(math.Abs(float64(sample[i])-want) <= 4*epsilon*(1+math.Abs(want)+20/tau)) {
						t.Fatalf("%v, tau %v: sample %d is %v, want %v", d, tau, i, sample[i], want)
					}
					centred := float64(grad[i]) - y[k]*sum
					if !(math.Abs(float64(got[i])-centred/tau) <= 8*epsilon*(1+20/tau)*size/tau) {
						t.Fatalf("%v, tau %v: gradient %d is %v, want %v", d, tau, i, got[i], centred/tau)
					}
					wantTau -= want * centred / tau
					sizeTau += (1 + math.Abs(want)) * (1 + 20/tau) * size / tau
				}
			}
			if got := s.GradLogTau(sample, grad); !(math.Abs(got-wantTau) <= 8*epsilon*sizeTau) {
				t.Errorf("%v, tau %v: the gradient to tau is %v, want %v", d, tau, got, wantTau)
			}
		}
	}
}

// testEstimatorColumns does the same for transposed rows.
func testEstimatorColumns(t *testing.T, checked map[string]bool) {
	lanes := lanes[float32]()
	for classes := 1; classes <= shortRow; classes++ {
		n := classes * lanes
		var chosen [16]uint32
		var e [16]float32
		for lane := range lanes {
			chosen[lane], e[lane] = uint32((7*lane)%classes), float32(lane+1)/5
		}
		near := func(name string, got, want []float32) {
			t.Helper()
			checked[name] = true
			for i, w := range want[:n] {
				if !(math.Abs(float64(got[i]-w)) <= 5e-6*(1+math.Abs(float64(w)))) {
					t.Fatalf("%s of %d classes: element %d is %v, want %v", name, classes, i, got[i], w)
				}
			}
		}
		var soft, probs, got, want transposed
		copy(soft[:], finite[float32](n, 1))
		copy(probs[:], finite[float32](n, 2))
		for i := range n {
			soft[i] = float32(math.Abs(float64(soft[i]))) / 10
			probs[i] = float32(math.Abs(float64(probs[i]))) / 10
		}
		grad := finite[float32](n, 3)
		reinMaxColumns(got[:], soft[:], probs[:], grad, classes, &chosen)
		reinMaxColumnsGo(want[:], soft[:], probs[:], grad, classes, &chosen)
		near("reinMaxColumns", got[:], want[:])

		var rate softmaxScalars[float32]
		rate.setRate(0.7)
		logits := finite[float32](n, 5)
		logits[n/2] = float32(math.Inf(-1))
		softmaxColumns(got[:], logits, classes, &rate)
		softmaxColumnsGo(want[:], logits, classes, &rate)
		if classes > 1 { // otherwise, one row is masked whole
			near("softmaxColumns", got[:], want[:])
		}

		got, want = soft, soft
		s := laneGaps{class: chosen}
		for lane := range lanes {
			s.factor[lane] = float32(lane+1) / 17
		}
		gapColumns(got[:], classes, &s)
		gapColumnsGo(want[:], classes, &s)
		near("gapColumns", got[:], want[:])

		logProbs, noise := finite[float32](n, 4), make([]float32, n)
		for lane := range lanes {
			logProbs[int(chosen[lane])*lanes+lane] = float32(math.Inf(1))
		}
		fill(noise, Stream{}, 0, prefetch[float32]{}, exponentialLaw)
		got, want = soft, soft
		var scratch transposed
		scalars := raoColumnsScalars{1.5, 0.4}
		raoColumns(got[:], logProbs, probs[:], noise, grad, scratch[:], classes, &scalars, &e)
		raoColumnsGo(want[:], logProbs, probs[:], noise, grad, scratch[:], classes, &scalars, &e)
		near("raoColumns", got[:], want[:])
	}
}
