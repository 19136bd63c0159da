// Package coeff holds the coefficients of the library's polynomials, once for the
// kernels in Go, for the generator of their assembly and, in the generated header
// coeff.cuh, for CUDA.
//
// Changing one changes the bits of noise and samples.
package coeff

//go:generate go run ./header -out ../cuda/coeff.cuh

// The first logarithm of the noise, in float32: for 1+f in [3/4, 3/2),
//
//	log(1+f) ≈ f − f²(1/2 − f·P(f))
//
// P is the polynomial of degree 6 that makes the greatest relative error least. With
// the coefficients rounded to float32 the error is at most 4.21e-8. Command fit
// computes it.
const (
	LogRelativeC0 = 0.33333471417427063
	LogRelativeC1 = -0.24996361136436462
	LogRelativeC2 = 0.19982320070266724
	LogRelativeC3 = -0.16788817942142487
	LogRelativeC4 = 0.14904440939426422
	LogRelativeC5 = -0.12114135921001434
	LogRelativeC6 = 0.05559724196791649
)

// The second logarithm of the noise, in float32, of which only the absolute error
// matters: the same form, with P of degree 5 and an absolute error of at most
// 5.51e-8. Command fit computes it.
const (
	LogAbsoluteC0 = 0.3332992494106293
	LogAbsoluteC1 = -0.24984413385391235
	LogAbsoluteC2 = 0.2012445479631424
	LogAbsoluteC3 = -0.1731603890657425
	LogAbsoluteC4 = 0.13895100355148315
	LogAbsoluteC5 = -0.06423308700323105
)

// A power of 2 in float32: for r in [−1/2, 1/2],
//
//	2^r ≈ 1 + r·(Exp2C1 + r·(Exp2C2 + r·(Exp2C3 + r·(Exp2C4 + r·Exp2C5))))
//
// with a relative error of at most 1.09e-7. Command fit computes it.
const (
	Exp2C1 = 0.6931470036506653
	Exp2C2 = 0.24022242426872253
	Exp2C3 = 0.05550733581185341
	Exp2C4 = 0.009671512991189957
	Exp2C5 = 0.001326472731307149
)

// log2(e) in two numbers of float32, the second for what the first lacks.
const (
	Log2EHi = 1.44269502162933349609375
	Log2ELo = 1.92596299112661746887e-8
)

// The exponential in float32, from expf of the Cephes library (S. Moshier): with
// log 2 in two parts, the first of so few bits that its multiples are exact, and
// for r in [−log(2)/2, log(2)/2],
//
//	e^r ≈ 1 + r + r²(ExpfC0 + r·(ExpfC1 + r·(ExpfC2 + r·(ExpfC3 + r·(ExpfC4 + r·ExpfC5)))))
const (
	ExpfLn2Hi = 0.693359375
	ExpfLn2Lo = -2.12194440e-4

	ExpfC0 = 5.0000001201e-1
	ExpfC1 = 1.6666665459e-1
	ExpfC2 = 4.1665795894e-2
	ExpfC3 = 8.3334519073e-3
	ExpfC4 = 1.3981999507e-3
	ExpfC5 = 1.9875691500e-4
)

// The exponential in float64, from exp of the Cephes library: with log 2 in two
// parts, and for r in [−log(2)/2, log(2)/2], z = r²,
//
//	e^r ≈ 1 + 2·r·P(z)/(Q(z) − r·P(z))
const (
	ExpLn2Hi = 6.93145751953125e-1
	ExpLn2Lo = 1.42860682030941723212e-6

	ExpP0 = 9.99999999999999999910e-1
	ExpP1 = 3.02994407707441961300e-2
	ExpP2 = 1.26177193074810590878e-4

	ExpQ0 = 2.00000000000000000009e0
	ExpQ1 = 2.27265548208155028766e-1
	ExpQ2 = 2.52448340349684104192e-3
	ExpQ3 = 3.00198505138664455042e-6
)

// The exponential without its first two terms, in float32: for x in [−2, 2],
//
//	e^x − 1 − x ≈ x²·(ExpTailC0 + x·(ExpTailC1 + … + x·ExpTailC9))
//
// with a relative error of at most 2.06e-8. Command fit computes it.
const (
	ExpTailC0 = 0.5
	ExpTailC1 = 0.1666666567325592
	ExpTailC2 = 0.04166661947965622
	ExpTailC3 = 0.008333361707627773
	ExpTailC4 = 0.0013889892725273967
	ExpTailC5 = 0.00019839138258248568
	ExpTailC6 = 2.4728875359869562e-05
	ExpTailC7 = 2.759976723609725e-06
	ExpTailC8 = 2.9672227697119524e-07
	ExpTailC9 = 2.5569955042215042e-08
)

// A logarithm without a reduction of its argument, in float32: for s in [−⅓, ⅓], z = s²,
//
//	log((1+s)/(1−s)) = 2 artanh(s) ≈ 2·(s + s·z·(ArtanhC0 + z·(ArtanhC1 + z·(ArtanhC2 + z·ArtanhC3))))
//
// with a relative error of at most 5.5e-9. Command fit computes it.
const (
	ArtanhC0 = 0.3333320915699005
	ArtanhC1 = 0.2001076340675354
	ArtanhC2 = 0.14000903069972992
	ArtanhC3 = 0.1400599330663681
)

// The logarithm in float64, from e_log.c of FreeBSD (Sun Microsystems): with
// log 2 in two parts, and for 1+f in [sqrt(1/2), sqrt(2)), s = f/(2+f), z = s²,
//
//	log(1+f) ≈ f − f²/2 + s·(f²/2 + R)
//	R = z·(LogL1 + z·(LogL2 + z·(LogL3 + z·(LogL4 + z·(LogL5 + z·(LogL6 + z·LogL7))))))
const (
	LogLn2Hi = 6.93147180369123816490e-01
	LogLn2Lo = 1.90821492927058770002e-10

	LogL1 = 6.666666666666735130e-01
	LogL2 = 3.999999999940941908e-01
	LogL3 = 2.857142874366239149e-01
	LogL4 = 2.222219843214978396e-01
	LogL5 = 1.818357216161805012e-01
	LogL6 = 1.531383769920937332e-01
	LogL7 = 1.479819860511658591e-01
)

// ExpTail64 is the polynomial of ExpTail for float64, from degree 0 on: the Taylor series,
// 1/(k+2)! for degree k, with a relative error of at most 2.4e-17.
var ExpTail64 = inverseFactorials(2, 22)

// Artanh64 is the polynomial of Artanh for float64, from degree 0 on: the Taylor series,
// 1/(2k+3) for degree k, with a relative error of at most 1.7e-17.
var Artanh64 = []float64{1. / 3, 1. / 5, 1. / 7, 1. / 9, 1. / 11, 1. / 13, 1. / 15, 1. / 17, 1. / 19, 1. / 21, 1. / 23, 1. / 25, 1. / 27, 1. / 29, 1. / 31}

// inverseFactorials returns 1/k! for n numbers k from first on.
func inverseFactorials(first, n int) []float64 {
	var c []float64
	for k, factorial := 1, 1.0; len(c) < n; k, factorial = k+1, factorial*float64(k+1) {
		if k >= first {
			c = append(c, 1/factorial)
		}
	}
	return c
}

// The polynomials in order of degree, for the generators and command fit.
var (
	LogRelative = []float64{LogRelativeC0, LogRelativeC1, LogRelativeC2, LogRelativeC3, LogRelativeC4, LogRelativeC5, LogRelativeC6}
	LogAbsolute = []float64{LogAbsoluteC0, LogAbsoluteC1, LogAbsoluteC2, LogAbsoluteC3, LogAbsoluteC4, LogAbsoluteC5}
	Exp2        = []float64{1, Exp2C1, Exp2C2, Exp2C3, Exp2C4, Exp2C5}
	Expf        = []float64{ExpfC0, ExpfC1, ExpfC2, ExpfC3, ExpfC4, ExpfC5}
	ExpTail     = []float64{ExpTailC0, ExpTailC1, ExpTailC2, ExpTailC3, ExpTailC4, ExpTailC5, ExpTailC6, ExpTailC7, ExpTailC8, ExpTailC9}
	Artanh      = []float64{ArtanhC0, ArtanhC1, ArtanhC2, ArtanhC3}
	ExpP        = []float64{ExpP0, ExpP1, ExpP2}
	ExpQ        = []float64{ExpQ0, ExpQ1, ExpQ2, ExpQ3}
	LogL        = []float64{LogL1, LogL2, LogL3, LogL4, LogL5, LogL6, LogL7} // from z on
)
