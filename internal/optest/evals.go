package optest

import (
	"cmp"
	"math"
	"slices"
)

// Softmax returns softmax(logits/tau), the soft sample without noise.
func Softmax(b *Builder) []float64 {
	_, y := logSoftmax(b.data("logits"), b.data("tau")[0], b.Distributions())
	return y
}

// Mode returns the one-hot modes of the distributions of the logits.
func Mode(b *Builder) []float64 {
	x := b.data("logits")
	mode := make([]float64, len(x))
	for _, d := range b.Distributions() {
		mode[slices.MaxFunc(d, func(i, j int) int { return cmp.Compare(x[i], x[j]) })] = 1
	}
	return mode
}

// Sigmoid returns sigmoid(logits/tau), the relaxed Bernoulli sample without noise.
func Sigmoid(b *Builder) []float64 {
	x := b.data("logits")
	for i := range x {
		x[i] = sigmoid(x[i] / b.data("tau")[0])
	}
	return x
}

// Gate returns the hard concrete gate without noise and temperature, stretched to -0.1
// to 1.1.
func Gate(b *Builder) []float64 {
	z := b.data("logAlpha")
	for i, a := range z {
		z[i] = min(max(1.2*sigmoid(a)-0.1, 0), 1)
	}
	return z
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
