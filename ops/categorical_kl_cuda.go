//go:build cuda

package ops

import "github.com/gumbel-go/gumbel/internal/plan"

func (o *categoricalKL[T]) launches(p *plan.Plan, out plan.Pointer, in []plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.KL(plan.FloatOf[T](), out, in[0], secondOrNone(in), dims(o.dist), p.Status())}
}

func (o *categoricalKL[T]) gradLaunches(p *plan.Plan, which int, out plan.Pointer, in []plan.Pointer, grad plan.Pointer) []plan.Launch {
	f := plan.GradKLQ
	if which == 1 {
		f = plan.GradKLP
	}
	return []plan.Launch{f(plan.FloatOf[T](), out, in[0], secondOrNone(in), grad, dims(o.dist), p.Status())}
}

// secondOrNone is p, or nothing for the uniform distribution.
func secondOrNone(in []plan.Pointer) plan.Pointer {
	if len(in) > 1 {
		return in[1]
	}
	return 0
}
