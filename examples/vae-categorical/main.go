// Command vae-categorical trains a categorical variational autoencoder on MNIST
// with Gumbel-softmax samples and draws what it has learned.
//
//	go run ./examples/vae-categorical
//
// The model is that of Jang, Gu and Poole, "Categorical Reparameterization with
// Gumbel-Softmax" (2017). An encoder with layers of 784, 512 and 256 units
// computes the logits of 30 latents with 10 classes each, and the mirrored
// decoder reconstructs the image from a sample of them.
//
// -h lists the flags. The program writes these files to the folder -out:
//
//	metrics.csv          one row per step: −ELBO and its parts, in nats per image
//	curves.png           −ELBO and temperature over the steps
//	reconstructions.png  test images above their reconstructions
//	samples.png          images from the prior
//	latents.png          how each class of some latents changes an image
//	checkpoint           the state from which -resume continues
//
// Files of an earlier run in -out are not overwritten. Before its first step, a new
// run moves them to a subfolder earlier-1, earlier-2, …, from which -resume can
// continue that run. While a run writes to -out, other runs there are refused: it
// locks the file vae-categorical.lock, whose lock ends with the process even if that
// is killed.
//
// The tag openblas lets OpenBLAS multiply the matrices (Debian's libopenblas-dev,
// and cgo). OPENBLAS_NUM_THREADS sets the number of its threads:
//
//	go run -tags openblas ./examples/vae-categorical
//
// With the tag cuda the program trains and evaluates on an NVIDIA GPU: see the
// README of the repository.
//
//	go run -tags cuda ./examples/vae-categorical
//
// With the tag mpi and an MPI library the program trains on several ranks, on one
// machine or many. Rank 0 writes the files. The losses are those of one rank except for
// rounding, and with -pieces they have the same bits. -resume works on any number of
// ranks:
//
//	CC=mpicc go build -tags mpi ./examples/vae-categorical
//	mpirun -np 4 ./vae-categorical -pieces 8 -batch 512
//
// The checkpoint is saved after each epoch and every 30 seconds (-checkpoint-every).
//
// The first Ctrl-C, SIGTERM or SIGHUP finishes the current step, saves the checkpoint
// and draws the pictures, for at most 5 seconds. After the training, it stops the
// pictures or the evaluation and prints the results that are finished. The second one
// ends the program immediately, or after the file that is being saved.
//
// Exit codes:
//
//	0    success
//	1    an error
//	2    an invalid flag
//	130  interrupted
//
// "go run" does not pass these on: it prints "exit status 130" and exits with 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

const program = "vae-categorical"

const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as in shells
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	go handle(notify(), cancel, os.Exit)
	os.Exit(run(ctx, os.Args[1:], loadMNIST, os.Stdout, os.Stderr))
}

// usageError is an error that other flags would avoid.
type usageError struct{ error }

// run is the whole program. It writes results to stdout and everything else to
// stderr.
func run(ctx context.Context, args []string, load func(dir string) (*dataset, error), stdout, stderr io.Writer) int {
	return asRank(stderr, func(team *team) error {
		if !team.isFirst() {
			stdout = io.Discard
		}
		c, err := parseFlags(args, stdout)
		if err == nil {
			return newSession(ctx, c, stdout, stderr).run(load)
		}
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return team.Sum(nil, usageError{err})
	})
}

// exitCode prints the error, unless the program has already reported it.
func exitCode(err error, stderr io.Writer) int {
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "%s: %v (-h lists the flags)\n", program, err)
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	fmt.Fprintf(stderr, "%s: %v\n", program, err)
	return exitError
}
