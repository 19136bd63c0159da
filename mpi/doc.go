// Package mpi trains one model on several processes, called ranks, on one or many
// machines. Each rank computes the gradients of its share of every batch. The
// gradients are then summed over the ranks, so that all ranks make the same step.
// With ops.Source.Seek each rank draws the noise of its rows of the batch, so the
// losses are those of one process at any number of ranks, except for rounding.
// Pieces removes that exception.
//
//	world, err := mpi.Init()
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer world.Finalize()
//	lo, hi := world.Share(batch)             // build the graph for hi−lo rows; cost = sum over rows / batch
//	err = world.Broadcast(model)             // all ranks start with the weights of rank 0
//	for step := range steps {
//		source.Seek(uint64(step), uint64(lo))
//		err := machine.RunAll()              // on rows lo to hi of the step's batch
//		err = world.Sum(losses, err)         // losses of the batch; an error of one rank is an error of all
//		err = world.SumGradients(model)
//		err = solver.Step(model)
//	}
//
// # Building and starting
//
// The package needs cgo, an MPI library (Open MPI and MPICH are tested) and the build
// tag mpi:
//
//	CC=mpicc go build -tags mpi .
//	mpirun -np 4 ./program
//
// Without the tag, and in a process that no launcher has started, there is one rank.
// Every call then works, does nothing that needs another rank, and needs no cgo.
// docs/cluster.md describes clusters.
//
// # Calls
//
// Sum, SumGradients, Broadcast, BroadcastBytes, Barrier, Finalize and Pieces.Sum are
// collective: all ranks make the same calls in the same order. Before each of them the
// ranks compare what they call. If one of them calls another method, or with another
// size, all of them get a RankError that says so.
//
// A rank that cannot continue tells the others by the next call of Sum. A rank that
// panics or exits ends the job: the launcher stops the others. A rank that hangs
// blocks the others until World.Timeout.
//
// To stop early, agree first, because a signal reaches the ranks at different steps:
//
//	stop := []float64{0}
//	if ctx.Err() != nil {
//		stop[0] = 1
//	}
//	err := world.Sum(stop, nil)              // stop[0] > 0: all ranks stop here
package mpi
