package plan

import "github.com/gumbel-go/gumbel/internal/philox"

// What planners and kernels must agree on. The command in internal/cuda/tool/constants
// writes these to a header that the kernels include.
const (
	WarpThreads = 32

	// GroupThreads is the number of threads that compute the noise of a group of
	// elements, four each.
	GroupThreads = philox.Group / 4

	// The blocks of kernels that sample.
	MaxTileThreads   = 512
	MaxRowThreads    = 1024
	MultipassThreads = 512

	// RowBytes is the size of the registers that hold a thread's part of a row.
	RowBytes = 128

	// SlotBytes is the size of the shared memory of a tile after which one element
	// is left out, so that rows begin in different banks.
	SlotBytes = 128

	// MaxTeam is the most threads that share a distribution in a loss.
	MaxTeam = 1024

	// The blocks of matrix products, and the rows and columns of their tiles.
	ProductThreads = 256
	LargeTile      = 64
	SmallTile      = 32
)
