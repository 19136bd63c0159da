package ops

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/philox"
)

// A Source is behind every random choice of the nodes built from it. Each of
// them draws from a stream of its own, numbered in the order in which they
// were built, so that a program that builds the same graph from the same seed
// draws the same samples, bit for bit.
//
// Its methods may be called from several goroutines, but a state taken or set
// while a machine runs may lie between that run's nodes.
type Source struct {
	mu      sync.Mutex
	seed    uint64
	streams []*stream
	pending []uint64 // draws of streams whose nodes are still to be built
	unkept  uint64   // streams of the default source
}

// stream is a node's part of a source.
type stream struct {
	source *Source
	number uint64
	draws  atomic.Uint64 // made so far
}

// defaultSource serves the nodes that are given none.
var defaultSource = NewSource(rand.Uint64())

// NewSource returns a source with a seed, before its first draw.
func NewSource(seed uint64) *Source { return &Source{seed: seed} }

// newStream returns the next stream of the source.
func (s *Source) newStream() *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &stream{source: s, number: uint64(len(s.streams))}
	if s == defaultSource { // nobody can ask for its state: keep none
		n.number = s.unkept
		s.unkept++
		return n
	}
	if len(s.pending) > 0 {
		n.draws.Store(s.pending[0])
		s.pending = s.pending[1:]
	}
	s.streams = append(s.streams, n)
	return n
}

// next begins a draw and returns its number.
func (n *stream) next() uint64 { return n.draws.Add(1) - 1 }

// key selects the stream's random words.
func (n *stream) key() philox.Key {
	n.source.mu.Lock()
	defer n.source.mu.Unlock()
	return philox.DeriveKey(n.source.seed, n.number)
}

// at returns the random words of a draw.
func (n *stream) at(draw uint64) *kernel.Stream { return &kernel.Stream{Key: n.key(), Draw: draw} }

// sourceMagic begins the state of a source; its last byte is the version.
const sourceMagic = "gumbel.Source\x01"

// MarshalBinary returns the seed and the number of draws that each node has
// made so far.
func (s *Source) MarshalBinary() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := []byte(sourceMagic)
	data = binary.LittleEndian.AppendUint64(data, s.seed)
	data = binary.LittleEndian.AppendUint64(data, uint64(len(s.streams)+len(s.pending)))
	for _, n := range s.streams {
		data = binary.LittleEndian.AppendUint64(data, n.draws.Load())
	}
	for _, draws := range s.pending {
		data = binary.LittleEndian.AppendUint64(data, draws)
	}
	return data, nil
}

// UnmarshalBinary takes over a state, so that the draws go on from it, bit for
// bit. The same nodes have to be built from this source as from the other, in
// the same order: all of them before the call, or all after it. A state taken
// before any was built is the start of each. An error leaves the source as it
// was.
func (s *Source) UnmarshalBinary(data []byte) error {
	const header = len(sourceMagic) + 16
	if len(data) < header || string(data[:len(sourceMagic)]) != sourceMagic {
		return fmt.Errorf("ops: Source: these %d bytes are not the state of a source", len(data))
	}
	seed := binary.LittleEndian.Uint64(data[len(sourceMagic):])
	count := binary.LittleEndian.Uint64(data[header-8:])
	data = data[header:]
	if len(data)%8 != 0 || uint64(len(data)/8) != count {
		return fmt.Errorf("ops: Source: the state should hold %d nodes in %d bytes: it is damaged", count, len(data))
	}
	draws := make([]uint64, count)
	for i := range draws {
		draws[i] = binary.LittleEndian.Uint64(data[8*i:])
		if draws[i] > math.MaxInt64 {
			return fmt.Errorf("ops: Source: node %d should have made %d draws: the state is damaged", i, draws[i])
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if len(draws) == 0 { // taken before any node was built: back to the start
		draws = make([]uint64, len(s.streams))
	}
	if len(s.streams) > 0 && len(s.streams) != len(draws) {
		return fmt.Errorf("ops: Source: the state is of %d nodes, but %d were built from this source: build the same graph", len(draws), len(s.streams))
	}
	s.seed, s.pending = seed, nil
	if len(s.streams) == 0 {
		s.pending = draws
	}
	for i, n := range s.streams {
		n.draws.Store(draws[i])
	}
	return nil
}
