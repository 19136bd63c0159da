package plan

import (
	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/philox"
)

// relaxedModule is the module of relaxed.cu.
const relaxedModule = "gumbel_relaxed."

// A Relaxed is the input of a relaxed Bernoulli sample, N elements, and the address of
// its result. Addresses that a launch does not need may be 0.
//
// The noise is Noise or, if this is 0, that of the draw number *Draw of Key's stream.
// There is none if *Draw is negative or both are 0.
type Relaxed struct {
	Float
	kernel.Stretch                                       // of a gate
	N                                                    int
	Out, Logits, Noise, Tau, Draw, Grad, Status, Scratch Pointer
	Key, Further                                         philox.Key // Further is that of the noise of an estimator
	Gap                                                  float64    // kernel.AdaptiveGap if it depends on the probability
	Samples                                              int
}

// Soft sets Out to the relaxed sample, Hard to the sample, and Logit to the logit of the
// relaxed sample.
func (r Relaxed) Soft() Launch  { return r.launch("soft", r.Out) }
func (r Relaxed) Hard() Launch  { return r.launch("hard", r.Out) }
func (r Relaxed) Logit() Launch { return r.launch("logit", r.Out) }

// GradSoft sets Out to the gradient to the logits, given that to the relaxed sample, and
// GradLogit given that to its logit.
func (r Relaxed) GradSoft() Launch  { return r.launch("grad_soft", r.Out) }
func (r Relaxed) GradLogit() Launch { return r.launch("grad_logit", r.Out) }

// Gate sets Out to the hard concrete gate of the relaxed sample, and GradGate to the
// gradient to the logits, given that to the gate. In a run without noise, a gate has the
// temperature 1.
func (r Relaxed) Gate() Launch     { return r.launch("gate", r.Out) }
func (r Relaxed) GradGate() Launch { return r.launch("grad_gate", r.Out) }

// The gradients of estimators, given that to the sample.

func (r Relaxed) GradSoftmax() Launch { return r.launch("grad_softmax", r.Out) }
func (r Relaxed) GradReinMax() Launch { return r.launch("grad_reinmax", r.Out) }
func (r Relaxed) GradGapped() Launch  { return r.launch("grad_gapped", r.Out) }
func (r Relaxed) GradRao() Launch     { return r.launch("grad_rao", r.Out) }

// TauSoft sets Out, of one element, to the gradient to the temperature of Soft, TauLogit
// of Logit, TauSoftmax of straight-through softmax, and TauGate of Gate, which is 0 in a
// run without noise. Scratch must have eight bytes per element.
func (r Relaxed) TauSoft() []Launch    { return r.tau(r.launch("tau_soft", r.Scratch)) }
func (r Relaxed) TauLogit() []Launch   { return r.tau(r.launch("tau_logit", r.Scratch)) }
func (r Relaxed) TauSoftmax() []Launch { return r.tau(r.launch("tau_softmax", r.Scratch)) }
func (r Relaxed) TauGate() []Launch    { return r.tau(r.launch("tau_gate", r.Scratch)) }

func (r Relaxed) tau(shares Launch) []Launch {
	s := Sample{Float: r.Float, Out: r.Out, Scratch: r.Scratch, Tau: r.Tau}
	return []Launch{shares, s.addTau(r.N)}
}

// Open sets Out to the probability that a gate is not 0, GradOpen to the gradient to the
// logits, given that to the probability, and TauOpen to that to the temperature, as
// TauGate does. They need no noise.
func (r Relaxed) Open() Launch      { return r.open("open", r.Out) }
func (r Relaxed) GradOpen() Launch  { return r.open("grad_open", r.Out) }
func (r Relaxed) TauOpen() []Launch { return r.tau(r.open("tau_open", r.Scratch)) }

func (r Relaxed) open(name string, out Pointer) Launch {
	return elementwise(relaxedModule+"relaxed_"+name+"_"+string(r.Float), r.N,
		Pointers(out, r.Logits, r.Tau, r.Grad).Doubles(r.Bound()).Ints(r.N).Pointers(r.Status))
}

func (r Relaxed) launch(name string, out Pointer) Launch {
	return elementwise(relaxedModule+"relaxed_"+name+"_"+string(r.Float), r.N,
		Pointers(out, r.Logits, r.Noise, r.Tau, r.Draw, r.Grad).Doubles(r.Gap, r.Gamma, r.Zeta).Ints(r.Samples).
			Key(r.Key).Key(r.Further).Ints(r.N).Pointers(r.Status))
}

// A RelaxedDensity is the input of the log density of N relaxed Bernoulli samples in logit
// space, and the address of its result. Addresses that a launch does not need may be 0.
type RelaxedDensity struct {
	Float
	N                                              int
	Out, Logits, Value, Tau, Grad, Status, Scratch Pointer
}

// Log sets Out to the log density.
func (r RelaxedDensity) Log() Launch { return r.launch("density", r.Out) }

// GradLogits sets Out to the gradient to the logits, given that to the log density, and
// GradValue to that to the value.
func (r RelaxedDensity) GradLogits() Launch { return r.launch("grad_density_logits", r.Out) }
func (r RelaxedDensity) GradValue() Launch  { return r.launch("grad_density_value", r.Out) }

// GradTau sets Out, of one element, to the gradient to the temperature. Scratch must have
// eight bytes per element.
func (r RelaxedDensity) GradTau() []Launch {
	s := Sample{Float: r.Float, Out: r.Out, Scratch: r.Scratch, Tau: r.Tau}
	return []Launch{r.launch("tau_density", r.Scratch), s.addTau(r.N)}
}

func (r RelaxedDensity) launch(name string, out Pointer) Launch {
	return elementwise(relaxedModule+"relaxed_"+name+"_"+string(r.Float), r.N,
		Pointers(out, r.Logits, r.Value, r.Tau, r.Grad).Ints(r.N).Pointers(r.Status))
}
