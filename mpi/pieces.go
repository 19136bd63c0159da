package mpi

import (
	"errors"
	"fmt"
	"math/bits"
	"unsafe"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

// Pieces sums the gradients of a batch that is cut into a fixed number of pieces. Each
// rank runs its pieces one after the other. The sum follows one binary tree over all
// pieces, so it has the same bits at any number of ranks.
type Pieces struct {
	w     *World
	count int
	n     size
	done  int      // pieces added since the last Sum
	sums  []vector // sums[i] is that of 2^i pieces, if bit i of done is set
	spare vector
}

// Pieces cuts batches into count pieces. Both count and the number of ranks must be
// powers of two, because the sum of a rank's pieces must be a branch of the tree, and
// count must be at least the number of ranks.
//
// Put the losses of piece i at index i of an array that is zero elsewhere: their Sum is
// then exact, and adding up its elements in order has the same bits at any number of
// ranks too.
func (w *World) Pieces(count int) (*Pieces, error) {
	if bits.OnesCount(uint(count)) != 1 || bits.OnesCount(uint(w.size)) != 1 || count < w.size {
		return nil, fmt.Errorf("mpi: %d pieces on %d ranks, want powers of two and at least one piece per rank", count, w.size)
	}
	return &Pieces{w: w, count: count}, nil
}

// Mine returns this rank's part [lo, hi) of the pieces.
func (p *Pieces) Mine() (lo, hi int) { return p.w.Share(p.count) }

// Add adds the gradients of the rank's next piece.
func (p *Pieces) Add(model []G.ValueGrad) error {
	grads, n, err := gradientsOf(model)
	if err != nil {
		return err
	}
	if lo, hi := p.Mine(); p.done == hi-lo {
		return fmt.Errorf("mpi: Pieces.Add: all %d pieces of the rank have been added: call Sum", p.done)
	}
	if p.sums == nil || p.n != n {
		*p = Pieces{w: p.w, count: p.count, n: n, sums: make([]vector, bits.Len(uint(p.count))), spare: newVector(n)}
	}
	sum := p.spare
	if err := sum.pack(grads); err != nil {
		return err
	}
	level := 0
	for ; p.done>>level&1 == 1; level++ { // two branches of one size become one
		p.sums[level].add(sum)
		p.sums[level], sum = sum, p.sums[level]
	}
	p.sums[level], p.spare = sum, p.sums[level]
	if p.spare.single == nil && p.spare.double == nil {
		p.spare = newVector(n)
	}
	p.done++
	return nil
}

// Sum replaces the gradients of a model by their sums over all pieces of all ranks.
func (p *Pieces) Sum(model []G.ValueGrad) error {
	grads, n, err := gradientsOf(model)
	lo, hi := p.Mine()
	switch {
	case err != nil:
	case p.done != hi-lo:
		err = fmt.Errorf("mpi: Pieces.Sum: %d pieces were added, want the rank's %d", p.done, hi-lo)
	case n != p.n:
		err = errors.New("mpi: Pieces.Sum: the model is not the one whose gradients were added")
	}
	err = p.w.call(call{opPiecesSum, n.counts()}, err, func() error {
		sum := p.sum()
		if err := treeSum(p.w, sum.single); err != nil {
			return err
		}
		return treeSum(p.w, sum.double)
	})
	if err != nil {
		return err
	}
	err = p.sum().unpack(grads)
	p.done = 0
	return err
}

// sum returns the sum of the rank's pieces.
func (p *Pieces) sum() vector { return p.sums[bits.Len(uint(p.done))-1] }

// maxTree is the number of elements that a treeSum sends at a time.
const maxTree = 1 << 26

// treeSum sums x over the ranks in pairs, pairs of pairs, and so on. Each rank receives
// its share of the elements from all ranks, adds them, and sends the sums to all: as
// many bytes as in a ring.
func treeSum[T kernel.Float](w *World, x []T) error {
	for len(x) > 0 {
		n := min(len(x), maxTree)
		if err := treeSumOf(w, x[:n]); err != nil {
			return err
		}
		x = x[n:]
	}
	return nil
}

func treeSumOf[T kernel.Float](w *World, x []T) error {
	share := (len(x) + w.size - 1) / w.size
	total := share * w.size
	memory := w.comm.memory(2 * total * int(unsafe.Sizeof(x[0])))
	elements := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(memory))), 2*total)
	sent, received := elements[:total], elements[total:]
	clear(sent[copy(sent, x):])
	if err := w.comm.allToAll(bytesOf(received), bytesOf(sent)); err != nil {
		return err
	}
	of := func(rank int) []T { return received[rank*share : (rank+1)*share] }
	for apart := 1; apart < w.size; apart *= 2 {
		for rank := 0; rank < w.size; rank += 2 * apart {
			add(of(rank), of(rank+apart))
		}
	}
	if err := w.comm.allGather(bytesOf(sent), bytesOf(of(0))); err != nil {
		return err
	}
	copy(x, sent)
	return nil
}

func bytesOf[T kernel.Float](x []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), len(x)*int(unsafe.Sizeof(*new(T))))
}
