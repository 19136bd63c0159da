// Command fit computes the minimax polynomials of package coeff that are the
// library's own, rounds their coefficients to float32, and prints them with the
// greatest error that they then have in exact arithmetic.
//
//	go run ./internal/coeff/fit
package main

import (
	"fmt"
	"log"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/gumbel-go/gumbel/internal/coeff"
)

// A fit is the search for the polynomial p of a degree that makes the greatest
// weight(x)·|p(x) − f(x)| on [lo, hi] least.
type fit struct {
	name      string
	lo, hi    float64
	degree    int
	f, weight func(x float64) float64
	committed []float64 // the coefficients in package coeff
	bound     float64   // the error that package coeff promises
}

var fits = []fit{
	{"LogRelative", -0.25, 0.5, 6, logTail, func(x float64) float64 {
		return math.Abs(cube(x) / math.Log1p(x))
	}, coeff.LogRelative, 4.21e-8},
	{"LogAbsolute", -0.25, 0.5, 5, logTail, func(x float64) float64 {
		return math.Abs(cube(x))
	}, coeff.LogAbsolute, 5.51e-8},
	// The coefficient of degree 0 is 1: the rest is (2^x − 1)/x.
	{"Exp2", -0.5, 0.5, 4, func(x float64) float64 { return math.Expm1(x*math.Ln2) / x }, func(x float64) float64 {
		return math.Abs(x) / math.Exp2(x)
	}, coeff.Exp2[1:], 1.09e-7},
	{"ExpTail", -2, 2, 9, expTail, func(x float64) float64 { return 1 / expTail(x) }, coeff.ExpTail, 2.06e-8},
	// As a polynomial of the square.
	{"Artanh", 0, 1. / 9, 3, artanhTail, func(z float64) float64 { return z / (1 + z*artanhTail(z)) }, coeff.Artanh, 5.5e-9},
}

func cube(x float64) float64 { return x * x * x }

// logTail returns what P approximates in log(1+x) = x − x²(1/2 − x·P(x)): the
// sum of (−x)^k/(k+3). Subtraction would cancel.
func logTail(x float64) float64 {
	var sum float64
	for k, power := 3, 1.0; math.Abs(power) > 1e-18; k, power = k+1, -power*x {
		sum += power / float64(k)
	}
	return sum
}

// expTail returns (e^x − 1 − x)/x², as the sum of x^k/(k+2)!. Subtraction would cancel.
func expTail(x float64) float64 {
	var sum float64
	for k, term := 3.0, 0.5; math.Abs(term) > 1e-18; k, term = k+1, term*x/k {
		sum += term
	}
	return sum
}

// artanhTail returns (artanh(s) − s)/s³ for z = s², as the sum of z^k/(2k+3).
func artanhTail(z float64) float64 {
	var sum float64
	for k, power := 3.0, 1.0; power > 1e-18; k, power = k+2, power*z {
		sum += power / k
	}
	return sum
}

// The nodes are many more than the coefficients, and the weights settle in some
// 380 iterations: the coefficients are then the same float32 for any number of
// nodes from 500 to 10,000.
const (
	nodes      = 1000
	iterations = 400
)

// solve finds the coefficients by iteratively reweighted least squares (Lawson's
// algorithm): each solution multiplies the weight of a node by the error there,
// so that the greatest errors come to be equal.
func (f fit) solve() ([]float64, error) {
	xs := f.chebyshev(nodes)
	lawson := make([]float64, len(xs))
	for i := range lawson {
		lawson[i] = 1
	}
	var c []float64
	for range iterations {
		var err error
		if c, err = f.leastSquares(xs, lawson); err != nil {
			return nil, err
		}
		var total float64
		for i, x := range xs {
			lawson[i] *= f.errorAt(c, x)
			total += lawson[i]
		}
		for i := range lawson {
			lawson[i] *= nodes / total
		}
	}
	return c, nil
}

// chebyshev returns the n Chebyshev nodes of the interval.
func (f fit) chebyshev(n int) []float64 {
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = (f.lo+f.hi)/2 - (f.hi-f.lo)/2*math.Cos(math.Pi*(float64(i)+0.5)/float64(n))
	}
	return xs
}

// leastSquares minimises the sum of lawson[i]·errorAt(xs[i])².
func (f fit) leastSquares(xs, lawson []float64) ([]float64, error) {
	a, b := mat.NewDense(len(xs), f.degree+1, nil), mat.NewVecDense(len(xs), nil)
	for i, x := range xs {
		w := math.Sqrt(lawson[i]) * f.weight(x)
		b.SetVec(i, w*f.f(x))
		for j := range f.degree + 1 {
			a.Set(i, j, w)
			w *= x
		}
	}
	var c mat.VecDense
	err := c.SolveVec(a, b)
	return c.RawVector().Data, err
}

func (f fit) errorAt(c []float64, x float64) float64 {
	return f.weight(x) * math.Abs(evaluate(c, x)-f.f(x))
}

func evaluate(c []float64, x float64) (p float64) {
	for i := len(c) - 1; i >= 0; i-- {
		p = p*x + c[i]
	}
	return p
}

// worst returns the greatest error of a polynomial.
func (f fit) worst(c []float64) float64 {
	var worst float64
	for _, x := range f.chebyshev(100_000) {
		worst = max(worst, f.errorAt(c, x))
	}
	return worst
}

// round rounds coefficients to float32.
func round(c []float64) []float64 {
	rounded := make([]float64, len(c))
	for i, v := range c {
		rounded[i] = float64(float32(v))
	}
	return rounded
}

func main() {
	log.SetFlags(0)
	for _, f := range fits {
		c, err := f.solve()
		if err != nil {
			log.Fatalf("%s: %v", f.name, err)
		}
		fmt.Printf("%s: greatest error %.3g, before rounding %.3g\n", f.name, f.worst(round(c)), f.worst(c))
		for _, v := range round(c) {
			fmt.Printf("\t%v\n", v)
		}
	}
}
