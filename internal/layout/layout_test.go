package layout

import (
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func TestAlong(t *testing.T) {
	for _, test := range []struct {
		shape           tensor.Shape
		axis, classes   int
		outer, k, inner int
		reduced         tensor.Shape
	}{
		{tensor.Shape{5}, 0, 0, 1, 5, 1, tensor.Shape{}},
		{tensor.Shape{5}, -1, 0, 1, 5, 1, tensor.Shape{}},
		{tensor.Shape{2, 3}, 0, 0, 1, 2, 3, tensor.Shape{3}},
		{tensor.Shape{2, 3, 4}, -2, 0, 2, 3, 4, tensor.Shape{2, 4}},
		{tensor.Shape{2, 3, 4, 5}, 3, 0, 24, 5, 1, tensor.Shape{2, 3, 4}},
		{tensor.Shape{2, 12}, -1, 4, 6, 4, 1, tensor.Shape{2, 3}},
		{tensor.Shape{12}, 0, 12, 1, 12, 1, tensor.Shape{1}},
		{tensor.Shape{0, 3}, 1, 0, 0, 3, 1, tensor.Shape{0}},
	} {
		d, err := Along(test.shape, test.axis, test.classes)
		if err != nil {
			t.Errorf("%v axis %d: %v", test.shape, test.axis, err)
			continue
		}
		if d.Outer != test.outer || d.Classes != test.k || d.Inner != test.inner || !slices.Equal(d.Reduced(), test.reduced) {
			t.Errorf("%v axis %d classes %d: %d×%d×%d, reduced %v", test.shape, test.axis, test.classes, d.Outer, d.Classes, d.Inner, d.Reduced())
		}
	}
}

func TestBlocks(t *testing.T) {
	for _, test := range []struct {
		shape         tensor.Shape
		axis, classes int
		blocks        int
		perBlock      tensor.Shape
	}{
		{tensor.Shape{5}, -1, 0, 1, tensor.Shape{}},
		{tensor.Shape{2, 3, 4}, 1, 0, 1, tensor.Shape{}},
		{tensor.Shape{12}, -1, 4, 3, tensor.Shape{3}},
		{tensor.Shape{2, 3, 12}, -1, 4, 3, tensor.Shape{3}},
		{tensor.Shape{2, 4}, -1, 4, 1, tensor.Shape{1}},
		{tensor.Shape{2, 0}, -1, 4, 0, tensor.Shape{0}},
		{tensor.Shape{0, 8}, -1, 4, 2, tensor.Shape{2}},
	} {
		d, err := Along(test.shape, test.axis, test.classes)
		if err != nil {
			t.Errorf("%v axis %d: %v", test.shape, test.axis, err)
			continue
		}
		if d.Blocks() != test.blocks || !slices.Equal(d.PerBlock(), test.perBlock) {
			t.Errorf("%v axis %d classes %d: %d blocks, per block %v", test.shape, test.axis, test.classes, d.Blocks(), d.PerBlock())
		}
	}
}

func TestAlongErrors(t *testing.T) {
	for _, test := range []struct {
		shape         tensor.Shape
		axis, classes int
		want          string
	}{
		{tensor.Shape{}, -1, 0, "scalar"},
		{tensor.Shape{2, 3}, 2, 0, "out of range"},
		{tensor.Shape{2, 3}, -3, 0, "out of range"},
		{tensor.Shape{2, 3}, 0, 2, "last axis"},
		{tensor.Shape{2, 3}, 1, 2, "do not divide"},
	} {
		if _, err := Along(test.shape, test.axis, test.classes); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v axis %d classes %d: %v", test.shape, test.axis, test.classes, err)
		}
	}
}

func TestCoordinates(t *testing.T) {
	columns, _ := Along(tensor.Shape{2, 3}, 0, 0)
	blocks, _ := Along(tensor.Shape{2, 6}, 1, 3)
	for _, test := range []struct{ got, want string }{
		{Coordinates(tensor.Shape{4, 2, 3}, 23), "[3,1,2]"},
		{Coordinates(tensor.Shape{}, 0), ""},
		{columns.Element(4), "[1,1]"},
		{columns.Whole(1), "[:,1]"},
		{blocks.Whole(9), "[1,3:6]"},
	} {
		if test.got != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
	}
}

func TestSlice(t *testing.T) {
	data := func() []float64 { return []float64{0, 1, 2, 3, 4, 5} }
	matrix := func() *tensor.Dense { return tensor.New(tensor.WithShape(2, 3), tensor.WithBacking(data())) }
	transposed := matrix()
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	view := func(slices ...tensor.Slice) *tensor.Dense {
		v, err := matrix().Slice(slices...)
		if err != nil {
			t.Fatal(err)
		}
		return v.(*tensor.Dense)
	}
	fortran := tensor.New(tensor.WithShape(2, 3), tensor.AsFortran(data()))
	if stored := fortran.Data().([]float64); !slices.Equal(stored, []float64{0, 3, 1, 4, 2, 5}) {
		t.Fatalf("the column-major tensor is stored as %v", stored)
	}
	for name, test := range map[string]struct {
		value G.Value
		shape tensor.Shape
		want  []float64
	}{
		"rows":          {matrix(), tensor.Shape{2, 3}, data()},
		"transposed":    {transposed, tensor.Shape{3, 2}, []float64{0, 3, 1, 4, 2, 5}},
		"columns":       {view(nil, G.S(0, 2)), tensor.Shape{2, 2}, []float64{0, 1, 3, 4}},
		"row range":     {view(G.S(1, 2)), tensor.Shape{3}, []float64{3, 4, 5}},
		"a column":      {view(nil, G.S(1)), tensor.Shape{2}, []float64{1, 4}},
		"column-major":  {fortran, tensor.Shape{2, 3}, data()},
		"a float":       {G.NewF64(7), tensor.Shape{}, []float64{7}},
		"no dimensions": {tensor.New(tensor.FromScalar(8.0)), tensor.Shape{}, []float64{8}},
		"one row":       {tensor.New(tensor.WithShape(1, 3), tensor.WithBacking(data()[:3])), tensor.Shape{1, 3}, []float64{0, 1, 2}},
		"empty":         {tensor.New(tensor.WithShape(0, 3), tensor.Of(tensor.Float64)), tensor.Shape{0, 3}, nil},
	} {
		got, err := Slice[float64](test.value, test.shape)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, test.want)
		}
	}
}

func TestSliceErrors(t *testing.T) {
	for name, test := range map[string]struct {
		value G.Value
		shape tensor.Shape
	}{
		"nil":           {nil, tensor.Shape{}},
		"another dtype": {tensor.New(tensor.WithShape(2), tensor.Of(tensor.Float32)), tensor.Shape{2}},
		"another float": {G.NewF32(1), tensor.Shape{}},
		"an int":        {G.NewI64(1), tensor.Shape{}},
		"a float for 2": {G.NewF64(1), tensor.Shape{2}},
		"another shape": {tensor.New(tensor.WithShape(2), tensor.Of(tensor.Float64)), tensor.Shape{3}},
		"masked":        {tensor.New(tensor.WithShape(2), tensor.WithBacking([]float64{1, 2}), tensor.WithMask([]bool{true, false})), tensor.Shape{2}},
	} {
		if got, err := Slice[float64](test.value, test.shape); err == nil {
			t.Errorf("%s: %v, want an error", name, got)
		}
	}
}

func TestValue(t *testing.T) {
	for _, test := range []struct {
		shape tensor.Shape
		data  []float32
	}{{tensor.Shape{}, []float32{3}}, {tensor.Shape{2, 1}, []float32{1, 2}}, {tensor.Shape{0, 4}, nil}} {
		v := Value(test.shape, test.data)
		got, err := Slice[float32](v, test.shape)
		if err != nil || !slices.Equal(got, test.data) || !slices.Equal(v.Shape(), test.shape) || v.Dtype() != tensor.Float32 {
			t.Errorf("%v: value %v of shape %v: %v", test.shape, got, v.Shape(), err)
		}
	}
}

func TestAccumulate(t *testing.T) {
	add := func(sum []float64) {
		for i := range sum {
			sum[i] += float64(i + 1)
		}
	}
	scalar := G.NewF64(1)
	plain := tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]float64{10, 20, 30, 40}))
	transposed := tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]float64{10, 20, 30, 40}))
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		value G.Value
		shape tensor.Shape
		want  []float64
	}{
		{scalar, tensor.Shape{}, []float64{2}},
		{tensor.New(tensor.FromScalar(5.0)), tensor.Shape{}, []float64{6}},
		{plain, tensor.Shape{2, 2}, []float64{11, 22, 33, 44}},
		{transposed, tensor.Shape{2, 2}, []float64{11, 32, 23, 44}},
	} {
		if err := Accumulate(test.value, test.shape, add); err != nil {
			t.Fatal(err)
		}
		if got, _ := Slice[float64](test.value, test.shape); !slices.Equal(got, test.want) {
			t.Errorf("sum %v, want %v", got, test.want)
		}
	}
}

func TestCheckRaw(t *testing.T) {
	matrix := func(shape ...int) *tensor.Dense {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking([]float64{1, 2, 3, 4, 5, 6}))
	}
	pending := matrix(3, 2)
	if err := pending.T(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		value any
		want  string
	}{
		{nil, ""},
		{matrix(2, 3), ""},
		{pending, "x is not contiguous in row-major order"},
		{0.5, "x has shape (), want (2, 3)"},
		{pending.Materialize(), ""},
	} {
		x := G.NewMatrix(G.NewGraph(), tensor.Float64, G.WithShape(2, 3), G.WithName("x"))
		if test.value != nil {
			if err := G.Let(x, test.value); err != nil {
				t.Fatal(err)
			}
		}
		if err := CheckRaw(x); (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%v: error %v, want %q", test.value, err, test.want)
		}
	}
	tau := G.NewScalar(G.NewGraph(), tensor.Float64, G.WithName("tau"))
	if err := G.Let(tau, float32(1)); err != nil {
		t.Skip("Gorgonia now refuses it:", err)
	}
	if err := CheckRaw(tau); err == nil || err.Error() != "tau holds float32, want float64" {
		t.Errorf("error %v", err)
	}
}
