//go:build cuda

package ops

import "github.com/gumbel-go/gumbel/internal/cuda"

func (o *categoricalKL[T]) launches(c *cuda.Call, out cuda.Pointer, in []cuda.Pointer) []cuda.Launch {
	return []cuda.Launch{cuda.KL(cuda.FloatOf[T](), out, in[0], secondOrNone(in), dims(o.dist), c.Status())}
}

func (o *categoricalKL[T]) gradLaunches(c *cuda.Call, which int, out cuda.Pointer, in []cuda.Pointer, grad cuda.Pointer) []cuda.Launch {
	f := cuda.GradKLQ
	if which == 1 {
		f = cuda.GradKLP
	}
	return []cuda.Launch{f(cuda.FloatOf[T](), out, in[0], secondOrNone(in), grad, dims(o.dist), c.Status())}
}

// secondOrNone is p, or nothing for the uniform distribution.
func secondOrNone(in []cuda.Pointer) cuda.Pointer {
	if len(in) > 1 {
		return in[1]
	}
	return 0
}
