// Command vae-categorical trains a categorical variational autoencoder on MNIST
// with Gumbel-softmax samples, and shows what it has learnt.
//
//	go run ./examples/vae-categorical
//
// The model is that of Jang, Gu & Poole, "Categorical Reparameterization with
// Gumbel-Softmax" (2017): an encoder 784-512-256 gives the logits of 30 latents
// of 10 classes, a sample of them goes through the mirrored decoder. -h lists
// the flags. The folder of -out gets
//
//	metrics.csv          a row a step: −ELBO and its parts, in nats an image
//	curves.png           −ELBO and temperature over the steps
//	reconstructions.png  test images over their reconstructions
//	samples.png          images from the prior
//	latents.png          what each class of some latents changes
//	checkpoint           what -resume goes on from
//
// With OpenBLAS (Debian's libopenblas-dev, and cgo) a step takes less than half
// the time; OPENBLAS_NUM_THREADS sets the threads of its own:
//
//	go run -tags openblas ./examples/vae-categorical
//
// With the tag cuda it trains and evaluates on an NVIDIA GPU: see the README of
// the repository.
//
//	go run -tags cuda ./examples/vae-categorical
//
// A first Ctrl-C finishes the step and writes all of these, a second one ends
// the program at once. Exit codes: 0 done, 1 an error, 2 a bad flag, 130
// interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const program = "vae-categorical"

const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from then on a signal kills
	os.Exit(run(ctx, os.Args[1:], loadMNIST, os.Stdout, os.Stderr))
}

// usageError is one that a change of flags mends.
type usageError struct{ error }

// run is the program: results go to stdout, all else to stderr.
func run(ctx context.Context, args []string, load func(dir string) (*dataset, error), stdout, stderr io.Writer) int {
	c, err := parseFlags(args, stdout)
	if err == nil {
		err = newSession(ctx, c, stdout, stderr).run(load)
	} else if !errors.Is(err, flag.ErrHelp) {
		err = usageError{err}
	}
	return exitCode(err, stderr)
}

// exitCode says what went wrong, where that was not said yet.
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
