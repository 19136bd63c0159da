//go:build cuda

package ops

import (
	"github.com/gumbel-go/gumbel/internal/layout"
	"github.com/gumbel-go/gumbel/internal/plan"
)

func (o *bce[T]) launches(p *plan.Plan, out plan.Pointer, in []plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.BCE(plan.FloatOf[T](), out, in[0], in[1], layout.Size(o.shape), p.Status())}
}

func (o *bce[T]) gradLaunches(p *plan.Plan, which int, out plan.Pointer, in []plan.Pointer, grad plan.Pointer) []plan.Launch {
	f := plan.GradBCELogits
	if which == 1 {
		f = plan.GradBCETargets
	}
	return []plan.Launch{f(plan.FloatOf[T](), out, in[0], in[1], grad, layout.Size(o.shape), p.Status())}
}
