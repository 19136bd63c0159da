package main

import "math/rand/v2"

// What a random stream is for. Stream 0 of a seed draws the initial weights.
const (
	forBatches = 1 + iota
	forPixels
	forEvaluation
	forPictures
)

// newRand returns one of the independent streams of a seed.
func newRand(seed uint64, purpose, n int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(purpose)<<32|uint64(n)))
}

// batches deals the training images out, in a new order each epoch. What is
// left when the batch does not divide the images is dropped. The order is a
// function of seed and epoch, so that the step is all that resuming needs.
type batches struct {
	images *images
	size   int
	seed   uint64
	epoch  int // the epoch that order is for
	order  []int
}

func newBatches(im *images, size int, seed uint64) *batches {
	return &batches{images: im, size: size, seed: seed, epoch: -1}
}

// perEpoch is the number of whole batches.
func (b *batches) perEpoch() int { return b.images.n / b.size }

// fill writes the batch of a step, counted from 0, to x as values in [0, 1].
func (b *batches) fill(x []float32, step int) {
	epoch, i := step/b.perEpoch(), step%b.perEpoch()
	if epoch != b.epoch {
		b.epoch, b.order = epoch, newRand(b.seed, forBatches, epoch).Perm(b.images.n)
	}
	for row, image := range b.order[i*b.size : (i+1)*b.size] {
		scale(x[row*pixels:(row+1)*pixels], b.images.image(image))
	}
}

// scale turns bytes into values in [0, 1].
func scale(x []float32, raw []byte) {
	for i, p := range raw {
		x[i] = float32(p) / 255
	}
}
