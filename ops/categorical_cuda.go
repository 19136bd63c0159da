//go:build cuda

package ops

import "github.com/gumbel-go/gumbel/internal/plan"

func (o *categorical[T]) launches(p *plan.Plan, out plan.Pointer, in []plan.Pointer) []plan.Launch {
	s := deviceSample[T](p, out, in[0], in[1:], o.stream)
	s.Dims = dims(o.dist)
	return []plan.Launch{s.Hard()}
}
