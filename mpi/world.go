package mpi

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	G "gorgonia.org/gorgonia"
)

// A World is the ranks that a launcher has started together, numbered from 0. Its
// methods may be called from any goroutine.
type World struct {
	// Timeout is how long a call may wait for the other ranks; 0 means forever. MPI
	// does not notice a rank that hangs, nor for a long time a host that is cut off.
	// After the timeout the process prints an error and exits, and its launcher then
	// stops the other ranks. Set it before the first call.
	Timeout time.Duration

	rank, size int
	comm       comm // nil in a world of one rank

	mu     sync.Mutex
	closed bool
	err    error // the ranks no longer make the same calls
}

// A comm is the communicator of all ranks. All of them make the same calls in the
// same order, one at a time.
type comm interface {
	max(x []int64) error // over the ranks, for each element
	sum32(x []float32) error
	sum64(x []float64) error
	broadcast(x []byte, root int) error
	allToAll(to, from []byte) error  // block r of from goes to rank r
	allGather(to, from []byte) error // from goes to a block of to on all ranks

	// memory returns memory for sending and receiving large arrays. It is valid
	// until the next call of memory.
	memory(bytes int) []byte

	finalize() error
	abort(code int)
}

var world = sync.OnceValues(newWorld)

// Init joins the ranks that the launcher has started. A process that no launcher has
// started is the only rank. Further calls return the same world. Init returns an error
// if the launcher started several processes and this one cannot join them, because it
// was built without the tag mpi or with another MPI library.
func Init() (*World, error) { return world() }

// Rank returns the number of this rank.
func (w *World) Rank() int { return w.rank }

// Size returns the number of ranks.
func (w *World) Size() int { return w.size }

// Share returns this rank's part [lo, hi) of n rows. The parts of the ranks are
// consecutive, in the order of the ranks, and their sizes differ by at most one.
func (w *World) Share(n int) (lo, hi int) {
	return w.rank * n / w.size, (w.rank + 1) * n / w.size
}

// Sum replaces each element of x by its sum over the ranks. err is what went wrong on
// this rank since the last call, or nil. If any rank has an error, x is unchanged, and
// all ranks return that of the lowest such rank as a RankError. In a world of one rank,
// Sum returns err.
func (w *World) Sum(x []float64, err error) error {
	return w.call(call{op: opSum, n: [2]int{len(x)}}, err, func() error {
		sum := append([]float64(nil), x...)
		if err := w.comm.sum64(sum); err != nil {
			return err
		}
		copy(x, sum)
		return nil
	})
}

// SumGradients replaces each gradient of a model by its sum over the ranks. If the cost
// of a rank is the sum over its rows divided by the rows of the whole batch, the result
// is the gradient of the whole batch, also if the shares are uneven. The elements are
// float32 or float64. On all ranks the model has the same tensors in the same order.
func (w *World) SumGradients(model []G.ValueGrad) error {
	grads, n, err := gradientsOf(model)
	return w.call(call{opSumGradients, n.counts()}, err, func() error {
		all := vectorIn(w.comm.memory(n.bytes()), n)
		if err := all.pack(grads); err != nil {
			return err
		}
		if err := w.comm.sum32(all.single); err != nil {
			return err
		}
		if err := w.comm.sum64(all.double); err != nil {
			return err
		}
		return all.unpack(grads)
	})
}

// Broadcast replaces the values of a model by those of rank 0. Their elements are
// float32 or float64.
func (w *World) Broadcast(model []G.ValueGrad) error {
	values, n, err := valuesOf(model)
	return w.call(call{opBroadcast, n.counts()}, err, func() error {
		memory := w.comm.memory(n.bytes())
		all := vectorIn(memory, n)
		if err := all.pack(values); err != nil {
			return err
		}
		if err := w.comm.broadcast(memory, 0); err != nil {
			return err
		}
		return all.unpack(values)
	})
}

// BroadcastBytes returns rank 0's data on all ranks. The data of the others is ignored.
func (w *World) BroadcastBytes(data []byte) ([]byte, error) {
	err := w.call(call{op: opBroadcastBytes}, nil, func() error {
		n := []int64{int64(len(data))}
		if err := w.from(0, n); err != nil {
			return err
		}
		memory := w.comm.memory(int(n[0]))
		copy(memory, data)
		if err := w.comm.broadcast(memory, 0); err != nil {
			return err
		}
		if w.rank != 0 {
			data = append([]byte(nil), memory...)
		}
		return nil
	})
	return data, err
}

// Barrier waits for all ranks.
func (w *World) Barrier() error { return w.call(call{op: opBarrier}, nil, func() error { return nil }) }

// Finalize leaves the world after all ranks have called it. It is the last call, and
// a launcher treats a rank that exits without it as lost. Defer it directly, as
// defer world.Finalize(): then a panic passes through it and ends the job. Print an
// error before Finalize, because after it another rank may exit first, and the
// launcher then stops this one.
func (w *World) Finalize() error {
	if p := recover(); p != nil {
		panic(p) // at once: the other ranks may be waiting for this one
	}
	return w.call(call{op: opFinalize}, nil, func() error {
		w.closed = true
		return w.comm.finalize()
	})
}

// Abort ends the processes of all ranks, with an exit code other than 0. It is for a
// rank that cannot reach its next call.
func (w *World) Abort(code int) {
	if w.comm != nil && w.mu.TryLock() { // else a call waits in MPI, and the launcher must end it
		w.comm.abort(code)
	}
	os.Exit(code)
}

// A RankError is an error of one rank that all ranks return.
type RankError struct {
	Rank int
	Err  error
}

func (e *RankError) Error() string { return fmt.Sprintf("rank %d: %v", e.Rank, e.Err) }
func (e *RankError) Unwrap() error { return e.Err }

// launched returns the number of processes that the launcher says it has started, or 1
// if there is no launcher.
func launched() int {
	for _, name := range []string{"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"} {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
	}
	return 1
}
