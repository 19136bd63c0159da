//go:build cuda

package ops

import "github.com/gumbel-go/gumbel/internal/cuda"

func (o *straightThrough[T]) launches(c *cuda.Call, out cuda.Pointer, in []cuda.Pointer) []cuda.Launch {
	s := deviceSample[T](c, out, in[0], nil, nil)
	s.Dims = dims(o.dist)
	return []cuda.Launch{s.Hard()}
}
