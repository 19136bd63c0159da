//go:build cuda

package ops

import "github.com/gumbel-go/gumbel/internal/cuda"

func (o *categorical[T]) launches(c *cuda.Call, out cuda.Pointer, in []cuda.Pointer) []cuda.Launch {
	s := deviceSample[T](c, out, in[0], in[1:], o.stream)
	s.Dims = dims(o.dist)
	return []cuda.Launch{s.Hard()}
}
