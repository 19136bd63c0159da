package kernel

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// concreteReference is the density of one distribution, with its gradients given that to
// the density. The sizes are what one ε of the results amounts to: 8 + |log s| of
// an s, as for a soft sample.
type concreteReference struct {
	log, toTau                   float64
	toLogits, toValue            []float64
	logSize, tauSize, scoresSize float64
	sizes                        []float64 // of toLogits
}

func newConcreteReference(logits, value []float64, tau, g float64) (r concreteReference) {
	top, m := math.Inf(-1), 0.0
	var sum, logs, slope kahan
	for i, l := range logits {
		if !math.IsInf(l, -1) {
			m++
			top = max(top, l-tau*value[i])
			r.scoresSize = max(r.scoresSize, math.Abs(l), math.Abs(tau*value[i]))
		}
	}
	for i, l := range logits {
		if !math.IsInf(l, -1) {
			sum.add(math.Exp(l - tau*value[i] - top))
		}
	}
	r.toLogits, r.toValue, r.sizes = make([]float64, len(logits)), make([]float64, len(logits)), make([]float64, len(logits))
	gamma, _ := math.Lgamma(m)
	r.logSize = gamma + m*math.Abs(math.Log(tau))
	for i, l := range logits {
		if math.IsInf(l, -1) {
			continue
		}
		log := l - tau*value[i] - top - math.Log(sum.total)
		logs.add(log)
		r.logSize += math.Abs(log) + 8
		share := m * math.Exp(log)
		r.toLogits[i], r.toValue[i] = g*(1-share), -tau*g*(1-share)
		r.sizes[i] = math.Abs(g) * (1 + share*(8-log))
		slope.add(value[i] * (1 - share))
		r.tauSize += math.Abs(value[i]) * r.sizes[i]
	}
	r.log = gamma + (m-1)*math.Log(tau) + logs.total
	r.toTau = g * ((m-1)/tau - slope.total)
	r.tauSize += math.Abs(g) * m / tau
	return r
}

// concreteCase returns logits, some of them masked, and values -Inf where they are. No
// distribution is masked whole.
func concreteCase[T Float](d Dims, spread, tau float64) (c Concrete[T], grad []T) {
	c = Concrete[T]{Dims: d, Logits: normals[T](d.Size(), spread, 1), Tau: float64(T(tau))}
	for o := range d.Rows() {
		at := o/d.Inner*d.Classes*d.Inner + o%d.Inner
		c.Logits[at] = 0
	}
	c.Value = normals[T](d.Size(), spread/tau, 2)
	for i, l := range c.Logits {
		switch {
		case isMasked(l):
			c.Value[i] = l
		case isMasked(c.Value[i]):
			c.Value[i] = 0
		}
	}
	grad = normals[T](d.Rows(), 1, 3)
	for i := range grad {
		grad[i] = max(grad[i], -9)
	}
	return c, grad
}

// run computes the density with all gradients.
func (c Concrete[T]) run(grad []T) (log, toLogits, toValue []T, toTau float64, err error) {
	log, toLogits, toValue = make([]T, c.Rows()), make([]T, c.Size()), make([]T, c.Size())
	slopes, slopesTau := make([]T, c.Size()), make([]T, c.Rows())
	if err := c.LogProb(log, slopes, slopesTau); err != nil {
		return nil, nil, nil, 0, err
	}
	c.GradLogits(toLogits, slopes, grad)
	c.GradValue(toValue, slopes, grad)
	return log, toLogits, toValue, c.GradTau(slopesTau, grad), nil
}

// The density and its gradients match their definitions, wherever the classes are.
func TestConcrete(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", func(t *testing.T) { testConcrete[float32](t, 0x1p-23) })
		t.Run("float64", func(t *testing.T) { testConcrete[float64](t, 0x1p-49) })
	})
}

func testConcrete[T Float](t *testing.T, epsilon float64) {
	for _, d := range append(slices.Clone(allDims), Dims{2, 64, 3}, Dims{2, 65, 1}, Dims{1, 65536, 1}) {
		for _, spread := range []float64{1e-3, 1, 30, 1e4} {
			for _, tau := range []float64{0.01, 0.7, 100} {
				c, grad := concreteCase[T](d, spread, tau)
				log, toLogits, toValue, toTau, err := c.run(grad)
				if err != nil {
					t.Fatal(err)
				}
				alone := make([]T, d.Rows())
				if err := c.LogProb(alone, nil, nil); err != nil || !slices.Equal(alone, log) {
					t.Fatalf("%v: without gradients %v, %v, want %v", d, alone, err, log)
				}
				logits, value := make([]float64, d.Classes), make([]float64, d.Classes)
				var wantTau, tauSize kahan
				for o := range d.Rows() {
					at := func(c int) int { return (o/d.Inner*d.Classes+c)*d.Inner + o%d.Inner }
					for k := range d.Classes {
						logits[k], value[k] = float64(c.Logits[at(k)]), float64(c.Value[at(k)])
					}
					want := newConcreteReference(logits, value, c.Tau, float64(grad[o]))
					// Scores and sums are rounded in float64.
					epsilon := epsilon + 0x1p-52*(want.scoresSize+math.Sqrt(float64(d.Classes)))
					if math.Abs(float64(log[o])-want.log) > 2*epsilon*want.logSize {
						t.Fatalf("%v, spread %v, tau %v: log density %d is %v, want %v", d, spread, tau, o, log[o], want.log)
					}
					for k, size := range want.sizes {
						if got, want := float64(toLogits[at(k)]), want.toLogits[k]; math.Abs(got-want) > 2*epsilon*size {
							t.Fatalf("%v, spread %v, tau %v: gradient to logit %d is %v, want %v", d, spread, tau, at(k), got, want)
						}
						if got, want := float64(toValue[at(k)]), want.toValue[k]; math.Abs(got-want) > 2*epsilon*c.Tau*size {
							t.Fatalf("%v, spread %v, tau %v: gradient to value %d is %v, want %v", d, spread, tau, at(k), got, want)
						}
					}
					wantTau.add(want.toTau)
					tauSize.add(epsilon * want.tauSize)
				}
				if math.Abs(toTau-wantTau.total) > tauSize.total {
					t.Fatalf("%v, spread %v, tau %v: the gradient to tau is %v, want %v", d, spread, tau, toTau, wantTau.total)
				}
			}
		}
	}
}

// The density of a sample, given its exponential noise E, is that of E/ΣE, whatever the
// logits and however they are masked.
func TestConcreteOfOwnSample(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, classes := range []int{1, 2, 10, 70, 65536} {
			for _, tau := range []float64{0.01, 0.7, 100} {
				for _, spread := range []float64{0, 1, 30} {
					d := Dims{3, classes, 1}
					logits, noise, y := normals[float64](d.Size(), spread, 1), make([]float64, d.Size()), make([]float64, d.Size())
					for o := range d.Outer {
						logits[o*classes] = 2
					}
					r := rand.New(rand.NewPCG(1, 2))
					e := make([]float64, d.Size())
					for i := range e {
						e[i] = r.ExpFloat64()
						noise[i] = -math.Log(e[i])
					}
					log := make([]float64, d.Outer)
					s := Sampler[float64]{d, logits, Noise[float64]{Given: noise}, tau}
					if err := errors.Join(s.Log(y), Concrete[float64]{d, logits, y, tau}.LogProb(log, nil, nil)); err != nil {
						t.Fatal(err)
					}
					for o, got := range log {
						var sum, logs kahan
						m := 0.0
						for i := o * classes; i < (o+1)*classes; i++ {
							if !isMasked(logits[i]) {
								m++
								sum.add(e[i])
							}
						}
						for i := o * classes; i < (o+1)*classes; i++ {
							if !isMasked(logits[i]) {
								logs.add(math.Log(e[i] / sum.total))
							}
						}
						gamma, _ := math.Lgamma(m)
						want := gamma + (m-1)*math.Log(tau) + logs.total
						if math.Abs(got-want) > 1e-10*m {
							t.Errorf("%d classes, tau %v, logits of %v: %v, want %v", classes, tau, spread, got, want)
						}
					}
				}
			}
		}
	})
}

// With one class that is not masked, nothing is uncertain: the log density is 0, and so
// are the gradients.
func TestConcreteOfOneClass(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testConcreteOfOneClass[float32])
		t.Run("float64", testConcreteOfOneClass[float64])
	})
}

func testConcreteOfOneClass[T Float](t *testing.T) {
	inf := T(math.Inf(1))
	for _, classes := range []int{1, 3, 100} {
		for _, x := range []T{0, 1.7, -1e4, 1e30} {
			logits, value := slices.Repeat([]T{-inf}, classes), slices.Repeat([]T{-inf}, classes)
			logits[classes/2], value[classes/2] = x, -x/3
			c, grad := Concrete[T]{Dims{1, classes, 1}, logits, value, 0.3}, []T{1.7}
			log, toLogits, toValue, tau, err := c.run(grad)
			if err != nil {
				t.Fatal(err)
			}
			zeros := make([]T, classes)
			if log[0] != 0 || tau != 0 || !slices.Equal(toLogits, zeros) || !slices.Equal(toValue, zeros) {
				t.Errorf("%d classes, logit %v: %v with gradients %v, %v, %v", classes, x, log[0], toLogits, toValue, tau)
			}
		}
	}
}

func TestConcreteBadInput(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testConcreteBadInput[float32])
		t.Run("float64", testConcreteBadInput[float64])
	})
}

func testConcreteBadInput[T Float](t *testing.T) {
	nan, inf := T(math.NaN()), T(math.Inf(1))
	type test struct {
		logit, value T
		problem      Problem
	}
	tests := []test{
		{nan, 0, BadFirst}, {inf, 0, BadFirst}, {0, nan, BadSecond}, {0, inf, BadSecond}, {inf, inf, BadFirst},
		{-inf, 3, MaskedSample}, {3, -inf, UnmaskedSample}, {-inf, nan, BadSecond}, {-inf, inf, BadSecond}, {inf, -inf, BadFirst},
	}
	if !isFloat32[T]() {
		huge := math.MaxFloat64
		tests = append(tests, test{0, T(huge), OutOfRange}, test{0, T(-huge), OutOfRange}, test{T(-huge), T(huge), OutOfRange})
	}
	for _, classes := range []int{2, 10, 100} {
		for _, test := range tests {
			d := Dims{3, classes, 1}
			c := Concrete[T]{d, make([]T, d.Size()), make([]T, d.Size()), 3}
			at := classes + classes/2
			c.Logits[at], c.Value[at] = test.logit, test.value
			for _, slopes := range [][]T{nil, make([]T, d.Size())} {
				var bad *InputError
				if err := c.LogProb(make([]T, 3), slopes, nil); !errors.As(err, &bad) || bad.Index != at || bad.Problem != test.problem {
					t.Errorf("%d classes: logit %v, value %v: %v", classes, test.logit, test.value, err)
				}
			}
		}
	}
	c := Concrete[T]{Dims{2, 2, 1}, []T{0, 0, -inf, -inf}, []T{0, 0, -inf, -inf}, 1}
	var bad *InputError
	if err := c.LogProb(make([]T, 2), nil, nil); !errors.As(err, &bad) || bad.Index != 2 || bad.Problem != AllMasked {
		t.Errorf("all masked: %v", err)
	}
}

// No result is NaN at the ends of the range, or has a gradient where it is masked.
func TestConcreteExtremes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		inf := float32(math.Inf(1))
		for _, classes := range []int{4, 80} {
			for _, x := range []float32{0, 1e4, 1e30, 3e38} {
				for _, y := range []float32{0, -1e4, -3e38, 3e38} {
					for _, tau := range []float64{1e-30, 0.01, 100, 1e30} {
						for _, g := range []float32{1, 1e30, 3e38} {
							logits, value := make([]float32, classes), make([]float32, classes)
							logits[0], logits[1], logits[2] = x, -x, -inf
							value[0], value[1], value[2] = y, -1, -inf
							c, grad := Concrete[float32]{Dims{1, classes, 1}, logits, value, tau}, []float32{g}
							log, toLogits, toValue, toTau, err := c.run(grad)
							if err != nil {
								t.Fatal(err)
							}
							all := slices.Concat(log, toLogits, toValue, []float32{float32(toTau)})
							if slices.ContainsFunc(all, func(v float32) bool { return v != v }) || !isFinite(log[0]) || toLogits[2] != 0 || toValue[2] != 0 {
								t.Fatalf("%d classes, logit %v, value %v, tau %v, g %v: %v", classes, x, y, tau, g, all)
							}
						}
					}
				}
			}
		}
	})
}

// An infinite gradient reaches unmasked classes alone.
func TestConcreteNotFinite(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, classes := range []int{4, 80} {
			d := Dims{2, classes, 1}
			c, _ := concreteCase[float32](d, 1, 0.7)
			c.Logits[1], c.Value[1] = float32(math.Inf(-1)), float32(math.Inf(-1))
			_, toLogits, _, _, err := c.run([]float32{float32(math.Inf(1)), 1})
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range toLogits {
				if got, want := isFinite(v), i == 1 || i >= classes || isMasked(c.Logits[i]); got != want || isMasked(c.Logits[i]) && v != 0 {
					t.Errorf("%d classes: gradient %d is %v", classes, i, v)
				}
			}
		}
	})
}

// No bit of a result depends on the number of processors or, but for the gradient to tau,
// on other distributions.
func TestConcreteThreads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	eachLevel(t, func(t *testing.T) {
		for _, d := range []Dims{{5000, 20, 1}, {500, 200, 1}, {30, 20, 170}} {
			c, grad := concreteCase[float32](d, 3, 0.7)
			run := func(c Concrete[float32], grad []float32) (log, toLogits, toValue []float32, tau float64) {
				log, toLogits, toValue, tau, err := c.run(grad)
				if err != nil {
					t.Fatal(err)
				}
				return log, toLogits, toValue, tau
			}
			log, toLogits, toValue, tau := run(c, grad)
			for _, procs := range []int{2, 3, 7} {
				runtime.GOMAXPROCS(procs)
				log2, toLogits2, toValue2, tau2 := run(c, grad)
				if !slices.Equal(log, log2) || !slices.Equal(toLogits, toLogits2) || !slices.Equal(toValue, toValue2) || tau != tau2 {
					t.Errorf("%v: the results differ with GOMAXPROCS=%d", d, procs)
				}
			}
			few := c
			few.Outer = 3
			few.Logits, few.Value = c.Logits[:few.Size()], c.Value[:few.Size()]
			log2, toLogits2, toValue2, _ := run(few, grad[:few.Rows()])
			if !slices.Equal(log[:few.Rows()], log2) || !slices.Equal(toLogits[:few.Size()], toLogits2) || !slices.Equal(toValue[:few.Size()], toValue2) {
				t.Errorf("%v: the first rows differ from those among all", d)
			}
		}
	})
}

// concrete compares the vector code of the density with plain Go.
func (c *vectorCheck[T]) concrete() {
	inf := T(math.Inf(1))
	logits, value := slices.Clone(c.x), slices.Clone(c.y)
	for _, spoil := range []func(logits, value []T){
		func(_, _ []T) {},
		func(logits, _ []T) { logits[c.n-1] = T(math.NaN()) },
		func(_, value []T) { value[0] = -inf },
		func(logits, _ []T) { logits[c.n/2] = inf },
		func(logits, value []T) { logits[c.n-1], value[c.n-1] = -inf, -inf },
	} {
		logits, value := slices.Clone(logits), slices.Clone(value)
		spoil(logits, value)
		c.near("concretePeak", func(plain bool, _ []T) (float64, bool) {
			var tops [16]T
			bad := choose(plain, concretePeakGo[T], concretePeak[T])(logits, value, 0.7, &tops)
			top := float64(slices.Max(tops[:choose(plain, 1, lanes[T]())]))
			if !isFinite(top) {
				top = 0
			}
			return top, bad
		})
	}
	logits[c.n/3], value[c.n/3] = -inf, -inf
	for half := range 2 {
		c.near("concreteExp", func(plain bool, dst []T) (sum float64, _ bool) {
			var sums concreteSums
			choose(plain, concreteExpGo[T], concreteExp[T])(dst, logits, value, &concreteScalars[T]{0.7, 9}, &sums)
			for lane := range sums.total {
				sum += [2]float64{sums.total[lane], sums.below[lane]}[half]
			}
			return sum, false
		})
	}
	c.near("slopesOf", func(plain bool, dst []T) (float64, bool) {
		copy(dst, c.e)
		choose(plain, slopesOfGo[T], slopesOf[T])(dst, logits, 0.6)
		return 0, false
	})
}

// scaleRows checks its vector code at several lengths of rows.
func (c *vectorCheck[T]) scaleRows() {
	for _, classes := range []int{1, 3, 8, 10, 16, 100} {
		rows := c.n / classes
		c.equal("scaleRows", func(plain bool, dst []T) {
			choose(plain, scaleRowsGo[T], scaleRows[T])(dst, c.x, c.y, 0.7, classes, rows)
		})
	}
}

// testConcreteColumns compares the vector code for transposed rows with plain Go.
func testConcreteColumns(t *testing.T, checked map[string]bool) {
	for _, name := range []string{"concreteColumns", "slopeColumns"} {
		checked[name] = true
	}
	inf := float32(math.Inf(1))
	lanes := lanes[float32]()
	near := func(got, want float64) bool { return math.Abs(got-want) <= 3e-6*(1+math.Abs(want)) }
	for classes := 1; classes <= shortRow; classes++ {
		n := classes * lanes
		logits, value := finite[float32](n, 1), finite[float32](n, 2)
		if classes > 1 {
			logits[n/2], value[n/2] = -inf, -inf
		}
		if lanes >= 8 {
			logits[0], logits[1], value[3] = inf, float32(math.NaN()), -inf
		}
		var dst, want transposed
		var found, wantFound concreteLanes
		scalars := columnScalars{0.7, float32(classes), -1.5}
		concreteColumns(dst[:], logits, value, classes, &scalars, &found)
		concreteColumnsGo(want[:], logits, value, classes, &scalars, &wantFound)
		if found.missing != wantFound.missing {
			t.Fatalf("%d classes: rows %b are missing, want %b", classes, found.missing, wantFound.missing)
		}
		var means, wantMeans columnMeans
		meanColumns(dst[:], value, classes, &means)
		meanColumnsGo(dst[:], value, classes, &wantMeans)
		var share [16]float32
		for lane := range share {
			share[lane] = 0.5 * float32(lane)
		}
		slopes, wantSlopes := dst, dst
		slopeColumns(slopes[:], logits, classes, &share)
		slopeColumnsGo(wantSlopes[:], logits, classes, &share)
		for i := range n {
			lane := i % lanes
			if lanes >= 8 && (lane < 2 || lane == 3) {
				continue // not allowed
			}
			if !near(float64(found.top[lane]), float64(wantFound.top[lane])) || !near(found.total[lane], wantFound.total[lane]) || !near(found.below[lane], wantFound.below[lane]) {
				t.Fatalf("%d classes, lane %d: %v, want %v", classes, lane, found, wantFound)
			}
			if found.missing>>lane&1 == 0 && (!near(float64(found.log[lane]), float64(wantFound.log[lane])) || !near(float64(found.share[lane]), float64(wantFound.share[lane]))) {
				t.Fatalf("%d classes, lane %d: %v, want %v", classes, lane, found, wantFound)
			}
			if !near(float64(dst[i]), float64(want[i])) || !near(float64(slopes[i]), float64(wantSlopes[i])) || !near(means.dot[lane], wantMeans.dot[lane]) {
				t.Fatalf("%d classes: exponential %d is %v, want %v; slope %v, want %v; dot %v, want %v", classes, i, dst[i], want[i], slopes[i], wantSlopes[i], means.dot[lane], wantMeans.dot[lane])
			}
		}
	}
}
