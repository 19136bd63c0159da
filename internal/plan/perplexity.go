package plan

import "github.com/gumbel-go/gumbel/internal/kernel"

// A Perplexity is that of the mean distribution of each of some blocks: see
// kernel.Perplexity. Out is the address of its result. Scratch must have ScratchSize
// bytes.
type Perplexity struct {
	kernel.Dims
	Float
	Blocks                             int
	Out, Logits, Grad, Scratch, Status Pointer
}

// Value sets Out to the perplexities.
func (p Perplexity) Value() []Launch {
	if p.alone() {
		return []Launch{distributions("perplexity_alone", p.Float, p.Out, p.Logits, 0, 0, p.Dims, p.Status)}
	}
	return []Launch{p.sumSoftmax(), p.ofMean(p.Out)}
}

// GradLogits sets Out to the gradient to the logits, given that to the perplexities,
// which it computes again.
func (p Perplexity) GradLogits() []Launch {
	if p.alone() {
		return []Launch{distributions("grad_perplexity_alone", p.Float, p.Out, p.Logits, 0, p.Grad, p.Dims, p.Status)}
	}
	t := teamsFor(p.Float, 0, p.Dims)
	return []Launch{p.sumSoftmax(), p.ofMean(0), {
		Kernel:  p.kernel("grad_perplexity"),
		Blocks:  kernel.CeilDiv(p.Rows(), t.threads/t.width),
		Threads: t.threads,
		Shared:  t.shared,
		Params: Pointers(p.Out, p.Logits, p.Scratch).
			Ints(p.Rows(), p.Classes, p.Inner, t.width, t.slots, p.Blocks).Pointers(p.Status),
	}}
}

// ScratchSize returns how many bytes of Scratch the launches need.
func (p Perplexity) ScratchSize() int {
	if p.alone() {
		return 0
	}
	_, parts := p.parts()
	return 8 * parts * p.Blocks * p.Classes
}

func (p Perplexity) kernel(name string) string { return lossModule + name + "_" + string(p.Float) }

// alone reports whether a block has one distribution, which is then the mean. The sums
// would take more memory than the logits.
func (p Perplexity) alone() bool { return p.Rows() == p.Blocks }

const (
	partRows     = 8       // the least number of distributions of a sum, so that sums are fewer than logits
	partsThreads = 1 << 16 // about as many threads as a large GPU runs at a time
	meanThreads  = 256
)

// parts returns into how many parts the distributions of a block are divided, and how
// many distributions a part has. A team of threads sums a part.
func (p Perplexity) parts() (each, parts int) {
	t := teamsFor(p.Float, 0, p.Dims)
	each = max(partRows, kernel.CeilDiv(p.Rows()*t.width, partsThreads))
	return each, kernel.CeilDiv(p.Rows()/p.Blocks, each)
}

// sumSoftmax sets Scratch to sums of probabilities: of each part, block and class.
func (p Perplexity) sumSoftmax() Launch {
	t := teamsFor(p.Float, 0, p.Dims)
	each, parts := p.parts()
	return Launch{
		Kernel:  p.kernel("sum_softmax"),
		Blocks:  kernel.CeilDiv(parts*p.Blocks, t.threads/t.width),
		Threads: t.threads,
		Shared:  t.shared,
		Params: Pointers(p.Scratch, p.Logits).
			Ints(p.Rows(), p.Classes, p.Inner, t.width, t.slots, p.Blocks, each, parts).Pointers(p.Status),
	}
}

// ofMean sets out to the perplexities, given the sums. If out is 0, it sets the first
// part of Scratch to the gradient to the mean probabilities.
func (p Perplexity) ofMean(out Pointer) Launch {
	_, parts := p.parts()
	return Launch{
		Kernel:  p.kernel("perplexity"),
		Blocks:  p.Blocks,
		Threads: meanThreads,
		Shared:  8 * meanThreads,
		Params: Pointers(out, p.Scratch, p.Grad).
			Ints(p.Classes, p.Rows()/p.Blocks, parts, min(powerOfTwo(p.Classes), meanThreads)).Pointers(p.Status),
	}
}
