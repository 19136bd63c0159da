package plan

import "github.com/gumbel-go/gumbel/internal/kernel"

// lossModule is the module of loss.cu.
const lossModule = "gumbel_loss."

// BCE makes the n binary cross-entropies of targets from logits.
func BCE(f Float, out, logits, targets Pointer, n int, status Pointer) Launch {
	return elementwise(lossModule+"bce_"+string(f), n, Pointers(out, logits, targets).Ints(n).Pointers(status))
}

// GradBCELogits makes the gradient to the logits, given that to the loss.
func GradBCELogits(f Float, out, logits, targets, grad Pointer, n int, status Pointer) Launch {
	return elementwise(lossModule+"grad_bce_logits_"+string(f), n, Pointers(out, logits, targets, grad).Ints(n).Pointers(status))
}

// GradBCETargets makes the gradient to the targets.
func GradBCETargets(f Float, out, logits, targets, grad Pointer, n int, status Pointer) Launch {
	return elementwise(lossModule+"grad_bce_targets_"+string(f), n, Pointers(out, logits, targets, grad).Ints(n).Pointers(status))
}

// KL makes the divergence, for each distribution, of softmax(q) from softmax(p),
// which is the uniform distribution where p is 0.
func KL(f Float, out, q, p Pointer, d kernel.Dims, status Pointer) Launch {
	t := teamsFor(f, p, d)
	return t.launch("kl_"+string(f), Pointers(out, q, p), d, status)
}

// GradKLQ makes the gradient to q, given that to the divergences.
func GradKLQ(f Float, out, q, p, grad Pointer, d kernel.Dims, status Pointer) Launch {
	t := teamsFor(f, p, d)
	return t.launch("grad_kl_q_"+string(f), Pointers(out, q, p, grad), d, status)
}

// GradKLP makes the gradient to p.
func GradKLP(f Float, out, q, p, grad Pointer, d kernel.Dims, status Pointer) Launch {
	t := teamsFor(f, p, d)
	return t.launch("grad_kl_p_"+string(f), Pointers(out, q, p, grad), d, status)
}

// teams says how the threads of a block share distributions: see Sizes in loss.cu.
type teams struct {
	threads int // of a block
	width   int // of a team
	slots   int // of a thread, in shared memory
	shared  int // bytes of that
}

const (
	warpThreads = 32

	teamClasses = 4    // of a thread, while the team may grow
	maxTeam     = 1024 // threads of a team
	teamsBlock  = 128  // threads of a block of several teams

	// teamsShared is what a block has of shared memory besides the words by which
	// the warps of a team meet: of sums, and of the greatest.
	teamsShared = 48<<10 - 2*maxTeam/warpThreads*8
)

func teamsFor(f Float, p Pointer, d kernel.Dims) teams {
	width := min(powerOfTwo(kernel.CeilDiv(d.Classes, teamClasses)), maxTeam)
	t := teams{threads: width, width: width}
	if width <= warpThreads {
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

func (t teams) launch(name string, arrays Params, d kernel.Dims, status Pointer) Launch {
	return Launch{
		Kernel:  lossModule + name,
		Blocks:  kernel.CeilDiv(d.Rows(), t.threads/t.width),
		Threads: t.threads,
		Shared:  t.shared,
		Params:  arrays.Ints(d.Rows(), d.Classes, d.Inner, t.width, t.slots).Pointers(status),
	}
}
