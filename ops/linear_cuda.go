//go:build cuda

package ops

import "github.com/gumbel-go/gumbel/internal/plan"

func (o *linear[T]) launches(_ *plan.Plan, out plan.Pointer, in []plan.Pointer) []plan.Launch {
	return []plan.Launch{plan.Linear(plan.FloatOf[T](), out, in[0], in[1], in[2], o.batch, o.in, o.out, o.act)}
}

func (o *linear[T]) gradLaunches(_ *plan.Plan, which int, out plan.Pointer, in []plan.Pointer, dz plan.Pointer) []plan.Launch {
	f, x, w := plan.FloatOf[T](), in[0], in[1]
	switch which {
	case 0:
		return []plan.Launch{plan.GradLinearX(f, out, dz, w, o.batch, o.in, o.out)}
	case 1:
		return []plan.Launch{plan.GradLinearW(f, out, x, dz, o.batch, o.in, o.out)}
	default:
		return []plan.Launch{plan.GradLinearB(f, out, dz, o.batch, o.out)}
	}
}

// On a device the product is made again. The output is not read: a Reshape of
// it is no copy, and what follows that may have written to it.
func (o *linearGradZ[T]) launches(_ *plan.Plan, out plan.Pointer, in []plan.Pointer) []plan.Launch {
	l := o.forward
	return []plan.Launch{plan.GradLinearZ(plan.FloatOf[T](), out, in[0], in[1], in[2], in[len(in)-1], l.batch, l.in, l.out, l.act)}
}
