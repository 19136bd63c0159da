package mpi

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// parameter is a tensor of a model.
type parameter struct {
	name        string
	value, grad G.Value
	err         error
}

func (p *parameter) Name() string           { return p.name }
func (p *parameter) Value() G.Value         { return p.value }
func (p *parameter) Grad() (G.Value, error) { return p.grad, p.err }

// newModel is a model with a matrix, an array of float64, a matrix in another order in
// memory, and two scalars. Each number is that of f.
func newModel(f func() float64) []G.ValueGrad {
	single := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(f())
		}
		return x
	}
	double := func(n int) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = f()
		}
		return x
	}
	columns := func() G.Value {
		return tensor.New(tensor.WithShape(2, 3), tensor.AsFortran(double(6)))
	}
	return []G.ValueGrad{
		&parameter{name: "w",
			value: tensor.New(tensor.WithShape(3, 5), tensor.WithBacking(single(15))),
			grad:  tensor.New(tensor.WithShape(3, 5), tensor.WithBacking(single(15)))},
		&parameter{name: "v", value: tensor.New(tensor.WithBacking(double(7))), grad: tensor.New(tensor.WithBacking(double(7)))},
		&parameter{name: "columns", value: columns(), grad: columns()},
		&parameter{name: "a", value: G.NewF32(float32(f())), grad: G.NewF32(float32(f()))},
		&parameter{name: "b", value: G.NewF64(f()), grad: G.NewF64(f())},
	}
}

// numbersOf returns all values or gradients of a model.
func numbersOf(t *testing.T, values []G.Value, n size, err error) vector {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	v := newVector(n)
	if err := v.pack(values); err != nil {
		t.Fatal(err)
	}
	return v
}

func gradientNumbers(t *testing.T, model []G.ValueGrad) vector {
	t.Helper()
	values, n, err := gradientsOf(model)
	return numbersOf(t, values, n, err)
}

func equal(a, b vector) bool {
	return slices.Equal(a.single, b.single) && slices.Equal(a.double, b.double)
}

// randomModel is a model of the numbers of a seed.
func randomModel(seed int) []G.ValueGrad {
	return newModel(rand.New(rand.NewPCG(uint64(seed), 1)).NormFloat64)
}

// integerModel is a model of small integers, whose sums are exact.
func integerModel(seed int) []G.ValueGrad {
	r := rand.New(rand.NewPCG(uint64(seed), 2))
	return newModel(func() float64 { return float64(r.IntN(1000)) })
}

func TestShare(t *testing.T) {
	for size := 1; size <= 9; size++ {
		for _, n := range []int{0, 1, 7, 100, 128} {
			next := 0
			for rank := range size {
				lo, hi := (&World{rank: rank, size: size}).Share(n)
				if lo != next || hi-lo < n/size || hi-lo > n/size+1 {
					t.Errorf("%d rows on %d ranks: rank %d has rows %d to %d", n, size, rank, lo, hi)
				}
				next = hi
			}
			if next != n {
				t.Errorf("%d rows on %d ranks: the shares end at %d", n, size, next)
			}
		}
	}
}

// checkWorld checks every call on a rank of a world. All ranks call it.
func checkWorld(t *testing.T, w *World) {
	if err := w.Barrier(); err != nil {
		t.Error(err)
	}
	x := []float64{1, float64(w.Rank()), 0.5}
	if err := w.Sum(x, nil); err != nil {
		t.Error(err)
	}
	n := float64(w.Size())
	if want := []float64{n, n * (n - 1) / 2, n / 2}; !slices.Equal(x, want) {
		t.Errorf("Sum returns %v, want %v", x, want)
	}
	if err := w.Sum(nil, nil); err != nil {
		t.Error(err)
	}

	model := integerModel(w.Rank())
	if err := w.SumGradients(model); err != nil {
		t.Error(err)
	}
	want := gradientNumbers(t, integerModel(0))
	for rank := 1; rank < w.Size(); rank++ {
		want.add(gradientNumbers(t, integerModel(rank)))
	}
	if got := gradientNumbers(t, model); !equal(got, want) {
		t.Errorf("SumGradients returns %v, want %v", got, want)
	}

	model = randomModel(w.Rank())
	if err := w.Broadcast(model); err != nil {
		t.Error(err)
	}
	values, size, err := valuesOf(model)
	got := numbersOf(t, values, size, err)
	values, size, err = valuesOf(randomModel(0))
	if want := numbersOf(t, values, size, err); !equal(got, want) {
		t.Errorf("Broadcast returns %v, want %v", got, want)
	}

	for _, n := range []int{0, 3, 3 << 20} {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i * 7 % 251)
		}
		mine := []byte("other data")
		if w.Rank() == 0 {
			mine = data
		}
		if got, err := w.BroadcastBytes(mine); err != nil || !slices.Equal(got, data) {
			t.Errorf("BroadcastBytes returns %d other bytes, error %v", len(got), err)
		}
	}

	for _, count := range []int{8, 32} {
		checkPieces(t, w, count)
	}

	// An error of ranks is one of all, and the next calls work.
	failed := w.Size() - 1
	err = nil
	if w.Rank() == failed {
		err = fmt.Errorf("image 17 is damaged")
	}
	x = []float64{1}
	err = w.Sum(x, err)
	var rank *RankError
	if w.Size() > 1 && (!errors.As(err, &rank) || rank.Rank != failed || err.Error() != fmt.Sprintf("rank %d: image 17 is damaged", failed)) {
		t.Errorf("the error is %v, want that of rank %d", err, failed)
	}
	if x[0] != 1 {
		t.Errorf("Sum with an error changes its array to %v", x)
	}
	if err := w.Barrier(); err != nil {
		t.Error(err)
	}
}

// checkPieces compares sums over pieces with one tree over all.
func checkPieces(t *testing.T, w *World, count int) {
	p, err := w.Pieces(count)
	if w.Size()&(w.Size()-1) != 0 {
		if err == nil {
			t.Errorf("no error for %d pieces on %d ranks", count, w.Size())
		}
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	tree := make([]vector, count)
	for i := range tree {
		tree[i] = gradientNumbers(t, randomModel(i))
	}
	for apart := 1; apart < count; apart *= 2 {
		for i := 0; i < count; i += 2 * apart {
			tree[i].add(tree[i+apart])
		}
	}
	for range 2 { // a second time with the memory of the first
		model := randomModel(-1)
		lo, hi := p.Mine()
		for i := lo; i < hi; i++ {
			if err := p.Add(randomModel(i)); err != nil {
				t.Error(err)
			}
		}
		if err := p.Add(model); err == nil {
			t.Error("no error for one piece too many")
		}
		if err := p.Sum(model); err != nil {
			t.Error(err)
		}
		if got := gradientNumbers(t, model); !equal(got, tree[0]) {
			t.Errorf("the sum of %d pieces on %d ranks differs from the tree's", count, w.Size())
		}
	}
}

func TestLocalWorlds(t *testing.T) {
	for _, size := range []int{1, 2, 3, 4, 8} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			worlds := newLocal(size)
			if size == 1 {
				worlds[0].comm = nil
			}
			run(worlds, func(w *World) { checkWorld(t, w) })
			run(worlds, func(w *World) {
				if err := errors.Join(w.Finalize(), w.Finalize()); err != nil {
					t.Error(err)
				}
				if err := w.Barrier(); size > 1 && err == nil {
					t.Error("no error for a call after Finalize")
				}
			})
			for _, w := range worlds {
				if r, ok := w.comm.(*localRank); ok && !r.finalized {
					t.Errorf("rank %d is not finalized", w.Rank())
				}
			}
		})
	}
}

// Ranks that make different calls all get an error that names one of them, and so does
// every later call.
func TestDifferentCalls(t *testing.T) {
	const advice = ": make the same calls with the same sizes on all ranks, and pass an error of one rank to Sum"
	for _, test := range []struct {
		others, last func(w *World) error // the call of the last rank, and that of the others
		want         string
	}{
		{func(w *World) error { return w.SumGradients(randomModel(0)) }, (*World).Finalize,
			"rank 2: calls Finalize where rank 0 calls SumGradients of 16 float32 and 14 float64" + advice},
		{(*World).Barrier, func(w *World) error { return w.Sum([]float64{1}, nil) }, "rank 2: calls Sum of 1 numbers where rank 0 calls Barrier" + advice},
		{func(w *World) error { return w.Sum(make([]float64, 2), nil) }, func(w *World) error { return w.Sum(make([]float64, 3), nil) },
			"rank 2: calls Sum of 3 numbers where rank 0 calls Sum of 2 numbers" + advice},
		{func(w *World) error { return w.Broadcast(randomModel(0)) }, func(w *World) error { return w.Broadcast(randomModel(0)[:1]) },
			"rank 2: calls Broadcast of 15 float32 and 0 float64 where rank 0 calls Broadcast of 16 float32 and 14 float64" + advice},
		{(*World).Barrier, func(w *World) error { return w.Sum(nil, errors.New("a disk is full")) }, "rank 2: a disk is full"},
	} {
		worlds := newLocal(3)
		run(worlds, func(w *World) {
			call := test.others
			if w.Rank() == 2 {
				call = test.last
			}
			var rank *RankError
			if err := call(w); !errors.As(err, &rank) || rank.Rank != 2 || err.Error() != test.want {
				t.Errorf("rank %d: error %v, want %q", w.Rank(), err, test.want)
			}
			if err := w.Barrier(); err == nil || err.Error() != test.want {
				t.Errorf("rank %d: the next call returns %v, want the same error", w.Rank(), err)
			}
		})
	}
}

// An error about a model on one rank is one of all, and names the tensor.
func TestBadModels(t *testing.T) {
	bad := func(change func(p *parameter)) []G.ValueGrad {
		model := randomModel(0)
		change(model[1].(*parameter))
		return model
	}
	for _, test := range []struct {
		model []G.ValueGrad
		want  string
	}{
		{bad(func(p *parameter) { p.grad = nil }), "the gradient of v is missing"},
		{bad(func(p *parameter) { p.grad, p.err = nil, errors.New("run first") }), "the gradient of v is missing: run first"},
		{bad(func(p *parameter) { p.grad = G.NewI(1) }), "the gradient of v has dtype int, want float32 or float64"},
		{[]G.ValueGrad{nil}, "the gradient of tensor 0 is missing"},
	} {
		worlds := newLocal(2)
		run(worlds, func(w *World) {
			model := randomModel(0)
			if w.Rank() == 1 {
				model = test.model
			}
			if err := w.SumGradients(model); err == nil || err.Error() != "rank 1: mpi: "+test.want {
				t.Errorf("rank %d: error %v, want %q", w.Rank(), err, test.want)
			}
		})
		p, err := worlds[0].Pieces(2)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Add(test.model); err == nil || err.Error() != "mpi: "+test.want {
			t.Errorf("Add: error %v, want %q", err, test.want)
		}
	}
}

func TestPiecesErrors(t *testing.T) {
	worlds := newLocal(2)
	for _, count := range []int{0, -1, 1, 3, 12} {
		if _, err := worlds[0].Pieces(count); err == nil || !strings.Contains(err.Error(), "want powers of two and at least one piece per rank") {
			t.Errorf("%d pieces: error %v", count, err)
		}
	}
	run(worlds, func(w *World) {
		p, err := w.Pieces(4)
		if err != nil {
			t.Error(err)
			return
		}
		if err := p.Add(randomModel(0)); err != nil {
			t.Error(err)
		}
		if err := p.Sum(randomModel(0)); err == nil || err.Error() != "rank 0: mpi: Pieces.Sum: 1 pieces were added, want the rank's 2" {
			t.Errorf("error %v", err)
		}
	})
}

// A panic passes through Finalize at once, because the other ranks may be waiting in a
// call that this rank will not make.
func TestFinalizeOfPanic(t *testing.T) {
	w := newLocal(2)[0]
	defer func() {
		if p := recover(); p != "a bug" {
			t.Errorf("the panic is %v", p)
		}
	}()
	defer w.Finalize()
	panic("a bug")
}

func TestLaunched(t *testing.T) {
	t.Setenv("OMPI_COMM_WORLD_SIZE", "")
	t.Setenv("PMI_SIZE", "")
	t.Setenv("SLURM_STEP_NUM_TASKS", "")
	if n := launched(); n != 1 {
		t.Errorf("%d processes without a launcher", n)
	}
	t.Setenv("SLURM_STEP_NUM_TASKS", "3")
	if n := launched(); n != 3 {
		t.Errorf("%d processes of 3", n)
	}
}
