package mpi

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"
)

// A call is what a rank calls: a method and the sizes of its arrays.
type call struct {
	op operation
	n  [2]int
}

type operation int

const (
	opSum operation = iota
	opSumGradients
	opBroadcast
	opBroadcastBytes
	opBarrier
	opFinalize
	opPiecesSum
)

func (o operation) String() string {
	return [...]string{"Sum", "SumGradients", "Broadcast", "BroadcastBytes", "Barrier", "Finalize", "Pieces.Sum"}[o]
}

func (c call) String() string {
	switch {
	case c.op == opSum:
		return fmt.Sprintf("Sum of %d numbers", c.n[0])
	case c.n == [2]int{}:
		return c.op.String()
	}
	return fmt.Sprintf("%v of %d float32 and %d float64", c.op, c.n[0], c.n[1])
}

// call makes a collective call: f, after all ranks have agreed on it. err is an error
// of this rank, which becomes one of all ranks.
func (w *World) call(c call, err error, f func() error) error {
	if w.comm == nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed && c.op == opFinalize:
		return nil
	case w.closed:
		return fmt.Errorf("mpi: %v after Finalize", c.op)
	case w.err != nil:
		return w.err
	}
	defer w.watch(c)()
	if err := w.agree(c, err); err != nil {
		return err
	}
	w.err = f()
	return w.err
}

// watch ends the process if the function that it returns is not called in time. It
// does not call MPI, which may be busy on another thread.
func (w *World) watch(c call) (done func() bool) {
	if w.Timeout <= 0 {
		return func() bool { return true }
	}
	return time.AfterFunc(w.Timeout, func() {
		fmt.Fprintf(os.Stderr, "mpi: rank %d of %d has waited %v in %v for the other ranks: one of them hangs, or its host is lost: look for a rank without this message, or raise World.Timeout\n", w.rank, w.size, w.Timeout, c.op)
		os.Exit(1)
	}).Stop
}

// agree compares the calls of all ranks, and their errors, before the call is made. It
// is the same operation for every call, so it completes whatever the ranks call.
func (w *World) agree(c call, err error) error {
	const op, failed = 0, 3
	mine := []int64{int64(c.op), int64(c.n[0]), int64(c.n[1])}
	most := append(append([]int64{}, mine...), 0)
	if err != nil {
		most[failed] = int64(w.size - w.rank) // the lowest rank has the most
	}
	for _, v := range mine {
		most = append(most, -v)
	}
	if e := w.comm.max(most); e != nil {
		w.err = e
		return e
	}
	least := most[failed+1:]
	differ := func(i int) bool { return most[i] != -least[i] }
	switch {
	case most[failed] > 0:
		e := w.failure(w.size-int(most[failed]), err)
		if differ(op) {
			w.err = e
		}
		return e
	case differ(0) || differ(1) || differ(2):
		w.err = w.mismatch(mine)
		return w.err
	}
	return nil
}

// failure returns the error of a rank on all ranks.
func (w *World) failure(rank int, err error) error {
	var text []byte
	if rank == w.rank {
		text = []byte(err.Error())
	}
	n := []int64{int64(len(text))}
	if e := w.from(rank, n); e != nil {
		return e
	}
	text = append(text, make([]byte, int(n[0])-len(text))...)
	if e := w.comm.broadcast(text, rank); e != nil {
		return e
	}
	if rank != w.rank {
		err = errors.New(string(text))
	}
	return &RankError{rank, err}
}

// mismatch returns an error with the lowest rank whose call differs from that of rank 0.
func (w *World) mismatch(mine []int64) error {
	first, other := append([]int64{}, mine...), append([]int64{}, mine...)
	if err := w.from(0, first); err != nil {
		return err
	}
	lowest := []int64{0}
	for i := range mine {
		if mine[i] != first[i] {
			lowest[0] = int64(w.size - w.rank)
		}
	}
	if err := w.comm.max(lowest); err != nil {
		return err
	}
	rank := w.size - int(lowest[0])
	if err := w.from(rank, other); err != nil {
		return err
	}
	return &RankError{rank, fmt.Errorf("calls %v where rank 0 calls %v: make the same calls with the same sizes on all ranks, and pass an error of one rank to Sum", callOf(other), callOf(first))}
}

func callOf(x []int64) call { return call{operation(x[0]), [2]int{int(x[1]), int(x[2])}} }

// from replaces x by that of a rank.
func (w *World) from(rank int, x []int64) error {
	if rank != w.rank {
		for i := range x {
			x[i] = math.MinInt64
		}
	}
	return w.comm.max(x)
}
