package main

import (
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// BenchmarkStep is one training step of the default model, on random images with a
// fifth of their pixels white. bench/step compares it with PyTorch.
func BenchmarkStep(b *testing.B) {
	c, err := parseFlags(nil, io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	im := &images{n: 1000, pixels: make([]byte, 1000*pixels)}
	for i := range im.pixels {
		if r.Float64() > 0.8 {
			im.pixels[i] = 255
		}
	}
	t, err := newTrainer(c.settings, im, alone(b))
	if err != nil {
		b.Fatal(err)
	}
	defer t.close()
	step := func() time.Duration {
		began := time.Now()
		if err := t.step(); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	for range 5 { // the first steps allocate
		step()
	}
	var times []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		times = append(times, step())
	}
	slices.Sort(times)
	b.ReportMetric(times[len(times)/2].Seconds()*1e3, "median-ms")
}
