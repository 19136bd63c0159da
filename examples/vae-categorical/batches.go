package main

import "math/rand/v2"

// Purposes of random streams. Stream 0 of a seed draws the initial weights.
const (
	forBatches = 1 + iota
	forPixels
	forEvaluation
	forPictures
)

// newRand returns one of a seed's independent streams.
func newRand(seed uint64, purpose, n int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(purpose)<<32|uint64(n)))
}

// batches splits the training images into batches, in a new order for each epoch.
// It drops the images that do not fill a batch. The order depends only on seed
// and epoch, so a resumed run needs no more than the step.
type batches struct {
	images *images
	size   int
	seed   uint64
	epoch  int // the epoch of order
	order  []int
}

func newBatches(im *images, size int, seed uint64) *batches {
	return &batches{images: im, size: size, seed: seed, epoch: -1}
}

// perEpoch returns the number of batches per epoch.
func (b *batches) perEpoch() int { return b.images.n / b.size }

// fill writes rows of the batch of a step, counted from 0, to x, as values in [0, 1]:
// as many as x has space for, from a row on.
func (b *batches) fill(x []float32, step, first int) {
	epoch, i := step/b.perEpoch(), step%b.perEpoch()
	if epoch != b.epoch {
		b.epoch, b.order = epoch, newRand(b.seed, forBatches, epoch).Perm(b.images.n)
	}
	for row, image := range b.order[i*b.size+first:][:len(x)/pixels] {
		scale(x[row*pixels:(row+1)*pixels], b.images.image(image))
	}
}

// scale converts bytes to values in [0, 1].
func scale(x []float32, raw []byte) {
	for i, p := range raw {
		x[i] = float32(p) / 255
	}
}
