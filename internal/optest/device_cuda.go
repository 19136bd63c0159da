//go:build cuda

package optest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/node"
)

// testDevice compares values and gradients on the device with those on the CPU, run
// after run, in layouts that take every kind of kernel.
func (r Row) testDevice(t *testing.T, dt tensor.Dtype) {
	layouts := []Layout{alongLast(7, 10), alongLast(33), alongLast(2, 5000)}
	if r.axes() {
		layouts = append(layouts,
			Layout{Shape: tensor.Shape{5, 40}, Axis: 0},
			Layout{Shape: tensor.Shape{2, 5, 3}, Axis: 1},
			Layout{Shape: tensor.Shape{4, 30}, Classes: 10},
		)
	}
	t.Run("device", func(t *testing.T) {
		CompareDevices(t, dt, Tolerance(dt), r.Nodes, layouts...)
	})
}

// Tolerance returns how far a result on the device may be from the CPU's, relative to
// the greatest number of the array.
func Tolerance(dt tensor.Dtype) float64 {
	if dt == tensor.Float32 {
		return 1e-5
	}
	return 1e-12
}

// CompareDevices compares values and gradients of nodes on the device with those on the
// CPU, in three runs of one machine each. Exact values must be the same bits.
func CompareDevices(t *testing.T, dt tensor.Dtype, tolerance float64, nodes []Node, layouts ...Layout) {
	t.Helper()
	var want []outcome
	node.OnCPU(func() { want = newSuite(t, dt, nodes, layouts...).runs(t, 3) })
	s := newSuite(t, dt, nodes, layouts...)
	for run, got := range s.runs(t, 3) {
		for i := range got {
			within := tolerance
			if s.exact[i] {
				within = 0
			}
			if err := near(got[i], want[run][i], within); err != nil {
				t.Errorf("run %d: %s: %v", run, s.names[i], err)
			}
		}
	}
	s.checkCUDADoers(t)
}

func near(got, want []float64, tolerance float64) error {
	if len(got) != len(want) || len(got) == 0 {
		return fmt.Errorf("%d numbers, want %d", len(got), len(want))
	}
	greatest := 0.0
	if len(want) == 1 {
		greatest = 1 // a gradient to tau is a sum of terms of that size, which may cancel
	}
	for _, v := range want {
		greatest = max(greatest, math.Abs(v))
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= tolerance*greatest) {
			return fmt.Errorf("element %d is %v, on the CPU %v", i, got[i], want[i])
		}
	}
	return nil
}

// checkCUDADoers checks that only the two wrappers of package node have a CUDADo,
// because Gorgonia sends every op with one to the device.
func (s *suite) checkCUDADoers(t *testing.T) {
	for _, n := range s.graph.AllNodes() {
		name := fmt.Sprintf("%T", n.Op())
		if !strings.Contains(name, "node.") {
			continue // Gorgonia's own
		}
		if _, ok := n.Op().(G.CUDADoer); ok != (name == "*node.device" || name == "*node.deviceDraw") {
			t.Errorf("%v is a %s: CUDADo %v", n, name, ok)
		}
	}
}
