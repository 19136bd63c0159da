package plan

import (
	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/philox"
)

// sampleModule is the module of sample.cu.
const sampleModule = "gumbel_sample."

// Gumbel sets out to n numbers loc + scale·g. The noise g is that of a draw
// of the key's stream. On the device, draw is two int64s: its number, and the index in
// it of the first of the n.
func Gumbel(f Float, out, draw Pointer, key philox.Key, n int, loc, scale float64) Launch {
	const threads = 256
	return Launch{
		Kernel:  sampleModule + "gumbel_" + string(f),
		Blocks:  kernel.CeilDiv(kernel.CeilDiv(n, philox.Group)*GroupThreads, threads),
		Threads: threads,
		Params:  Pointers(out, draw).Ints(n).Doubles(loc, scale).Key(key),
	}
}

// ZeroWithoutNoise sets the n elements of out, the gradient to given noise, to 0 if the
// draw has no noise.
func ZeroWithoutNoise(f Float, out, draw Pointer, n int) Launch {
	return elementwise(sampleModule+"zero_without_noise_"+string(f), n, Pointers(out, draw).Ints(n))
}

// A Sample is the input of a sampler, and the address of its result. Addresses that
// a launch does not need may be 0.
//
// The noise is Noise or, if this is 0, that of the draw Draw of Key's stream: see
// Gumbel. There is none if the number of the draw is negative or both are 0. Tau is
// the address of one element.
type Sample struct {
	kernel.Dims
	Float
	Out, Logits, Tau, Draw, Noise, Grad, Status, Scratch Pointer
	Key                                                  philox.Key
}

// Soft sets Out to softmax((Logits + noise)/Tau).
func (s Sample) Soft() Launch { return s.elements("soft") }

// Hard sets Out to the one-hot of the argmax of Logits + noise, the lowest class
// on a tie. A Tau of 0 is no address, and is not checked.
func (s Sample) Hard() Launch { return s.elements("hard") }

// GradLogits sets Out to the gradient to the logits, given that to the soft sample,
// which it computes again.
func (s Sample) GradLogits() Launch { return s.elements("grad_logits") }

// GradTau sets Out, of one element, to the gradient to the temperature, given that
// to the soft sample, which it computes again. Scratch must have TauScratch bytes.
func (s Sample) GradTau() []Launch {
	sums := s.sums("grad_tau")
	return []Launch{sums, s.addTau(sums.Blocks)}
}

// addTau sets Out to the gradient to the temperature, given so many sums in Scratch.
func (s Sample) addTau(sums int) Launch {
	return Launch{
		Kernel:  sampleModule + "add_tau_" + string(s.Float),
		Blocks:  1,
		Threads: 256,
		Params:  Pointers(s.Out, s.Scratch, s.Tau).Ints(sums),
	}
}

// TauScratch returns how many bytes of Scratch GradTau needs: eight per block.
func (s Sample) TauScratch() int { return 8 * s.sums("grad_tau").Blocks }

// elements plans a result of sample.cu that has an element for each logit.
func (s Sample) elements(result string) Launch {
	return s.launch(result, s.Out, 0, maxBlocks)
}

// sums plans a result of sample.cu that is a number for each block.
func (s Sample) sums(result string) Launch {
	return s.launch(result, 0, s.Scratch, maxSums)
}

const (
	maxBlocks = 1<<31 - 1 // of a grid
	maxSums   = 1024      // keeps Scratch small
)

// launch plans at most so many blocks. It chooses between the kernels of a result by
// the place and the number of the classes: tiles.cuh, rows.cuh and multipass.cuh
// describe them.
func (s Sample) launch(result string, out, sums Pointer, blocks int) Launch {
	var l Launch
	var kind string
	var count int // of what a block has one of at a time
	sizes := []int{s.Outer, s.Classes, s.Inner}
	if width := s.tileWidth(); width > 0 {
		kind = "tiles"
		l, count = s.tiles(width)
		sizes = append(sizes, count, width, s.team())
	} else if s.Inner == 1 && s.maxThreads() <= MaxRowThreads*s.rounds() {
		kind = "rows"
		l, count = s.rows(), s.Outer
	} else {
		kind = "multipass"
		l.Threads, count = MultipassThreads, s.Outer*kernel.CeilDiv(s.Inner, philox.Group)
		sizes = append(sizes, count)
	}
	l.Kernel = sampleModule + result + "_" + kind + "_" + string(s.Float)
	l.Blocks = min(count, blocks)
	l.Params = Pointers(out, sums, s.Logits, s.Tau, s.Draw, s.Noise, s.Grad).Ints(sizes...).Key(s.Key).Pointers(s.Status)
	return l
}

// maxDynamic leaves a kilobyte of a block's shared memory for reductions.
const maxDynamic = 47 << 10

// Sizes of tiles, in elements. A thread has eight elements if possible, and tiles
// grow beyond the minimum only if there are still a thousand of them.
const (
	threadElements = 8
	minTile        = 256
	maxTile        = 2048
	enoughTiles    = 1024
	maxTileClasses = 512 // if Inner is 1; otherwise what fits
)

// tileWidth returns how many distributions a tile has: whole outer indices, or a
// multiple of philox.Group if one of these is too large; 0 if tiles do not suit.
func (s Sample) tileWidth() int {
	size := min(max(s.Dims.Size()/enoughTiles, minTile), maxTile)
	slab := s.Classes * s.Inner
	switch {
	case s.Inner == 1 && s.Classes > maxTileClasses:
		return 0
	case s.tileBytes(slab) <= maxDynamic:
		slabs := max(1, size/slab)
		if step := philox.Group / kernel.GCD(philox.Group, slab); slabs > step {
			slabs -= slabs % step // whole groups of noise
		}
		return slabs * s.Inner
	case s.Inner >= philox.Group && s.tileBytes(s.Classes*philox.Group) <= maxDynamic:
		groups := min(size/s.Classes, s.Inner) / philox.Group
		return max(1, groups) * philox.Group
	}
	return 0
}

// tileBytes returns the shared memory for two numbers per element, spread over the
// banks as slot does in tiles.cuh.
func (s Sample) tileBytes(elements int) int {
	size := s.Float.Size()
	return 2 * size * (elements + elements/(SlotBytes/size))
}

// tiles plans a launch, and returns how many tiles there are.
func (s Sample) tiles(width int) (l Launch, count int) {
	if width%s.Inner == 0 {
		count = kernel.CeilDiv(s.Rows(), width)
	} else {
		count = s.Outer * kernel.CeilDiv(s.Inner, width)
	}
	elements := width * s.Classes
	return Launch{
		Threads: min(max(powerOfTwo(kernel.CeilDiv(elements, threadElements)), WarpThreads), MaxTileThreads),
		Shared:  s.tileBytes(elements),
	}, count
}

// team returns how many threads share a distribution of a tile.
func (s Sample) team() int {
	return min(powerOfTwo(kernel.CeilDiv(s.Classes, threadElements)), WarpThreads)
}

// rounds returns how often a thread of a rows kernel can take four elements.
func (s Sample) rounds() int { return RowBytes / (4 * s.Float.Size()) }

// maxThreads returns how many threads the groups of noise of a row need at most,
// which depends on where the row begins.
func (s Sample) maxThreads() int {
	before := philox.Group - kernel.GCD(philox.Group, s.Classes)
	return kernel.CeilDiv(before+s.Classes, philox.Group) * GroupThreads
}

// rows plans half as many rounds as there can be.
func (s Sample) rows() Launch {
	threads := min(powerOfTwo(kernel.CeilDiv(s.maxThreads(), s.rounds()/2)), MaxRowThreads)
	return Launch{
		Threads: threads,
		Shared:  kernel.CeilDiv(s.maxThreads(), threads) * threads * s.Float.Size(),
	}
}
