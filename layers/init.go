package layers

import (
	"math"
	"math/rand/v2"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// GlorotUniform returns an initialiser that draws weights from
//
//	U(-a, a),  a = sqrt(6 / (fanIn + fanOut))
//
// (Glorot and Bengio, "Understanding the difficulty of training deep
// feedforward neural networks", AISTATS 2010, equation 16). A shape (m, n) has
// fans m and n; as in Gorgonia, a vector (n) counts as (1, n) and further axes
// multiply both fans. A scalar counts as (1, 1).
//
// Gorgonia's GlorotU is seeded by the clock. Here equal seeds give equal
// weights, in float32 those of float64 rounded. Successive calls go on in one
// stream, so one initialiser may serve all layers of a model: their order then
// decides who gets which weights. It must not be called from two goroutines at
// once.
//
// An InitWFn has no error to return. For a dtype other than Float32 and Float64
// this one returns nil, which NewLinear reports; Gorgonia's own panic.
func GlorotUniform(seed uint64) G.InitWFn {
	r := rand.New(rand.NewPCG(seed, 0))
	return func(dt tensor.Dtype, shape ...int) interface{} {
		a := glorotBound(shape)
		size := tensor.Shape(shape).TotalSize()
		switch dt {
		case tensor.Float64:
			return uniform[float64](r, a, size)
		case tensor.Float32:
			return uniform[float32](r, a, size)
		}
		return nil
	}
}

func glorotBound(shape []int) float64 {
	switch len(shape) {
	case 0:
		return math.Sqrt(3)
	case 1:
		return math.Sqrt(6 / float64(1+shape[0]))
	}
	fans := shape[0] + shape[1]
	for _, n := range shape[2:] {
		fans *= n
	}
	return math.Sqrt(6 / float64(fans))
}

func uniform[T float32 | float64](r *rand.Rand, a float64, size int) []T {
	w := make([]T, size)
	for i := range w {
		w[i] = T(a * (2*r.Float64() - 1))
	}
	return w
}
