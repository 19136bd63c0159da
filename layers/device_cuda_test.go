//go:build cuda

package layers_test

import (
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/optest"
	"github.com/gumbel-go/gumbel/layers"
)

// Linear has the CPU's values and gradients on the device.
func TestLinearOnDevice(t *testing.T) {
	node := func(name string, out int, act layers.Activation) optest.Node {
		return optest.Node{Name: name, Build: func(b *optest.Builder) *G.Node {
			init := layers.GlorotUniform(uint64(out))
			l, err := layers.NewLinear(b.Graph, b.Name("linear"), b.Dtype, b.Shape[1], out,
				layers.WithActivation(act), layers.WithInit(init), layers.WithBiasInit(init))
			if err != nil {
				t.Fatal(err)
			}
			b.Learn(l.Model()...)
			return forward(t, l, b.In("x"))
		}}
	}
	nodes := []optest.Node{
		node("Identity", 3, layers.Identity), node("ReLU", 65, layers.ReLU),
		node("Tanh", 3, layers.Tanh), node("Sigmoid", 130, layers.Sigmoid),
	}
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		optest.CompareDevices(t, dt, optest.Tolerance(dt), nodes,
			optest.Layout{Shape: tensor.Shape{5, 7}}, optest.Layout{Shape: tensor.Shape{17, 70}}, optest.Layout{Shape: tensor.Shape{1, 7}})
	}
}
