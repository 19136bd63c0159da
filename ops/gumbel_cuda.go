//go:build cuda

package ops

import (
	"github.com/gumbel-go/gumbel/internal/cuda"
	"github.com/gumbel-go/gumbel/internal/layout"
)

func (o *gumbel[T]) launches(_ *cuda.Call, out cuda.Pointer, in []cuda.Pointer) []cuda.Launch {
	return []cuda.Launch{cuda.Gumbel(cuda.FloatOf[T](), out, in[0], o.stream.key(), layout.Size(o.shape), o.loc, o.scale)}
}
