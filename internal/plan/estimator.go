package plan

import "github.com/gumbel-go/gumbel/internal/kernel"

// estimatorModule is the module of estimator.cu.
const estimatorModule = "gumbel_estimator."

// An Estimate is a Sample whose gradient is estimated from the one-hot sample Hard.
type Estimate struct {
	Sample
	Hard    Pointer
	Gap     float64 // kernel.AdaptiveGap if it depends on the probability
	Samples int
}

// GradReinMax sets Out to the gradient of ReinMax to the logits.
func (e Estimate) GradReinMax() Launch { return e.launch("grad_reinmax", 0) }

// GradGapped sets Out to the gradient of the gapped straight-through estimator.
func (e Estimate) GradGapped() Launch { return e.launch("grad_gapped", 0) }

// GradRao sets Out to the gradient of Gumbel-Rao, whose noise is that of the streams
// that belong to Key's, or that of straight-through softmax if *Draw is negative.
func (e Estimate) GradRao() Launch { return e.launch("grad_rao", 0) }

// LogSoft sets Out to log softmax((Logits + Noise)/Tau). Here, Noise is not drawn: 0
// means none.
func (s Sample) LogSoft() Launch { return Estimate{Sample: s}.launch("log_soft", 0) }

// GradLog sets Out to the gradient to the logits, given that to the LogSoft sample.
func (s Sample) GradLog() Launch { return Estimate{Sample: s}.launch("grad_log", 0) }

// GradLogTau sets Out, of one element, to the gradient to the temperature, given that
// to the LogSoft sample. Scratch must have eight bytes per distribution.
func (s Sample) GradLogTau() []Launch {
	return []Launch{Estimate{Sample: s}.launch("grad_log_tau", s.Scratch), s.addTau(s.Rows())}
}

func (e Estimate) launch(name string, sums Pointer) Launch {
	t := teamsFor(e.Float, 0, e.Dims)
	out := e.Out
	if sums != 0 {
		out = 0
	}
	return Launch{
		Kernel:  estimatorModule + name + "_" + string(e.Float),
		Blocks:  kernel.CeilDiv(e.Rows(), t.threads/t.width),
		Threads: t.threads,
		Params: Pointers(out, sums, e.Logits, e.Hard, e.Noise, e.Tau, e.Draw, e.Grad).Doubles(e.Gap).Ints(e.Samples).
			Key(e.Key).Ints(e.Rows(), e.Classes, e.Inner, t.width).Pointers(e.Status),
	}
}
