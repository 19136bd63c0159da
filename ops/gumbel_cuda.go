//go:build cuda

package ops

import (
	"github.com/gumbel-go/gumbel/internal/layout"
	"github.com/gumbel-go/gumbel/internal/plan"
)

func (o *gumbel[T]) launches(_ *plan.Plan, out plan.Pointer, in []plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.Gumbel(plan.FloatOf[T](), out, in[0], o.stream.key(), layout.Size(o.shape), o.loc, o.scale)}
}
