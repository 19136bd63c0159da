package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/mpi"
)

// A team is the ranks that train the model together: one, unless mpirun or the like
// has started more. Rank 0 alone writes files and prints.
type team struct {
	*mpi.World
	pieces *mpi.Pieces // nil if each rank runs its share of a batch at once
}

// newTeam joins the ranks. With pieces > 0, they cut each batch into so many pieces. If
// that is not possible, it returns the team with the error.
func newTeam(pieces int) (*team, error) {
	world, err := mpi.Init()
	if err != nil {
		return nil, err
	}
	t := &team{World: world}
	if pieces > 0 {
		t.pieces, err = world.Pieces(pieces)
	}
	return t, err
}

// asRank calls f, prints its error on the rank that has it, and returns the exit code.
func asRank(stderr io.Writer, f func(*team) error) int {
	t, err := newTeam(0)
	if err != nil {
		return exitCode(err, stderr)
	}
	defer t.Finalize()
	err = f(t)
	return exitCode(err, t.stderr(err, stderr))
}

func (t *team) isFirst() bool { return t.Rank() == 0 }

// onFirst calls f on rank 0. All ranks return its error.
func (t *team) onFirst(f func() error) error {
	var err error
	if t.isFirst() {
		err = f()
	}
	return t.Sum(nil, err)
}

// anyDone reports whether ctx is done on any rank: an interrupt reaches the ranks at
// different steps, and all must stop after the same one.
func (t *team) anyDone(ctx context.Context) (bool, error) {
	done := []float64{0}
	if ctx.Err() != nil {
		done[0] = 1
	}
	err := t.Sum(done, nil)
	return done[0] > 0, err
}

// mustAgree returns an error if a checksum differs between ranks. cause ends its
// message.
func (t *team) mustAgree(what string, checksum uint32, cause string) error {
	all := make([]float64, t.Size())
	all[t.Rank()] = float64(checksum)
	if err := t.Sum(all, nil); err != nil {
		return err
	}
	for rank, other := range all {
		if other != all[0] {
			return &mpi.RankError{Rank: rank, Err: fmt.Errorf("%s differ from those of rank 0: %s", what, cause)}
		}
	}
	return nil
}

func checksumOf(weights []*tensor.Dense) (uint32, error) {
	sum := crc32.NewIEEE()
	for _, w := range weights {
		if err := binary.Write(sum, binary.LittleEndian, w.Data()); err != nil {
			return 0, err
		}
	}
	return sum.Sum32(), nil
}

// rows returns how many rows of a batch a rank runs at a time.
func (t *team) rows(batch int) (int, error) {
	if t.pieces != nil {
		lo, hi := t.pieces.Mine()
		pieces := (hi - lo) * t.Size()
		if batch%pieces != 0 {
			return 0, fmt.Errorf("-batch %d: must be a multiple of -pieces %d", batch, pieces)
		}
		return batch / pieces, nil
	}
	if batch < t.Size() {
		return 0, fmt.Errorf("-batch %d: must be at least %d, the number of ranks", batch, t.Size())
	}
	lo, hi := t.Share(batch)
	return hi - lo, nil
}

// stderr returns where a rank prints an error. An error of another rank is that
// rank's to print.
func (t *team) stderr(err error, w io.Writer) io.Writer {
	if other := (*mpi.RankError)(nil); errors.As(err, &other) && other.Rank != t.Rank() {
		return io.Discard
	}
	return w
}
