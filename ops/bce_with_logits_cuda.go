//go:build cuda

package ops

import (
	"github.com/gumbel-go/gumbel/internal/cuda"
	"github.com/gumbel-go/gumbel/internal/layout"
)

func (o *bce[T]) launches(c *cuda.Call, out cuda.Pointer, in []cuda.Pointer) []cuda.Launch {
	return []cuda.Launch{cuda.BCE(cuda.FloatOf[T](), out, in[0], in[1], layout.Size(o.shape), c.Status())}
}

func (o *bce[T]) gradLaunches(c *cuda.Call, which int, out cuda.Pointer, in []cuda.Pointer, grad cuda.Pointer) []cuda.Launch {
	f := cuda.GradBCELogits
	if which == 1 {
		f = cuda.GradBCETargets
	}
	return []cuda.Launch{f(cuda.FloatOf[T](), out, in[0], in[1], grad, layout.Size(o.shape), c.Status())}
}
