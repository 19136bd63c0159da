//go:build cuda

package ops

import (
	"github.com/gumbel-go/gumbel/internal/cuda"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// On a device nothing is kept from forward to backward: backward makes the soft
// sample again, which reads no more memory than the kept one would.

func (o *gumbelSoftmax[T]) launches(c *cuda.Call, out cuda.Pointer, in []cuda.Pointer) []cuda.Launch {
	s := o.sample(c, out, in)
	if o.hard {
		return []cuda.Launch{s.Hard()}
	}
	return []cuda.Launch{s.Soft()}
}

// sample is the sample on the device, with out for what is made of it.
func (o *gumbelSoftmax[T]) sample(c *cuda.Call, out cuda.Pointer, in []cuda.Pointer) cuda.Sample {
	s := deviceSample[T](c, out, in[0], in[2:], o.stream)
	s.Dims, s.Tau = dims(o.dist), in[1]
	return s
}

// deviceSample is a sample without noise, of the noise given after the draw, or
// of a stream's.
func deviceSample[T layout.Float](c *cuda.Call, out, logits cuda.Pointer, noise []cuda.Pointer, stream *stream) cuda.Sample {
	s := cuda.Sample{Float: cuda.FloatOf[T](), Out: out, Logits: logits, Status: c.Status()}
	switch {
	case stream != nil:
		s.Draw, s.Key = noise[0], stream.key()
	case len(noise) > 1:
		s.Draw, s.Noise = noise[0], noise[1]
	}
	return s
}

func (o *gumbelSoftmaxGrad[T]) launches(c *cuda.Call, out cuda.Pointer, in []cuda.Pointer) []cuda.Launch {
	s := o.forward.sample(c, out, in[:len(in)-2])
	s.Grad = in[len(in)-1]
	return []cuda.Launch{s.GradLogits()}
}

func (o *gumbelSoftmaxGradTau[T]) launches(c *cuda.Call, out cuda.Pointer, in []cuda.Pointer) []cuda.Launch {
	if !o.asked() {
		return []cuda.Launch{cuda.Zero(cuda.FloatOf[T](), out, 1)}
	}
	s := o.forward.sample(c, out, in[:len(in)-2])
	s.Grad = in[len(in)-1]
	s.Scratch = c.Scratch(s.TauScratch())
	return s.GradTau()
}
