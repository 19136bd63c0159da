package blas_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	gonumblas "gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/blas"
)

type arguments struct {
	tA, tB        gonumblas.Transpose
	m, n, k       int
	alpha, beta   float64
	a, b, c       []float64
	lda, ldb, ldc int
}

func (x arguments) double(f gonumblas.Float64) []float64 {
	c := append([]float64(nil), x.c...)
	f.Dgemm(x.tA, x.tB, x.m, x.n, x.k, x.alpha, x.a, x.lda, x.b, x.ldb, x.beta, c, x.ldc)
	return c
}

func (x arguments) single(f gonumblas.Float32) []float64 {
	c := singles(x.c)
	f.Sgemm(x.tA, x.tB, x.m, x.n, x.k, float32(x.alpha), singles(x.a), x.lda, singles(x.b), x.ldb, float32(x.beta), c, x.ldc)
	d := make([]float64, len(c))
	for i, v := range c {
		d[i] = float64(v)
	}
	return d
}

func singles(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// newArguments returns those of a product of normal numbers. About one number in rare is
// 0, and one in rare is infinite or NaN, unless rare is 0.
func newArguments(seed uint64, tA, tB gonumblas.Transpose, m, n, k, rare int) arguments {
	r := rand.New(rand.NewPCG(seed, 0))
	numbers := func(n int) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = r.NormFloat64()
			if rare > 0 {
				switch r.IntN(rare) {
				case 0:
					x[i] = 0
				case 1:
					x[i] = []float64{math.NaN(), math.Inf(1), math.Inf(-1)}[r.IntN(3)]
				}
			}
		}
		return x
	}
	x := arguments{tA: tA, tB: tB, m: m, n: n, k: k, alpha: 1, lda: k, ldb: n, ldc: n}
	if tA != gonumblas.NoTrans {
		x.lda = m
	}
	if tB != gonumblas.NoTrans {
		x.ldb = k
	}
	x.a, x.b, x.c = numbers(m*k), numbers(k*n), numbers(m*n)
	return x
}

var transposes = []gonumblas.Transpose{gonumblas.NoTrans, gonumblas.Trans, gonumblas.ConjTrans}

// Products agree with gonum's, with NaN and infinities in the same places.
func TestGonum(t *testing.T) {
	seed := uint64(0)
	for _, tA := range transposes {
		for _, tB := range transposes {
			for _, alpha := range []float64{0, 1, -2, math.NaN()} {
				for _, beta := range []float64{0, 1, -2, math.Inf(1)} {
					for _, rare := range []int{0, 5, 100} {
						for _, size := range [][3]int{{1, 1, 1}, {7, 17, 5}, {33, 40, 70}, {3, 70, 33}} {
							seed++
							x := newArguments(seed, tA, tB, size[0], size[1], size[2], rare)
							x.alpha, x.beta = alpha, beta
							compare(t, x, "Sgemm", x.single(blas.Implementation{}), x.single(gonum.Implementation{}), 1e-5)
							compare(t, x, "Dgemm", x.double(blas.Implementation{}), x.double(gonum.Implementation{}), 1e-13)
						}
					}
				}
			}
		}
	}
}

func compare(t *testing.T, x arguments, name string, got, want []float64, tolerance float64) {
	t.Helper()
	for i, v := range got {
		w := want[i]
		if math.IsNaN(v) && math.IsNaN(w) || v == w {
			continue
		}
		if !(math.Abs(v-w) <= tolerance*float64(x.k+1)*5) {
			t.Fatalf("%s(%c, %c, %d, %d, %d, α %v, β %v): element %d is %v, gonum's is %v", name, x.tA, x.tB, x.m, x.n, x.k, x.alpha, x.beta, i, v, w)
		}
	}
}

// Wrong arguments panic as gonum's do, and empty matrices do not.
func TestPanics(t *testing.T) {
	for i, change := range []func(x *arguments){
		func(x *arguments) { x.tA = 'x' },
		func(x *arguments) { x.tB = 'x' },
		func(x *arguments) { x.m = -1 },
		func(x *arguments) { x.n = -1 },
		func(x *arguments) { x.k = -1 },
		func(x *arguments) { x.lda = 4 },
		func(x *arguments) { x.ldb = 3 },
		func(x *arguments) { x.ldc = 3 },
		func(x *arguments) { x.a = x.a[1:] },
		func(x *arguments) { x.b = x.b[1:] },
		func(x *arguments) { x.c = x.c[1:] },
		func(x *arguments) { x.m, x.a, x.c = 0, nil, nil },
		func(x *arguments) { x.n, x.b, x.c = 0, nil, nil },
		func(x *arguments) { x.k, x.a, x.b = 0, nil, nil },
	} {
		x := newArguments(1, gonumblas.NoTrans, gonumblas.NoTrans, 3, 4, 5, 0)
		change(&x)
		for name, run := range map[string][2]func(){
			"Sgemm": {func() { x.single(blas.Implementation{}) }, func() { x.single(gonum.Implementation{}) }},
			"Dgemm": {func() { x.double(blas.Implementation{}) }, func() { x.double(gonum.Implementation{}) }},
		} {
			if got, want := panicOf(run[0]), panicOf(run[1]); got != want {
				t.Errorf("%s, change %d: panic %v, gonum's is %v", name, i, got, want)
			}
		}
	}
}

func panicOf(f func()) (message any) {
	defer func() { message = recover() }()
	f()
	return nil
}

// Gorgonia's own products use it.
func ExampleImplementation() {
	before := G.WhichBLAS()
	defer G.Use(before)
	G.Use(blas.Implementation{})

	g := G.NewGraph()
	x := G.NewMatrix(g, tensor.Float32, G.WithShape(2, 3), G.WithName("x"), G.WithInit(G.RangedFrom(0)))
	w := G.NewMatrix(g, tensor.Float32, G.WithShape(3, 2), G.WithName("w"), G.WithInit(G.RangedFrom(1)))
	var y G.Value
	G.Read(G.Must(G.Mul(x, w)), &y)
	m := G.NewTapeMachine(g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(y.Data())
	// Output: [13 16 40 52]
}
