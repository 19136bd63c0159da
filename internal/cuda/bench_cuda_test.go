//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"gorgonia.org/cu"

	"github.com/gumbel-go/gumbel/internal/cuda/tool/device"
	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/philox"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// BenchmarkSample times float32 launches, many between two waits. A backward pass is
// the forward kernel and that of the gradient. %bandwidth is the rate of a pass that
// reads each input once and writes its output, relative to a copy on the device.
//
// On the stand-in, pass -short for small shapes.
func BenchmarkSample(b *testing.B) {
	shapes, copied := [][2]int{{1024, 1000}, {64, 32000}, {65536, 10}, {8192, 8192}}, 256<<20
	if testing.Short() {
		shapes, copied = [][2]int{{4, 10}, {2, 40}}, 4<<10
	}
	speed := copySpeed(device.Open(b), copied)
	for _, shape := range shapes {
		benchmarkShape(b, shape[0], shape[1], speed)
	}
}

func benchmarkShape(b *testing.B, rows, classes int, speed float64) {
	d := device.Open(b)
	n := rows * classes
	r := rand.New(rand.NewPCG(1, 2))
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	s := plan.Sample{
		Dims:   kernel.Dims{Outer: rows, Classes: classes, Inner: 1},
		Float:  plan.Float32,
		Out:    device.Alloc[float32](d, n),
		Logits: device.Upload(d, values),
		Grad:   device.Upload(d, values),
		Tau:    device.Upload(d, []float32{0.7}),
		Draw:   device.Upload(d, []int64{1, 0}),
		Status: device.Upload(d, []int64{0}),
		Key:    philox.DeriveKey(1, 0),
	}
	array := 4 * n // bytes
	for _, pass := range []struct {
		name     string
		bytes    int
		launches []plan.Launch
	}{
		{"noise", array, []plan.Launch{plan.Gumbel(plan.Float32, s.Out, s.Draw, s.Key, n, 0, 1)}},
		{"soft/forward", 2 * array, []plan.Launch{s.Soft()}},
		{"hard/forward", 2 * array, []plan.Launch{s.Hard()}},
		{"gradient", 3 * array, []plan.Launch{s.GradLogits()}},
		{"soft/backward", 5 * array, []plan.Launch{s.Soft(), s.GradLogits()}},
		{"hard/backward", 5 * array, []plan.Launch{s.Hard(), s.GradLogits()}},
	} {
		b.Run(fmt.Sprintf("%s/%dx%d", pass.name, rows, classes), func(b *testing.B) {
			ns := nanoseconds(b, d, b.N, func() error { return d.Start(pass.launches...) })
			b.ReportMetric(ns/float64(n), "ns/element")
			b.ReportMetric(100*float64(pass.bytes)/ns/speed, "%bandwidth")
		})
	}
}

// BenchmarkCopy measures the copy that BenchmarkSample compares with.
func BenchmarkCopy(b *testing.B) {
	size := 256 << 20
	if testing.Short() {
		size = 4 << 10
	}
	d := device.Open(b)
	for b.Loop() {
		b.ReportMetric(copySpeed(d, size), "GB/s")
	}
}

// copySpeed returns the bytes per nanosecond that a copy on the device reads and
// writes.
func copySpeed(d device.Device, size int) float64 {
	from, to := cu.DevicePtr(device.Alloc[byte](d, size)), cu.DevicePtr(device.Alloc[byte](d, size))
	return float64(2*size) / nanoseconds(d, d, 20, func() error { return cu.Memcpy(to, from, int64(size)) })
}

// nanoseconds returns the mean time of n calls, queued without waiting in between.
// A call before them loads the kernel.
func nanoseconds(t testing.TB, d device.Device, n int, call func() error) float64 {
	t.Helper()
	var took time.Duration
	err := d.Do(func() error {
		err := errors.Join(call(), cu.Synchronize())
		if b, ok := t.(*testing.B); ok {
			b.ResetTimer()
		}
		began := time.Now()
		for i := 0; i < n && err == nil; i++ {
			err = call()
		}
		err = errors.Join(err, cu.Synchronize())
		took = time.Since(began)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return float64(took.Nanoseconds()) / float64(n)
}
