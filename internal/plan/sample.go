package plan

import (
	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/philox"
)

const sampleModule = "gumbel_sample."

// lanes is how many threads make the noise of a group of elements, four each.
const lanes = philox.Group / 4

// Gumbel sets out to n numbers loc + scale·g, with g the noise of the draw
// number, an int64 on the device, of the key's stream.
func Gumbel(f Float, out, draw Pointer, key philox.Key, n int, loc, scale float64) Launch {
	const threads = 256
	return Launch{
		Kernel:  sampleModule + "gumbel_" + string(f),
		Blocks:  kernel.CeilDiv(kernel.CeilDiv(n, philox.Group)*lanes, threads),
		Threads: threads,
		Params:  Pointers(out, draw).Ints(n).Doubles(loc, scale).Key(key),
	}
}

// A Sample is the input of a sampler, and where its result goes. What a call
// does not need may be 0.
//
// The noise is that of Noise; or, where this is 0, of the draw number *Draw, an
// int64 on the device, of the stream of Key. There is none where *Draw is
// negative, or both are 0. Tau is a pointer to one element.
type Sample struct {
	kernel.Dims
	Float
	Out, Logits, Tau, Draw, Noise, Grad, Status, Scratch Pointer
	Key                                                  philox.Key
}

// Modes of the kernels for soft samples, as in sample.cu.
const (
	modeSoft = iota
	modeGradLogits
	modeGradTau
)

// Soft sets Out to softmax((Logits + noise)/Tau).
func (s Sample) Soft() Launch { return s.launch("soft_", modeSoft) }

// Hard sets Out to the one-hot of the argmax of Logits + noise, the lowest class
// on a tie. A Tau that is 0 is not checked.
func (s Sample) Hard() Launch { return s.launch("hard_", modeSoft) }

// GradLogits sets Out to the gradient to the logits, given that to the soft
// sample, which it makes once more.
func (s Sample) GradLogits() Launch { return s.launch("soft_", modeGradLogits) }

// GradTau sets Out, of one element, to the gradient to the temperature, given
// that to the soft sample, which it makes once more. It wants TauScratch bytes
// of Scratch.
func (s Sample) GradTau() []Launch {
	sums := s.launch("soft_", modeGradTau)
	return []Launch{sums, {
		Kernel:  sampleModule + "add_tau_" + string(s.Float),
		Blocks:  1,
		Threads: 256,
		Params:  Pointers(s.Out, s.Scratch, s.Tau).Ints(sums.Blocks),
	}}
}

// TauScratch is how many bytes of Scratch GradTau wants: eight a block.
func (s Sample) TauScratch() int { return 8 * s.launch("soft_", modeGradTau).Blocks }

// maxTauBlocks keeps the scratch memory of GradTau small.
const maxTauBlocks = 1024

// launch chooses the kernel by the place and number of the classes: see
// sample.cu for what each is like.
func (s Sample) launch(name string, mode int) Launch {
	var l Launch
	var count int // of what the blocks have one at a time
	var sizes []int
	if width := s.tileWidth(); width > 0 {
		l, count = s.tiles(width)
		sizes = []int{s.Outer, s.Classes, s.Inner, count, width, s.team()}
		name += "tiles_"
	} else if s.Inner == 1 && s.maxLanes() <= maxRowThreads*s.rounds() {
		l, count = s.rows(), s.Outer
		sizes = []int{s.Outer, s.Classes, s.Inner}
		name += "rows_"
	} else {
		l.Threads, count = streamThreads, s.Outer*kernel.CeilDiv(s.Inner, philox.Group)
		sizes = []int{s.Outer, s.Classes, s.Inner, count}
		name += "streams_"
	}
	out, sums := s.Out, Pointer(0)
	l.Blocks = min(count, maxBlocks)
	if mode == modeGradTau {
		out, sums = 0, s.Scratch
		l.Blocks = min(count, maxTauBlocks)
	}
	l.Kernel = sampleModule + name + string(s.Float)
	l.Params = Pointers(out, sums, s.Logits, s.Tau, s.Draw, s.Noise, s.Grad).Ints(mode).Ints(sizes...).Key(s.Key).Pointers(s.Status)
	return l
}

const (
	maxBlocks = 1<<31 - 1 // of a grid

	// The most threads of a block: see sample.cu.
	maxTileThreads = 512
	maxRowThreads  = 1024
	streamThreads  = 512

	// maxDynamic leaves a kilobyte of a block's shared memory for reductions.
	maxDynamic = 47 << 10
)

// Of a tile: threads have eight elements each if they can, and there should be
// a thousand tiles before they grow beyond the least size.
const (
	perThread    = 8
	leastTile    = 256
	usualTile    = 2048
	usualTiles   = 1024
	maxTileClass = 512 // if Inner is 1; else what fits
)

// tileWidth is how many distributions a tile has: whole outer indices, or a
// multiple of philox.Group where one of these is too large; 0 if there should be
// no tiles.
func (s Sample) tileWidth() int {
	size := min(max(s.Dims.Size()/usualTiles, leastTile), usualTile)
	slab := s.Classes * s.Inner
	switch {
	case s.Inner == 1 && s.Classes > maxTileClass:
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

// tileBytes is the shared memory for two numbers an element, spread over the
// banks as slot does.
func (s Sample) tileBytes(elements int) int {
	size := s.Float.Size()
	return 2 * size * (elements + elements/(128/size))
}

// tiles plans a launch, and says how many tiles there are.
func (s Sample) tiles(width int) (l Launch, count int) {
	if width%s.Inner == 0 {
		count = kernel.CeilDiv(s.Rows(), width)
	} else {
		count = s.Outer * kernel.CeilDiv(s.Inner, width)
	}
	elements := width * s.Classes
	return Launch{
		Threads: min(max(powerOfTwo(kernel.CeilDiv(elements, perThread)), 32), maxTileThreads),
		Shared:  s.tileBytes(elements),
	}, count
}

// team is how many threads a distribution of a tile has.
func (s Sample) team() int { return min(powerOfTwo(kernel.CeilDiv(s.Classes, perThread)), 32) }

// rounds is how often a thread of a row kernel can take four elements.
func (s Sample) rounds() int { return 32 / s.Float.Size() }

// maxLanes is how many threads a row's groups of noise want, wherever it begins.
func (s Sample) maxLanes() int {
	before := philox.Group - kernel.GCD(philox.Group, s.Classes)
	return kernel.CeilDiv(before+s.Classes, philox.Group) * lanes
}

// rows plans for threads to have half the rounds that they can.
func (s Sample) rows() Launch {
	threads := min(powerOfTwo(kernel.CeilDiv(s.maxLanes(), s.rounds()/2)), maxRowThreads)
	return Launch{
		Threads: threads,
		Shared:  kernel.CeilDiv(s.maxLanes(), threads) * threads * s.Float.Size(),
	}
}
