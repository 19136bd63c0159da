package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/blas"
	G "gorgonia.org/gorgonia"
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

// BenchmarkProduct times the matrix products of a training step, and a large one, with the
// BLAS of this build. bench/step compares builds.
func BenchmarkProduct(b *testing.B) {
	const batch = 100
	for _, layer := range [][2]int{{784, 512}, {512, 256}, {256, 300}, {300, 256}, {256, 512}, {512, 784}} {
		in, out := layer[0], layer[1]
		name := fmt.Sprintf("%dx%d", in, out)
		benchmarkProduct(b, name+"/forward", batch, out, in, blas.NoTrans, blas.NoTrans)
		benchmarkProduct(b, name+"/weights", in, out, batch, blas.Trans, blas.NoTrans)
		benchmarkProduct(b, name+"/input", batch, in, out, blas.NoTrans, blas.Trans)
	}
	benchmarkProduct(b, "1000x1000/forward", 1000, 1000, 1000, blas.NoTrans, blas.NoTrans)
}

func benchmarkProduct(b *testing.B, name string, m, n, k int, tA, tB blas.Transpose) {
	b.Run(name, func(b *testing.B) {
		r := rand.New(rand.NewPCG(1, 1))
		x, y, z := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
		for _, data := range [][]float32{x, y} {
			for i := range data {
				data[i] = float32(r.NormFloat64())
			}
		}
		ldX, ldY := k, n
		if tA == blas.Trans {
			ldX = m
		}
		if tB == blas.Trans {
			ldY = k
		}
		for b.Loop() {
			G.WhichBLAS().Sgemm(tA, tB, m, n, k, 1, x, ldX, y, ldY, 0, z, n)
		}
		b.ReportMetric(2*float64(m)*float64(n)*float64(k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
	})
}
