//go:build cuda

package ops

import (
	"github.com/gumbel-go/gumbel/internal/cuda"
	"github.com/gumbel-go/gumbel/internal/layout"
)

func (o *gradOp[T]) launches(c *cuda.Call, out cuda.Pointer, in []cuda.Pointer) []cuda.Launch {
	if !o.asked() {
		return []cuda.Launch{cuda.Zero(cuda.FloatOf[T](), out, layout.Size(o.shape))}
	}
	last := len(in) - 1
	return o.forward.device.gradLaunches(c, o.which, out, in[:last], in[last])
}
