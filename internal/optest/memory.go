package optest

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// testMemory checks that a run in steady state allocates less than 5 kB per op,
// whatever its shape, because the engine reuses the memory of values and gradients.
func (r Row) testMemory(t *testing.T) {
	if G.CUDA || raceDetector {
		return // on CUDA, Gorgonia allocates for each copy
	}
	t.Run("memory", func(t *testing.T) {
		for _, l := range []Layout{alongLast(4, 6), alongLast(256, 1000)} {
			for _, n := range r.Nodes {
				if got := allocated(t, l, n); got > 5000 {
					t.Errorf("%s, %v: a run allocates %d bytes per op, want less than 5000", n.Name, l, got)
				}
			}
		}
	})
}

// allocated returns how many bytes per op a run of a node with its gradients
// allocates.
func allocated(t *testing.T, l Layout, n Node) uint64 {
	t.Helper()
	b := newBuilder(G.NewGraph(), tensor.Float32, l, ops.NewSource(1))
	y := n.Build(b)
	var count uint64
	for _, n := range b.Graph.AllNodes() {
		if strings.HasPrefix(fmt.Sprintf("%T", n.Op()), "*node.forward") {
			count++
		}
	}
	if wrt := b.wrt(); differentiable(y) && len(wrt) > 0 {
		up := newInput(b.Graph, b.Dtype, "upstream", y.Shape(), make([]float64, y.Shape().TotalSize()))
		if _, err := G.Backpropagate(G.Nodes{y}, G.Nodes{up}, wrt); err != nil {
			t.Fatal(err)
		}
	}
	m := newMachine(t, b.Graph)
	run := func() {
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		m.Reset()
	}
	run()
	run()                                            // both buffers of the engine exist now
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))  // as testing.AllocsPerRun does
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pools
	least := uint64(math.MaxUint64)
	for range 5 { // the runtime allocates now and then, too
		const runs = 4
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			run()
		}
		runtime.ReadMemStats(&after)
		least = min(least, (after.TotalAlloc-before.TotalAlloc)/runs/count)
	}
	return least
}
