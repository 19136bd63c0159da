package mpi

import (
	"math"
	"sync"
	"unsafe"
)

// local is a world whose ranks are goroutines of one process. It stands in for an MPI
// library, so that the protocol is tested in every build.
type local struct {
	size    int
	mu      sync.Mutex
	arrived *sync.Cond
	present int
	round   int
	data    []any // what each rank brings to the current call
}

// localRank is the communicator of one rank.
type localRank struct {
	*local
	rank      int
	buffer    []float64
	finalized bool
}

// newLocal returns the worlds of size ranks.
func newLocal(size int) []*World {
	l := &local{size: size, data: make([]any, size)}
	l.arrived = sync.NewCond(&l.mu)
	worlds := make([]*World, size)
	for rank := range worlds {
		worlds[rank] = &World{rank: rank, size: size, comm: &localRank{local: l, rank: rank}}
	}
	return worlds
}

// run calls f on every rank.
func run(worlds []*World, f func(w *World)) {
	var all sync.WaitGroup
	for _, w := range worlds {
		all.Go(func() { f(w) })
	}
	all.Wait()
}

// exchange calls take with what all ranks have brought, when all are there.
func (r *localRank) exchange(data any, take func(all []any)) error {
	r.mu.Lock()
	r.data[r.rank] = data
	r.mu.Unlock()
	r.wait()
	take(r.data)
	r.wait()
	return nil
}

func (l *local) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	round := l.round
	if l.present++; l.present == l.size {
		l.present, l.round = 0, round+1
		l.arrived.Broadcast()
	}
	for round == l.round {
		l.arrived.Wait()
	}
}

// reduce replaces x by the combination of all ranks' in the order of the ranks.
func reduce[T any](r *localRank, x []T, combine func(a, b T) T) error {
	result := make([]T, len(x))
	err := r.exchange(x, func(all []any) {
		copy(result, all[0].([]T))
		for _, other := range all[1:] {
			for i, v := range other.([]T)[:len(result)] {
				result[i] = combine(result[i], v)
			}
		}
	})
	copy(x, result)
	return err
}

func (r *localRank) max(x []int64) error {
	return reduce(r, x, func(a, b int64) int64 { return max(a, b) })
}

func (r *localRank) sum32(x []float32) error {
	return reduce(r, x, func(a, b float32) float32 { return a + b })
}

func (r *localRank) sum64(x []float64) error {
	return reduce(r, x, func(a, b float64) float64 { return a + b })
}

func (r *localRank) broadcast(x []byte, root int) error {
	return r.exchange(x, func(all []any) {
		if r.rank != root {
			copy(x, all[root].([]byte))
		}
	})
}

func (r *localRank) allToAll(to, from []byte) error {
	return r.exchange(from, func(all []any) {
		n := len(from) / r.size
		for rank, other := range all {
			copy(to[rank*n:(rank+1)*n], other.([]byte)[r.rank*n:])
		}
	})
}

func (r *localRank) allGather(to, from []byte) error {
	return r.exchange(from, func(all []any) {
		for rank, other := range all {
			copy(to[rank*len(from):], other.([]byte))
		}
	})
}

// memory returns memory that holds NaN.
func (r *localRank) memory(n int) []byte {
	r.buffer = make([]float64, n/8+1)
	for i := range r.buffer {
		r.buffer[i] = math.NaN()
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&r.buffer[0])), n)
}

func (r *localRank) finalize() error {
	r.finalized = true
	return nil
}

func (r *localRank) abort(int) {}
