package optest

import (
	"encoding/binary"
	"math"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// FuzzGumbelSoftmax takes any logits, temperature, noise and options. Either the
// constructor or the run returns an error, or the sample is a distribution and no
// gradient is NaN.
func FuzzGumbelSoftmax(f *testing.F) {
	bits := func(values ...float32) (b []byte) {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		return b
	}
	inf := float32(math.Inf(1))
	f.Add(bits(1, 2, 3, 4, 5, 6), bits(0.5, -1, 2, 0, 1, 0), float32(0.5), 1, 0, byte(0))
	f.Add(bits(-inf, 2, 3, -inf, -inf, 6), []byte{}, float32(1e-30), -2, 0, byte(1))
	f.Add(bits(255, -255, 3e38, -3e38), []byte{}, float32(10), 1, 2, byte(2))
	f.Add(bits(float32(math.NaN()), inf), bits(inf, -inf), float32(0), 3, 5, byte(7))
	f.Add(bits(3e38, 0), bits(0, 0), float32(1e-10), 1, 0, byte(0))
	f.Add([]byte("0ooooooooooooooooooo"), []byte("0\xff\x7f\x7f0000"), float32(1e-30), -2, 0, byte(']'))
	f.Fuzz(func(t *testing.T, logits, noise []byte, tau float32, axis, classes int, flags byte) {
		read := func(b []byte) (x []float64) {
			for len(b) >= 4 && len(x) < 64 {
				x = append(x, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
				b = b[4:]
			}
			return x
		}
		x := read(logits)
		if len(x) < 2 {
			return
		}
		x = x[:len(x)/2*2]
		shape := tensor.Shape{2, len(x) / 2}
		dt := dtypes[flags>>1&1]
		g := G.NewGraph()
		in := G.Nodes{newInput(g, dt, "logits", shape, x), newInput(g, dt, "tau", tensor.ScalarShape(), []float64{float64(tau)})}
		opts := []ops.GumbelSoftmaxOption{ops.WithAxis(axis)}
		if classes != 0 {
			opts = append(opts, ops.WithClasses(classes))
		}
		hard := flags&1 != 0
		if hard {
			opts = append(opts, ops.WithHard())
		}
		if given := read(noise); len(given) >= len(x) {
			in = append(in, newInput(g, dt, "noise", shape, given[:len(x)]))
			opts = append(opts, ops.WithNoise(in[2]))
		} else {
			opts = append(opts, ops.WithSource(ops.NewSource(1)))
		}
		y, err := ops.GumbelSoftmax(in[0], in[1], opts...)
		if err != nil {
			return
		}
		var value G.Value
		G.Read(y, &value)
		cost := G.Must(G.Sum(G.Must(G.Square(y))))
		derivs, err := G.Grad(cost, in...)
		if err != nil {
			t.Fatal(err)
		}
		grads := make([]G.Value, len(in))
		for i, n := range derivs {
			G.Read(n, &grads[i])
		}
		if newMachine(t, g).RunAll() != nil {
			return
		}
		var sum float64
		for i, v := range elements(value) {
			if !(v >= 0 && v <= 1) || (hard && v != 0 && v != 1) || (math.IsInf(x[i], -1) && v != 0) {
				t.Fatalf("sample %v of logits %v", elements(value), x)
			}
			sum += v
		}
		rows := len(x) / max(1, classes)
		if classes == 0 {
			rows = [2]int{shape[1], 2}[(axis+2)%2]
		}
		if math.Abs(sum-float64(rows)) > 1e-4 {
			t.Fatalf("%d distributions sum to %v: %v", rows, sum, elements(value))
		}
		for i, grad := range grads {
			for _, v := range elements(grad) {
				if math.IsNaN(v) {
					t.Fatalf("gradient %v to %v; sample %v", elements(grad), in[i], elements(value))
				}
			}
		}
	})
}
