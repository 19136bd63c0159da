package ops

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/philox"
)

// A Source is behind every random choice of the nodes built from it. Each node
// draws from its own stream, and the streams are numbered in the order in which
// the nodes are built. So a program that builds the same graph from the same seed
// draws the same samples, bit for bit.
//
// The state of a source is the seed and the number of draws that each node has
// made. MarshalBinary and MarshalJSON return it, and encoding/gob uses the
// former. The state grows with each node. A program that builds graphs again and
// again, such as an evaluation graph per epoch or a graph per step for a
// LispMachine, gives each of them the source that Spawn returns:
//
//	y, err := ops.GumbelSoftmax(logits, tau, ops.WithSource(src.Spawn()))
//
// The methods may be called from several goroutines. A state that is read or set
// while a machine runs may fall between two nodes of that run.
//
// A copy of a Source is the same source.
type Source struct{ shared *source }

// source is what copies of a Source share. Its methods lock it.
type source struct {
	mu      sync.Mutex
	seed    uint64
	streams []*stream
	spawned uint64   // sources made by Spawn
	pending []uint64 // draws of streams whose nodes are still to be built
	missing atomic.Int64
	base    uint64        // first draw of the streams whose nodes are built later
	row     atomic.Uint64 // of a draw, at which the nodes' arrays begin
	unkept  uint64        // streams of the default source
}

// stream is a node's part of a source.
type stream struct {
	source *source
	number uint64
	draws  atomic.Uint64 // made so far
}

// defaultSource serves the nodes built without WithSource.
var defaultSource = NewSource(rand.Uint64())

// NewSource returns a source with a seed, before its first draw.
func NewSource(seed uint64) *Source { return &Source{&source{seed: seed}} }

// get returns what copies of s share. The zero Source has the seed 0.
func (s *Source) get() *source {
	if s.shared == nil {
		s.shared = &source{}
	}
	return s.shared
}

// Spawn returns an independent source, for a graph that the program builds and
// drops while s lives on. The n-th source that s spawns depends on the seed of s
// and on n alone. The state of s counts them and holds nothing else of them, so
// it stays small, and after s is restored in a new process, the next Spawn
// continues where the last process stopped: no draw repeats. To resume in the
// middle of a graph's life, save the spawned source too.
func (s *Source) Spawn() *Source { return s.get().spawn() }

func (s *source) spawn() *Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Streams are numbered from 0 up and never reach the upper half.
	key := philox.DeriveKey(s.seed, 1<<63|s.spawned)
	s.spawned++
	return NewSource(uint64(key[0]) | uint64(key[1])<<32)
}

// newStream returns the next stream of the source.
func (s *source) newStream() *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &stream{source: s, number: uint64(len(s.streams))}
	if s == defaultSource.shared { // nobody can ask for its state: keep none
		n.number = s.unkept
		s.unkept++
		return n
	}
	n.draws.Store(s.base)
	if len(s.pending) > 0 {
		n.draws.Store(s.pending[0])
		s.setPending(s.pending[1:])
	}
	s.streams = append(s.streams, n)
	return n
}

func (s *source) setPending(draws []uint64) {
	s.pending = draws
	s.missing.Store(int64(len(draws)))
}

// Seek moves the source: the next draw of each node is number draw, and the node's
// array is the part of that draw that begins at a row. Rows are indices of the first
// axis. After Seek(draw, row), a node of n rows has the noise, and so the samples and
// the gradients, that rows row to row+n−1 of a node of a larger batch have after
// Seek(draw, 0), bit for bit. So a batch can be divided among machines, or evaluated
// and its gradients accumulated in chunks, and still has the noise of the whole.
//
// A new source is at draw 0 and row 0. Each run takes the next draw and leaves the
// row as it is. Seek applies to all nodes of the source, those built later included.
// Call it between runs: it does not depend on a machine or its Reset.
//
// A node whose array is not a batch, such as an architecture that all machines must
// sample alike, needs another source that stays at row 0. A scalar, and an array with
// classes along the first axis, have no rows: with row > 0, their runs return an error.
// If the batch is on another axis, give Gumbel noise that has it first, transposed, to
// WithNoise. Runs also return an error if draw or an index in the draw would exceed
// 2⁶³−1. A run without noise ignores the row.
//
// The state of a source holds the draws of its nodes and not the row: after it is
// restored, the row is the one that the source was at before. Spawned sources are at
// draw 0 and row 0.
func (s *Source) Seek(draw, row uint64) { s.get().seek(draw, row) }

func (s *source) seek(draw, row uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = draw
	s.row.Store(row)
	for _, n := range s.streams {
		n.draws.Store(draw)
	}
	pending := make([]uint64, len(s.pending))
	for i := range pending {
		pending[i] = draw
	}
	s.setPending(pending)
}

// next starts a draw and returns its number, and the row at which the node's array
// begins. A node that draws while others of the restored state are missing shows that
// another graph was built.
func (n *stream) next() (number, row uint64, err error) {
	if missing := n.source.missing.Load(); missing > 0 {
		return 0, 0, fmt.Errorf("the state of its source has %d nodes more than were built from the source: build all nodes before the first run, in the same order as when the state was saved", missing)
	}
	if number = n.draws.Add(1) - 1; number > math.MaxInt64 {
		n.draws.Store(number)
		return 0, 0, fmt.Errorf("its source is at draw %d, want at most %d", number, int64(math.MaxInt64))
	}
	return number, n.source.row.Load(), nil
}

// key selects the stream's random words.
func (n *stream) key() philox.Key {
	n.source.mu.Lock()
	defer n.source.mu.Unlock()
	return philox.DeriveKey(n.source.seed, n.number)
}

// at returns the random words of a draw, from those of element first on.
func (n *stream) at(draw int64, first uint64) *kernel.Stream {
	return &kernel.Stream{Key: n.key(), Draw: uint64(draw), First: first}
}

// sourceState is what a state holds.
type sourceState struct {
	Seed    uint64   `json:"seed"`
	Draws   []uint64 `json:"draws"` // by node
	Spawned uint64   `json:"spawned"`
}

func (s *source) state() sourceState {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := sourceState{Seed: s.seed, Draws: make([]uint64, 0, len(s.streams)+len(s.pending)), Spawned: s.spawned}
	for _, n := range s.streams {
		state.Draws = append(state.Draws, n.draws.Load())
	}
	state.Draws = append(state.Draws, s.pending...)
	return state
}

// restore checks a state and takes it over. An error leaves s as it was.
func (s *source) restore(state sourceState) error {
	for i, draws := range state.Draws {
		if draws > math.MaxInt64 {
			return fmt.Errorf("ops: Source: node %d has made %d draws, want at most %d: the state is damaged", i, draws, int64(math.MaxInt64))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	draws := state.Draws
	if len(draws) == 0 { // saved before any node was built: back to the start
		draws = make([]uint64, len(s.streams))
	}
	if len(s.streams) > 0 && len(s.streams) != len(draws) {
		return fmt.Errorf("ops: Source: the state has %d nodes but %d were built from this source: build the same graph", len(draws), len(s.streams))
	}
	s.seed, s.spawned, s.base = state.Seed, state.Spawned, 0
	if len(s.streams) == 0 {
		s.setPending(draws)
		return nil
	}
	s.setPending(nil)
	for i, n := range s.streams {
		n.draws.Store(draws[i])
	}
	return nil
}

// A binary state is one of these, little-endian: the first byte after the name is
// the version.
//
//	version 1: seed, count, count numbers of draws
//	version 2: seed, spawned, count, count numbers of draws
const (
	sourceName    = "gumbel.Source"
	sourceVersion = 2
)

// MarshalBinary returns the state of the source.
func (s Source) MarshalBinary() ([]byte, error) {
	state := s.get().state()
	data := append([]byte(sourceName), sourceVersion)
	data = binary.LittleEndian.AppendUint64(data, state.Seed)
	data = binary.LittleEndian.AppendUint64(data, state.Spawned)
	data = binary.LittleEndian.AppendUint64(data, uint64(len(state.Draws)))
	for _, draws := range state.Draws {
		data = binary.LittleEndian.AppendUint64(data, draws)
	}
	return data, nil
}

// UnmarshalBinary restores a state that MarshalBinary returned, of this version
// or an earlier one, so that the draws continue bit for bit. Build the same nodes
// from this source as from the saved one, in the same order: all of them before
// the call, or all of them after it and before the first run. A state that was
// saved before any node was built takes every node back to its start. An error
// leaves the source as it was.
func (s *Source) UnmarshalBinary(data []byte) error {
	state, err := readSource(data)
	if err != nil {
		return fmt.Errorf("ops: Source: %w", err)
	}
	return s.get().restore(state)
}

func readSource(data []byte) (state sourceState, err error) {
	if len(data) <= len(sourceName) || string(data[:len(sourceName)]) != sourceName {
		return state, fmt.Errorf("%d bytes are not the state of a source", len(data))
	}
	version, data := data[len(sourceName)], data[len(sourceName)+1:]
	var fields []*uint64
	var count uint64
	switch version {
	case 1:
		fields = []*uint64{&state.Seed, &count}
	case 2:
		fields = []*uint64{&state.Seed, &state.Spawned, &count}
	default:
		return state, fmt.Errorf("the state has version %d, want 1 or %d", version, sourceVersion)
	}
	if len(data) < 8*len(fields) {
		return state, fmt.Errorf("the state ends after %d bytes: it is damaged", len(data))
	}
	for _, field := range fields {
		*field, data = binary.LittleEndian.Uint64(data), data[8:]
	}
	if len(data)%8 != 0 || uint64(len(data)/8) != count {
		return state, fmt.Errorf("the state holds %d nodes in %d bytes, want 8 bytes per node: it is damaged", count, len(data))
	}
	state.Draws = make([]uint64, count)
	for i := range state.Draws {
		state.Draws[i] = binary.LittleEndian.Uint64(data[8*i:])
	}
	return state, nil
}

// MarshalJSON returns the state of the source: {"seed":42,"draws":[7],"spawned":0},
// with the number of draws of each node.
func (s Source) MarshalJSON() ([]byte, error) { return json.Marshal(s.get().state()) }

// UnmarshalJSON restores a state that MarshalJSON returned: see UnmarshalBinary.
// All three fields must be there.
func (s *Source) UnmarshalJSON(data []byte) error {
	var state struct {
		Seed    *uint64   `json:"seed"`
		Draws   *[]uint64 `json:"draws"`
		Spawned *uint64   `json:"spawned"`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&state); err != nil {
		return fmt.Errorf("ops: Source: %w", err)
	}
	if state.Seed == nil || state.Draws == nil || state.Spawned == nil {
		return fmt.Errorf("ops: Source: the state %s lacks a field, want seed, draws and spawned", data)
	}
	return s.get().restore(sourceState{*state.Seed, *state.Draws, *state.Spawned})
}
