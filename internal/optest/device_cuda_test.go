//go:build cuda

package optest

import (
	"testing"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/ops"
)

// A long chain runs many more kernels than Gorgonia queues at once.
func TestDeviceChain(t *testing.T) {
	chain := []Node{{Name: "chain", Build: func(b *Builder) *G.Node {
		x, tau := b.In("logits"), b.Fixed("tau")
		for range 200 {
			x = b.Soft(x, tau)
		}
		return x
	}}}
	for _, dt := range dtypes {
		CompareDevices(t, dt, 10*Tolerance(dt), chain, alongLast(4, 5))
	}
}

// Our nodes read what Gorgonia's kernels compute, and the reverse.
func TestDeviceMixed(t *testing.T) {
	mixed := []Node{{Name: "mixed", Build: func(b *Builder) *G.Node {
		x, tau := b.In("x"), b.In("tau")
		logits := G.Must(G.Add(G.Must(G.Tanh(x)), G.Must(G.HadamardProd(x, x))))
		z := G.Must(G.Exp(b.Soft(logits, G.Must(G.Square(tau)))))
		return G.Must(G.Add(G.Must(ops.StraightThrough(z)), z))
	}}}
	for _, dt := range dtypes {
		CompareDevices(t, dt, Tolerance(dt), mixed, alongLast(4, 6))
	}
}
