//go:build cuda

package ops

import "github.com/gumbel-go/gumbel/internal/cuda"

func (o *linear[T]) launches(_ *cuda.Call, out cuda.Pointer, in []cuda.Pointer) []cuda.Launch {
	return []cuda.Launch{cuda.Linear(cuda.FloatOf[T](), out, in[0], in[1], in[2], o.batch, o.in, o.out, o.act)}
}

func (o *linear[T]) gradLaunches(_ *cuda.Call, which int, out cuda.Pointer, in []cuda.Pointer, dz cuda.Pointer) []cuda.Launch {
	f, x, w := cuda.FloatOf[T](), in[0], in[1]
	switch which {
	case 0:
		return []cuda.Launch{cuda.GradLinearX(f, out, dz, w, o.batch, o.in, o.out)}
	case 1:
		return []cuda.Launch{cuda.GradLinearW(f, out, x, dz, o.batch, o.in, o.out)}
	default:
		return []cuda.Launch{cuda.GradLinearB(f, out, dz, o.batch, o.out)}
	}
}

// On a device the product is made again. The output is not read: a Reshape of
// it is no copy, and what follows that may have written to it.
func (o *linearGradZ[T]) launches(_ *cuda.Call, out cuda.Pointer, in []cuda.Pointer) []cuda.Launch {
	l := o.forward
	return []cuda.Launch{cuda.GradLinearZ(cuda.FloatOf[T](), out, in[0], in[1], in[2], in[len(in)-1], l.batch, l.in, l.out, l.act)}
}
