package main

import (
	"slices"
	"testing"
)

// dealt returns the images in the batch of a step. Image i has first pixel i.
func dealt(b *batches, step int) []int {
	x := make([]float32, b.size*pixels)
	b.fill(x, step, 0)
	var got []int
	for row := range b.size {
		got = append(got, int(x[row*pixels]*255+0.5))
	}
	return got
}

func numbered(n int) *images {
	im := &images{n: n, pixels: make([]byte, n*pixels)}
	for i := range n {
		im.pixels[i*pixels] = byte(i)
	}
	return im
}

func TestEpochDealsEachImageOnce(t *testing.T) {
	b := newBatches(numbered(12), 4, 1)
	for epoch := range 3 {
		var got []int
		for i := range 3 {
			got = append(got, dealt(b, epoch*3+i)...)
		}
		if slices.IsSorted(got) {
			t.Errorf("epoch %d is not shuffled: %v", epoch, got)
		}
		slices.Sort(got)
		for i, image := range got {
			if image != i {
				t.Fatalf("epoch %d deals %v, want each of 0 to 11 once", epoch, got)
			}
		}
	}
}

func TestEpochDropsWhatIsLeft(t *testing.T) {
	b := newBatches(numbered(11), 4, 1)
	if n := b.perEpoch(); n != 2 {
		t.Fatalf("%d batches an epoch, want 2", n)
	}
	if a, c := dealt(b, 1), dealt(b, 2); slices.Equal(a, c) {
		t.Errorf("steps 1 and 2 both deal %v", a)
	}
}

func TestBatchIsFunctionOfSeedAndStep(t *testing.T) {
	im := numbered(40)
	straight, jumping := newBatches(im, 10, 7), newBatches(im, 10, 7)
	want := make([][]int, 12)
	for step := range want {
		want[step] = dealt(straight, step)
	}
	for _, step := range []int{11, 0, 5, 4, 9} {
		if got := dealt(jumping, step); !slices.Equal(got, want[step]) {
			t.Errorf("step %d deals %v out of order, %v in order", step, got, want[step])
		}
	}
	if got := dealt(newBatches(im, 10, 8), 0); slices.Equal(got, want[0]) {
		t.Errorf("seeds 7 and 8 both deal %v", got)
	}
	if slices.Equal(want[0], want[4]) {
		t.Errorf("epochs 0 and 1 both begin with %v", want[0])
	}
}

func TestScale(t *testing.T) {
	x := make([]float32, 3)
	scale(x, []byte{0, 51, 255})
	if want := []float32{0, 0.2, 1}; !slices.Equal(x, want) {
		t.Errorf("got %v, want %v", x, want)
	}
}
