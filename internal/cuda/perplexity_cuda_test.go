//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"testing"

	"github.com/gumbel-go/gumbel/internal/cuda/tool/device"
	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// runPerplexity returns the perplexities, the gradient to the logits and the statuses.
func runPerplexity[T kernel.Float](d device.Device, dims kernel.Dims, blocks int, logits, grad []T) (value, back []T, status [2]int32) {
	d.Helper()
	p := plan.Perplexity{
		Dims: dims, Float: plan.FloatOf[T](), Blocks: blocks, Logits: device.Upload(d, logits), Grad: device.Upload(d, grad),
	}
	p.Scratch, p.Status = device.Alloc[byte](d, p.ScratchSize()), device.Upload(d, []int32{0})
	p.Out = device.Alloc[T](d, blocks)
	d.Run(p.Value()...)
	value, status[0] = device.Download[T](d, p.Out, blocks), device.Download[int32](d, p.Status, 1)[0]
	p.Out, p.Status = device.Alloc[T](d, dims.Size()), device.Upload(d, []int32{0})
	d.Run(p.GradLogits()...)
	return value, device.Download[T](d, p.Out, dims.Size()), [2]int32{status[0], device.Download[int32](d, p.Status, 1)[0]}
}

func TestPerplexityKernels(t *testing.T) {
	t.Run("float32", testPerplexityKernels[float32])
	t.Run("float64", testPerplexityKernels[float64])
}

// testPerplexityKernels compares with the CPU in float64: with teams of one thread, of a
// warp and of a block, one part and many, and classes that a block takes in turns.
func testPerplexityKernels[T kernel.Float](t *testing.T) {
	for _, test := range []struct {
		kernel.Dims
		blocks int
	}{
		{kernel.Dims{Outer: 1, Classes: 1, Inner: 1}, 1}, {kernel.Dims{Outer: 6, Classes: 10, Inner: 1}, 6},
		{kernel.Dims{Outer: 2, Classes: 7, Inner: 1}, 1}, {kernel.Dims{Outer: 300, Classes: 3, Inner: 1}, 2},
		{kernel.Dims{Outer: 333, Classes: 10, Inner: 1}, 3}, {kernel.Dims{Outer: 3, Classes: 20, Inner: 33}, 1},
		{kernel.Dims{Outer: 1, Classes: 3, Inner: 700}, 1}, {kernel.Dims{Outer: 60, Classes: 130, Inner: 1}, 2},
		{kernel.Dims{Outer: 34, Classes: 320, Inner: 1}, 2}, {kernel.Dims{Outer: 2, Classes: 5000, Inner: 1}, 1},
		{kernel.Dims{Outer: 1, Classes: 1000, Inner: 10}, 1}, {kernel.Dims{Outer: 3, Classes: 7000, Inner: 1}, 3},
	} {
		for _, scale := range []float64{1e-3, 3, 300} {
			t.Run(fmt.Sprintf("%v in %d/%v", test.Dims, test.blocks, scale), func(t *testing.T) {
				in := masked[T](test.Dims, scale, 1)
				in.grad = in.grad[:test.blocks]
				value, back, status := runPerplexity(device.Open(t), test.Dims, test.blocks, in.q, in.grad)
				if status != [2]int32{} {
					t.Fatalf("statuses %v", status)
				}
				logits, grad := widened(in.q), widened(in.grad)
				want, slopes, wantBack := make([]float64, test.blocks), make([]float64, test.blocks*test.Classes), make([]float64, test.Size())
				if err := kernel.Perplexity(want, slopes, logits, test.Dims, test.blocks); err != nil {
					t.Fatal(err)
				}
				kernel.GradPerplexity(wantBack, logits, slopes, grad, test.Dims, test.blocks)
				noise := func(size float64) float64 { return 0x1p-52 * size * (8 + math.Sqrt(float64(test.Size()))) }
				size := 1.0
				for b, x := range value {
					size = max(size, want[b]*(1+math.Abs(grad[b]))*(scale+math.Log(float64(test.Classes))))
					if !near(x, want[b], epsilon[T]()*want[b]+noise(size)) || x < 1 || x > T(test.Classes) {
						t.Fatalf("perplexity %d is %v, want %v", b, x, want[b])
					}
				}
				for i, x := range back {
					if !near(x, wantBack[i], epsilon[T]()*math.Abs(wantBack[i])+noise(size)+tiny[T]()) || math.IsInf(logits[i], -1) && x != 0 {
						t.Fatalf("the gradient to logit %d, %v, is %v, want %v", i, logits[i], x, wantBack[i])
					}
				}
			})
		}
	}
}

// The kernels refuse a bad logit wherever it is, and a gradient that is not finite.
func TestPerplexityKernelsRefuse(t *testing.T) {
	t.Run("float32", testPerplexityKernelsRefuse[float32])
	t.Run("float64", testPerplexityKernelsRefuse[float64])
}

func testPerplexityKernelsRefuse[T kernel.Float](t *testing.T) {
	nan, inf := T(math.NaN()), T(math.Inf(1))
	const blocks = 2
	for _, batch := range []int{1, 9, 60} {
		for _, classes := range []int{2, 40, 300} {
			d := kernel.Dims{Outer: batch * blocks, Classes: classes, Inner: 1}
			for _, row := range []int{0, d.Outer - 1} {
				for name, spoil := range map[string]func(logits, grad []T) (want [2]int32){
					"nothing": func(logits, grad []T) [2]int32 { return [2]int32{} },
					"NaN":     func(logits, grad []T) [2]int32 { logits[1] = nan; return [2]int32{1, 1} },
					"+Inf":    func(logits, grad []T) [2]int32 { logits[classes-1] = inf; return [2]int32{1, 1} },
					"masked whole": func(logits, grad []T) [2]int32 {
						for i := range logits {
							logits[i] = -inf
						}
						return [2]int32{1, 1}
					},
					"an infinite gradient": func(logits, grad []T) [2]int32 { grad[1] = inf; return [2]int32{0, 1} },
				} {
					logits, grad := make([]T, d.Size()), make([]T, blocks)
					want := spoil(logits[row*classes:(row+1)*classes], grad)
					if _, _, status := runPerplexity(device.Open(t), d, blocks, logits, grad); status != want {
						t.Errorf("%s in row %d of %v: statuses %v, want %v", name, row, d, status, want)
					}
				}
			}
		}
	}
}
