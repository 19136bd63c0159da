//go:build cuda

package ops

import (
	"github.com/gumbel-go/gumbel/internal/layout"
	"github.com/gumbel-go/gumbel/internal/plan"
)

func (o *gradOp[T]) launches(p *plan.Plan, out plan.Pointer, in []plan.Pointer) []plan.Launch {
	if !o.asked() {
		return []plan.Launch{plan.Zero(plan.FloatOf[T](), out, layout.Size(o.shape))}
	}
	last := len(in) - 1
	return o.forward.device.gradLaunches(p, o.which, out, in[:last], in[last])
}
