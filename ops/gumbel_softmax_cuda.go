//go:build cuda

package ops

import (
	"github.com/gumbel-go/gumbel/internal/layout"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// On a device nothing is kept from forward to backward: backward makes the soft
// sample again, which reads no more memory than the kept one would.

func (o *gumbelSoftmax[T]) launches(p *plan.Plan, out plan.Pointer, in []plan.Pointer) []plan.Launch {
	s := o.sample(p, out, in)
	if o.hard {
		return []plan.Launch{s.Hard()}
	}
	return []plan.Launch{s.Soft()}
}

// sample is the sample on the device, with out for what is made of it.
func (o *gumbelSoftmax[T]) sample(p *plan.Plan, out plan.Pointer, in []plan.Pointer) plan.Sample {
	s := deviceSample[T](p, out, in[0], in[2:], o.stream)
	s.Dims, s.Tau = dims(o.dist), in[1]
	return s
}

// deviceSample is a sample without noise, of the noise given after the draw, or
// of a stream's.
func deviceSample[T layout.Float](p *plan.Plan, out, logits plan.Pointer, noise []plan.Pointer, stream *stream) plan.Sample {
	s := plan.Sample{Float: plan.FloatOf[T](), Out: out, Logits: logits, Status: p.Status()}
	switch {
	case stream != nil:
		s.Draw, s.Key = noise[0], stream.key()
	case len(noise) > 1:
		s.Draw, s.Noise = noise[0], noise[1]
	}
	return s
}

func (o *gumbelSoftmaxGrad[T]) launches(p *plan.Plan, out plan.Pointer, in []plan.Pointer) []plan.Launch {
	s := o.forward.sample(p, out, in[:len(in)-2])
	s.Grad = in[len(in)-1]
	return []plan.Launch{s.GradLogits()}
}

func (o *gumbelSoftmaxGradTau[T]) launches(p *plan.Plan, out plan.Pointer, in []plan.Pointer) []plan.Launch {
	if !o.asked() {
		return []plan.Launch{plan.Zero(plan.FloatOf[T](), out, 1)}
	}
	s := o.forward.sample(p, out, in[:len(in)-2])
	s.Grad = in[len(in)-1]
	s.Scratch = p.Scratch(s.TauScratch())
	return s.GradTau()
}
