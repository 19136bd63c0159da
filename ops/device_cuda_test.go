//go:build cuda

package ops_test

import (
	"regexp"
	"runtime"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// Only CUDA returns these errors.
func TestDeviceErrors(t *testing.T) {
	square := func() *tensor.Dense {
		return tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]float32{1, 2, 3, 4}))
	}
	transposed := square()
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	sample := func(x *tensor.Dense) *G.ExprGraph {
		g := G.NewGraph()
		G.Must(ops.Categorical(G.NewMatrix(g, tensor.Float32, G.WithShape(2, 2), G.WithName("x"), G.WithValue(x))))
		return g
	}
	for _, test := range []struct {
		name string
		run  func() error
		want string
	}{
		{"a pending transposition", func() error {
			// A vm.Machine would not come as far as the op.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			m := G.NewTapeMachine(sample(transposed))
			defer m.Close()
			defer m.Engines()[0].Context().Do(func() error { return nil }) // before that, Close may hang
			return m.RunAll()
		}, `Categorical#\d+: x is not contiguous in row-major order`},
		{"an empty array", func() error {
			x := G.NewMatrix(G.NewGraph(), tensor.Float32, G.WithShape(0, 3), G.WithName("x"))
			_, err := ops.StraightThrough(x)
			return err
		}, `StraightThrough#\d+: shape \(0, 3\) is empty`},
		{"a LispMachine", func() error {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			m := G.NewLispMachine(sample(square()), G.ExecuteFwdOnly())
			defer m.Close()
			return m.RunAll()
		}, `a LispMachine does not run on CUDA`},
	} {
		err := test.run()
		if err == nil || !regexp.MustCompile(test.want).MatchString(err.Error()) {
			t.Errorf("%s: error %v, want %s", test.name, err, test.want)
		}
	}
}
