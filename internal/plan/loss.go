package plan

import "github.com/gumbel-go/gumbel/internal/kernel"

// lossModule is the module of loss.cu.
const lossModule = "gumbel_loss."

// BCE sets out to the n binary cross-entropies of targets from logits.
func BCE(f Float, out, logits, targets Pointer, n int, status Pointer) Launch {
	return elementwise(lossModule+"bce_"+string(f), n, Pointers(out, logits, targets).Ints(n).Pointers(status))
}

// GradBCELogits sets out to the gradient to the logits, given that to the loss.
func GradBCELogits(f Float, out, logits, targets, grad Pointer, n int, status Pointer) Launch {
	return elementwise(lossModule+"grad_bce_logits_"+string(f), n, Pointers(out, logits, targets, grad).Ints(n).Pointers(status))
}

// GradBCETargets sets out to the gradient to the targets.
func GradBCETargets(f Float, out, logits, targets, grad Pointer, n int, status Pointer) Launch {
	return elementwise(lossModule+"grad_bce_targets_"+string(f), n, Pointers(out, logits, targets, grad).Ints(n).Pointers(status))
}

// BernoulliKL sets out to the n divergences of Bernoulli(sigmoid(q)) from
// Bernoulli(sigmoid(p)). If p is 0, it stands for the fair coin.
func BernoulliKL(f Float, out, q, p Pointer, n int, status Pointer) Launch {
	return elementwise(lossModule+"bernoulli_kl_"+string(f), n, Pointers(out, q, p, 0).Ints(n).Pointers(status))
}

// GradBernoulliKLQ sets out to the gradient to q, given that to the divergences.
func GradBernoulliKLQ(f Float, out, q, p, grad Pointer, n int, status Pointer) Launch {
	return elementwise(lossModule+"grad_bernoulli_kl_q_"+string(f), n, Pointers(out, q, p, grad).Ints(n).Pointers(status))
}

// GradBernoulliKLP sets out to the gradient to p.
func GradBernoulliKLP(f Float, out, q, p, grad Pointer, n int, status Pointer) Launch {
	return elementwise(lossModule+"grad_bernoulli_kl_p_"+string(f), n, Pointers(out, q, p, grad).Ints(n).Pointers(status))
}

// Copy sets out to the n elements of x.
func Copy(f Float, out, x Pointer, n int) Launch {
	return elementwise(lossModule+"copy_"+string(f), n, Pointers(out, x).Ints(n))
}

// KL sets out to the divergence of softmax(q) from softmax(p) for each distribution.
// If p is 0, it stands for the uniform distribution.
func KL(f Float, out, q, p Pointer, d kernel.Dims, status Pointer) Launch {
	return distributions("kl", f, out, q, p, 0, d, status)
}

// GradKLQ sets out to the gradient to q, given that to the divergences.
func GradKLQ(f Float, out, q, p, grad Pointer, d kernel.Dims, status Pointer) Launch {
	return distributions("grad_kl_q", f, out, q, p, grad, d, status)
}

// GradKLP sets out to the gradient to p.
func GradKLP(f Float, out, q, p, grad Pointer, d kernel.Dims, status Pointer) Launch {
	return distributions("grad_kl_p", f, out, q, p, grad, d, status)
}

// Entropy sets out to the entropy of softmax(logits) for each distribution.
func Entropy(f Float, out, logits Pointer, d kernel.Dims, status Pointer) Launch {
	return distributions("entropy", f, out, logits, 0, 0, d, status)
}

// GradEntropy sets out to the gradient to the logits, given that to the entropies.
func GradEntropy(f Float, out, logits, grad Pointer, d kernel.Dims, status Pointer) Launch {
	return distributions("grad_entropy", f, out, logits, 0, grad, d, status)
}

// LogProb sets out to the log-probability of the value under softmax(logits) for each
// distribution.
func LogProb(f Float, out, logits, value Pointer, d kernel.Dims, status Pointer) Launch {
	return distributions("log_prob", f, out, logits, value, 0, d, status)
}

// GradLogProbLogits sets out to the gradient to the logits, given that to the
// log-probabilities.
func GradLogProbLogits(f Float, out, logits, value, grad Pointer, d kernel.Dims, status Pointer) Launch {
	return distributions("grad_log_prob_logits", f, out, logits, value, grad, d, status)
}

// GradLogProbValue sets out to the gradient to the value.
func GradLogProbValue(f Float, out, logits, value, grad Pointer, d kernel.Dims, status Pointer) Launch {
	return distributions("grad_log_prob_value", f, out, logits, value, grad, d, status)
}

// Concrete is the input of the density of samples in log space. Tau is the address of one
// element.
type Concrete struct {
	kernel.Dims
	Float
	Out, Logits, Value, Tau, Grad, Status, Scratch Pointer
}

// LogProb sets Out to the log density of each distribution.
func (c Concrete) LogProb() Launch { return c.launch("concrete", c.Out) }

// GradLogits sets Out to the gradient to the logits, given that to the log densities, and
// GradValue to that to the value.
func (c Concrete) GradLogits() Launch { return c.launch("grad_concrete_logits", c.Out) }
func (c Concrete) GradValue() Launch  { return c.launch("grad_concrete_value", c.Out) }

// GradTau sets Out, of one element, to the gradient to the temperature. Scratch must have
// eight bytes per distribution.
func (c Concrete) GradTau() []Launch {
	s := Sample{Float: c.Float, Out: c.Out, Scratch: c.Scratch, Tau: c.Tau}
	return []Launch{c.launch("grad_concrete_tau", c.Scratch), s.addTau(c.Rows())}
}

func (c Concrete) launch(name string, out Pointer) Launch {
	l := distributions(name, c.Float, out, c.Logits, c.Value, c.Grad, c.Dims, c.Status)
	l.Params = l.Params.Pointers(c.Tau)
	return l
}

// distributions plans a kernel that teams.cuh has instantiated. It takes one or two
// arrays: p is 0 if there is only q. The gradient grad, which is that to
// a value per distribution, is 0 if the kernel computes those values.
func distributions(name string, f Float, out, q, p, grad Pointer, d kernel.Dims, status Pointer) Launch {
	t := teamsFor(f, p, d)
	return Launch{
		Kernel:  lossModule + name + "_" + string(f),
		Blocks:  kernel.CeilDiv(d.Rows(), t.threads/t.width),
		Threads: t.threads,
		Shared:  t.shared,
		Params:  Pointers(out, q, p, grad).Ints(d.Rows(), d.Classes, d.Inner, t.width, t.slots).Pointers(status),
	}
}

// teams says how the threads of a block share distributions: see Sizes in teams.cuh.
type teams struct {
	threads int // of a block
	width   int // threads of a team
	slots   int // of a thread, in shared memory
	shared  int // bytes of all slots
}

const (
	teamClasses = 4   // of a thread, as long as the team is smaller than MaxTeam
	teamsBlock  = 128 // threads of a block of several teams

	// teamsShared is the shared memory of a block without that of two reductions.
	teamsShared = 48<<10 - 2*MaxTeam/WarpThreads*8
)

func teamsFor(f Float, p Pointer, d kernel.Dims) teams {
	width := min(powerOfTwo(kernel.CeilDiv(d.Classes, teamClasses)), MaxTeam)
	t := teams{threads: width, width: width}
	if width <= WarpThreads {
		t.threads = teamsBlock
	}
	arrays := 2
	if p == 0 {
		arrays = 1
	}
	slots := kernel.CeilDiv(d.Classes, width)
	if shared := arrays * slots * t.threads * f.Size(); shared <= teamsShared {
		t.slots, t.shared = slots, shared
	}
	return t
}
