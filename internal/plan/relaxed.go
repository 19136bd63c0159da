package plan

import "github.com/gumbel-go/gumbel/internal/philox"

// relaxedModule is the module of relaxed.cu.
const relaxedModule = "gumbel_relaxed."

// A Relaxed is the input of a relaxed Bernoulli sample, N elements, and the address of
// its result. Addresses that a launch does not need may be 0.
//
// The noise is Noise or, if this is 0, that of the draw number *Draw of Key's stream.
// There is none if *Draw is negative or both are 0.
type Relaxed struct {
	Float
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

// The gradients of estimators, given that to the sample.

func (r Relaxed) GradSoftmax() Launch { return r.launch("grad_softmax", r.Out) }
func (r Relaxed) GradReinMax() Launch { return r.launch("grad_reinmax", r.Out) }
func (r Relaxed) GradGapped() Launch  { return r.launch("grad_gapped", r.Out) }
func (r Relaxed) GradRao() Launch     { return r.launch("grad_rao", r.Out) }

// TauSoft sets Out, of one element, to the gradient to the temperature of Soft, TauLogit
// of Logit, and TauSoftmax of straight-through softmax. Scratch must have eight bytes per
// element.
func (r Relaxed) TauSoft() []Launch    { return r.tau("tau_soft") }
func (r Relaxed) TauLogit() []Launch   { return r.tau("tau_logit") }
func (r Relaxed) TauSoftmax() []Launch { return r.tau("tau_softmax") }

func (r Relaxed) tau(name string) []Launch {
	s := Sample{Float: r.Float, Out: r.Out, Scratch: r.Scratch, Tau: r.Tau}
	return []Launch{r.launch(name, r.Scratch), s.addTau(r.N)}
}

func (r Relaxed) launch(name string, out Pointer) Launch {
	return elementwise(relaxedModule+"relaxed_"+name+"_"+string(r.Float), r.N,
		Pointers(out, r.Logits, r.Noise, r.Tau, r.Draw, r.Grad).Doubles(r.Gap).Ints(r.Samples).
			Key(r.Key).Key(r.Further).Ints(r.N).Pointers(r.Status))
}

// A RelaxedDensity is the input of the log-density of N relaxed Bernoulli samples in logit
// space, and the address of its result. Addresses that a launch does not need may be 0.
type RelaxedDensity struct {
	Float
	N                                              int
	Out, Logits, Value, Tau, Grad, Status, Scratch Pointer
}

// Log sets Out to the log-density.
func (r RelaxedDensity) Log() Launch { return r.launch("density", r.Out) }

// GradLogits sets Out to the gradient to the logits, given that to the log-density, and
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
