//go:build !mpi

package mpi

import "fmt"

// newWorld returns a world of one rank.
func newWorld() (*World, error) {
	if n := launched(); n > 1 {
		return nil, fmt.Errorf("mpi: the launcher started %d processes, but this program was built without MPI: build it with CC=mpicc go build -tags mpi", n)
	}
	return &World{size: 1}, nil
}
