package ops_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
	"github.com/gumbel-go/gumbel/vm"
)

// sampler builds a random node with the noise of a source. differentiable says
// whether it has gradients to x and tau.
type sampler struct {
	name           string
	differentiable bool
	build          func(x, tau *G.Node, src *ops.Source, l ops.DistributionOption) (*G.Node, error)
}

var samplers = []sampler{
	{"GumbelSoftmax", true, func(x, tau *G.Node, src *ops.Source, l ops.DistributionOption) (*G.Node, error) {
		return ops.GumbelSoftmax(x, tau, l, ops.WithSource(src))
	}},
	{"GumbelSoftmax, hard", true, func(x, tau *G.Node, src *ops.Source, l ops.DistributionOption) (*G.Node, error) {
		return ops.GumbelSoftmax(x, tau, l, ops.WithSource(src), ops.WithHard())
	}},
	{"straight-through softmax", true, func(x, tau *G.Node, src *ops.Source, l ops.DistributionOption) (*G.Node, error) {
		return ops.GumbelSoftmax(x, tau, l, ops.WithSource(src), ops.WithEstimator(ops.StraightThroughSoftmax()))
	}},
	{"Gumbel-Rao", true, func(x, tau *G.Node, src *ops.Source, l ops.DistributionOption) (*G.Node, error) {
		// Gumbel-Rao has no gradient to tau, so tau is a factor here.
		y, err := ops.GumbelSoftmax(x, tau, l, ops.WithSource(src), ops.WithEstimator(ops.GumbelRao(2)))
		if err != nil {
			return nil, err
		}
		return G.Mul(y, tau)
	}},
	{"RelaxedBernoulli", true, func(x, tau *G.Node, src *ops.Source, _ ops.DistributionOption) (*G.Node, error) {
		return ops.RelaxedBernoulli(x, tau, ops.WithSource(src))
	}},
	{"RelaxedBernoulli, log space", true, func(x, tau *G.Node, src *ops.Source, _ ops.DistributionOption) (*G.Node, error) {
		return ops.RelaxedBernoulli(x, tau, ops.WithSource(src), ops.WithLogSpace())
	}},
	{"RelaxedBernoulli, Gumbel-Rao", true, func(x, tau *G.Node, src *ops.Source, _ ops.DistributionOption) (*G.Node, error) {
		y, err := ops.RelaxedBernoulli(x, tau, ops.WithSource(src), ops.WithEstimator(ops.GumbelRao(2)))
		if err != nil {
			return nil, err
		}
		return G.Mul(y, tau)
	}},
	{"HardConcrete", true, func(x, tau *G.Node, src *ops.Source, _ ops.DistributionOption) (*G.Node, error) {
		return ops.HardConcrete(x, tau, ops.WithSource(src), ops.WithStretch(-0.3, 1.2))
	}},
	{"Categorical", false, func(x, _ *G.Node, src *ops.Source, l ops.DistributionOption) (*G.Node, error) {
		return ops.Categorical(x, l, ops.WithSource(src))
	}},
	{"Gumbel", false, func(x, _ *G.Node, src *ops.Source, _ ops.DistributionOption) (*G.Node, error) {
		return ops.Gumbel(x.Graph(), x.Dtype(), x.Shape(), ops.WithSource(src), ops.WithLoc(0.5), ops.WithScale(2))
	}},
	{"GumbelLike", false, func(x, _ *G.Node, src *ops.Source, _ ops.DistributionOption) (*G.Node, error) {
		return ops.GumbelLike(x, ops.WithSource(src))
	}},
}

var seekLayouts = []struct {
	shape  tensor.Shape
	option ops.DistributionOption
}{
	{tensor.Shape{37, 10}, ops.WithAxis(-1)},
	{tensor.Shape{37, 30}, ops.WithClasses(10)},
	{tensor.Shape{9, 1000}, ops.WithAxis(1)},
	{tensor.Shape{13, 5, 7}, ops.WithAxis(1)},
	{tensor.Shape{7, 70, 40}, ops.WithAxis(1)},
	{tensor.Shape{6, 3, 4, 5}, ops.WithAxis(-2)},
	{tensor.Shape{6, 3, 4, 5}, ops.WithAxis(3)},
}

// uneven cuts rows into 2 to 5 shares, the first of them smaller than the others.
func uneven(rows, shares int) []int {
	cuts := []int{0, 1}
	for i := 1; i < shares; i++ {
		cuts = append(cuts, 1+i*(rows-1)/(shares-1))
	}
	return cuts
}

// A rowBatch is the whole input of a node.
type rowBatch[T float32 | float64] struct {
	shape           tensor.Shape
	option          ops.DistributionOption
	logits, weights []T
}

func newRowBatch[T float32 | float64](shape tensor.Shape, option ops.DistributionOption) rowBatch[T] {
	r := rand.New(rand.NewPCG(1, 2))
	b := rowBatch[T]{shape: shape, option: option}
	for range shape.TotalSize() {
		b.logits, b.weights = append(b.logits, T(r.NormFloat64())), append(b.weights, T(r.NormFloat64()))
	}
	return b
}

// rows is what a node of rows [lo, hi) computes in a draw.
func (b rowBatch[T]) rows(t *testing.T, s sampler, lisp bool, draw uint64, lo, hi int) (y, gradient []T, tau T) {
	t.Helper()
	g, src := G.NewGraph(), ops.NewSource(7)
	shape := b.shape.Clone()
	size := shape.TotalSize() / shape[0]
	shape[0] = hi - lo
	var zero T
	dt := tensor.New(tensor.WithBacking([]T{zero})).Dtype()
	input := func(name string, data []T) *G.Node {
		v := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(data[lo*size:hi*size])))
		return G.NewTensor(g, dt, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(v))
	}
	x, w := input("x", b.logits), input("w", b.weights)
	tauNode := G.NewScalar(g, dt, G.WithName("tau"), G.WithValue(T(0.75)))
	node, err := s.build(x, tauNode, src, b.option)
	if err != nil {
		t.Fatal(err)
	}
	cost := G.Must(G.Sum(G.Must(G.HadamardProd(node, w))))
	var value G.Value
	G.Read(node, &value)
	src.Seek(draw, uint64(lo))
	if lisp {
		m := G.NewLispMachine(g)
		defer m.Close()
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		gx, err := x.Grad()
		if err != nil {
			t.Fatal(err)
		}
		return elements[T](value), elements[T](gx), 0
	}
	var gradients *vm.Gradients
	if s.differentiable {
		if _, err := G.Grad(cost, x, tauNode); err != nil {
			t.Fatal(err)
		}
		if gradients, err = vm.ReadGradients(x, tauNode); err != nil {
			t.Fatal(err)
		}
	}
	m := newMachine(t, g)
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	if s.differentiable {
		gx, err := gradients.ValueGrads()[0].Grad()
		if err != nil {
			t.Fatal(err)
		}
		gt, err := gradients.ValueGrads()[1].Grad()
		if err != nil {
			t.Fatal(err)
		}
		gradient, tau = elements[T](gx), elements[T](gt)[0]
	}
	return elements[T](value), gradient, tau
}

func elements[T float32 | float64](v G.Value) []T {
	switch data := v.Data().(type) {
	case []T:
		return slices.Clone(data)
	case T:
		return []T{data}
	}
	panic(fmt.Sprintf("%T holds no %T", v, *new(T)))
}

// The shares of a batch have the samples and gradients of the whole, bit for bit.
func TestSeekShares(t *testing.T) {
	t.Run("float32", testSeekShares[float32])
	t.Run("float64", testSeekShares[float64])
}

func testSeekShares[T float32 | float64](t *testing.T) {
	for _, s := range samplers {
		for i, l := range seekLayouts {
			if G.CUDA && i%3 != 0 {
				continue // opening a device takes a while
			}
			newRowBatch[T](l.shape, l.option).testShares(t, s, false)
		}
	}
}

func (b rowBatch[T]) testShares(t *testing.T, s sampler, lisp bool) {
	t.Helper()
	const draw = 1<<33 + 1
	rows := b.shape[0]
	y, gradient, tau := b.rows(t, s, lisp, draw, 0, rows)
	for shares := 2; shares <= 5; shares++ {
		if G.CUDA && shares != 3 {
			continue // opening a device takes a while
		}
		var gotY, gotGradient []T
		var gotTau T
		cuts := uneven(rows, shares)
		for i, lo := range cuts[:shares] {
			partY, partGradient, partTau := b.rows(t, s, lisp, draw, lo, cuts[i+1])
			gotY, gotGradient, gotTau = append(gotY, partY...), append(gotGradient, partGradient...), gotTau+partTau
		}
		name := fmt.Sprintf("%s of %v, cut at %v", s.name, b.shape, cuts)
		if !slices.Equal(gotY, y) {
			t.Errorf("%s: the samples differ from the whole's", name)
		}
		if !slices.Equal(gotGradient, gradient) {
			t.Errorf("%s: the gradients differ from the whole's", name)
		}
		if math.Abs(float64(gotTau-tau)) > 1e-4*(1+math.Abs(float64(tau))) {
			t.Errorf("%s: the gradient to tau is %v, want %v", name, gotTau, tau)
		}
	}
}

// seekNoise is Gumbel noise of 4 rows of 300 elements.
func seekNoise(t *testing.T, src *ops.Source) func() []float32 {
	t.Helper()
	g := G.NewGraph()
	var v G.Value
	y := G.Must(ops.Gumbel(g, tensor.Float32, tensor.Shape{4, 300}, ops.WithSource(src)))
	G.Must(G.Square(y)) // on a device, a Read needs a node there
	G.Read(y, &v)
	m := newMachine(t, g)
	return func() []float32 {
		t.Helper()
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		defer m.Reset()
		return elements[float32](v)
	}
}

// Rows far out have noise that continues from row to row and does not repeat.
func TestSeekFarRows(t *testing.T) {
	src := ops.NewSource(7)
	noise := seekNoise(t, src)
	seen := map[float32]uint64{}
	for _, row := range []uint64{0, 4, 1 << 20, 1 << 32, 1 << 40, 1 << 54} {
		src.Seek(0, row)
		here := noise()
		src.Seek(0, row+1)
		if next := noise(); !slices.Equal(next[:900], here[300:]) {
			t.Errorf("the rows from %d on differ from those after row %d", row+1, row)
		}
		for _, g := range here[:8] {
			if other, ok := seen[g]; ok {
				t.Errorf("rows %d and %d have the number %v", other, row, g)
			}
			seen[g] = row
		}
	}
}

// A source starts at draw 0 and row 0. A run takes the next draw and leaves the row.
// A Reset or another machine of the graph changes nothing.
func TestSeekDraws(t *testing.T) {
	src := ops.NewSource(3)
	noise := seekNoise(t, src)
	first, second, third := noise(), noise(), noise()
	src.Seek(0, 0)
	if !slices.Equal(noise(), first) {
		t.Error("Seek(0, 0) is not the start")
	}
	src.Seek(1, 1)
	if !slices.Equal(noise()[:900], second[300:]) {
		t.Error("Seek(1, 1) does not replay the second run from row 1 on")
	}
	if !slices.Equal(noise()[:900], third[300:]) {
		t.Error("the run after it is not at draw 2 and row 1")
	}
	other := ops.NewSource(3)
	other.Seek(2, 1)
	if !slices.Equal(seekNoise(t, other)()[:900], third[300:]) {
		t.Error("Seek does not apply to a node that is built after it")
	}
}

// The state holds the draws and not the row, so that it can be restored on any
// share of the batch. A spawned source starts at row 0.
func TestSeekState(t *testing.T) {
	src := ops.NewSource(3)
	noise := seekNoise(t, src)
	src.Seek(5, 2)
	state, err := json.Marshal(src)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"seed":3,"draws":[5],"spawned":0}`; string(state) != want {
		t.Errorf("the state is %s, want %s", state, want)
	}
	spawned := seekNoise(t, src.Spawn())()
	want := noise()
	for _, built := range []bool{true, false} {
		restored := ops.NewSource(0)
		var noise func() []float32
		if built {
			noise = seekNoise(t, restored)
		}
		restored.Seek(9, 1)
		if err := json.Unmarshal(state, restored); err != nil {
			t.Fatal(err)
		}
		if !built {
			noise = seekNoise(t, restored)
		}
		if !slices.Equal(noise()[300:], want[:900]) {
			t.Errorf("nodes built first %v: the restored source is not at draw 5 and row 1", built)
		}
	}
	unseeked := ops.NewSource(3)
	if !slices.Equal(seekNoise(t, unseeked.Spawn())(), spawned) {
		t.Error("Seek moves the sources that are spawned after it")
	}

	// Between a state and its nodes, Seek moves the nodes of the state.
	restored := ops.NewSource(0)
	if err := json.Unmarshal(state, restored); err != nil {
		t.Fatal(err)
	}
	restored.Seek(5, 1)
	if !slices.Equal(seekNoise(t, restored)()[300:], want[:900]) {
		t.Error("Seek after the state of nodes to build is not at draw 5 and row 1")
	}
}

func TestSeekErrors(t *testing.T) {
	const noRows = "want 0 because the array has no rows along its first axis: put the batch there, or build the node from another source"
	for _, test := range []struct {
		draw, row uint64
		build     func(x *G.Node, src *ops.Source) (*G.Node, error)
		want      string // in the error; empty: none
	}{
		{0, 1, categoricalAlong(0), "its source is at row 1, " + noRows},
		{0, 0, categoricalAlong(0), ""},
		{0, 1 << 60, categoricalAlong(1), ""},
		{0, 1 << 61, categoricalAlong(1), "its source is at row 2305843009213693952 of 4 elements, want fewer than 2⁶³ elements in all"},
		{0, math.MaxUint64, categoricalAlong(1), "want fewer than 2⁶³ elements in all"},
		{0, 2, func(x *G.Node, src *ops.Source) (*G.Node, error) {
			return ops.Gumbel(x.Graph(), tensor.Float64, tensor.Shape{}, ops.WithSource(src))
		}, noRows},
		{math.MaxInt64, 0, categoricalAlong(1), ""},
		{1 << 63, 0, categoricalAlong(1), "its source is at draw 9223372036854775808, want at most 9223372036854775807"},
		{0, 1, func(x *G.Node, _ *ops.Source) (*G.Node, error) { // given noise has no row
			return ops.Categorical(x, ops.WithAxis(0), ops.WithNoise(x))
		}, ""},
	} {
		g := G.NewGraph()
		src := ops.NewSource(1)
		x := G.NewMatrix(g, tensor.Float32, G.WithShape(3, 4), G.WithName("x"), G.WithInit(G.Zeroes()))
		if _, err := test.build(x, src); err != nil {
			t.Fatal(err)
		}
		src.Seek(test.draw, test.row)
		m := newMachine(t, g)
		for range 2 {
			err := m.RunAll()
			m.Reset()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("draw %d, row %d: error %v, want %q", test.draw, test.row, err, test.want)
			}
			if test.draw == math.MaxInt64 {
				break // the next run is at draw 2⁶³
			}
		}
	}
}

func categoricalAlong(axis int) func(*G.Node, *ops.Source) (*G.Node, error) {
	return func(x *G.Node, src *ops.Source) (*G.Node, error) {
		return ops.Categorical(x, ops.WithAxis(axis), ops.WithSource(src))
	}
}

// If the batch is not the first axis, transposed noise of a node that has it first
// has the noise of the whole: here (time, batch, classes).
func TestSeekTimeMajor(t *testing.T) {
	const steps, batch, classes = 5, 8, 3
	rows := func(lo, hi int) (samples [][]float64) {
		g, src := G.NewGraph(), ops.NewSource(3)
		x := G.NewTensor(g, tensor.Float64, 3, G.WithShape(steps, hi-lo, classes), G.WithName("x"), G.WithInit(G.Zeroes()))
		tau := G.NewScalar(g, tensor.Float64, G.WithName("tau"), G.WithValue(0.5))
		noise := G.Must(ops.Gumbel(g, tensor.Float64, tensor.Shape{hi - lo, steps, classes}, ops.WithSource(src)))
		y := G.Must(ops.GumbelSoftmax(x, tau, ops.WithNoise(G.Must(G.Transpose(noise, 1, 0, 2)))))
		G.Must(G.Square(y)) // on a device, a Read needs a node there
		var v G.Value
		G.Read(y, &v)
		src.Seek(9, uint64(lo))
		if err := newMachine(t, g).RunAll(); err != nil {
			t.Fatal(err)
		}
		all := elements[float64](v)
		for b := range hi - lo {
			var sample []float64
			for i := range steps {
				at := (i*(hi-lo) + b) * classes
				sample = append(sample, all[at:at+classes]...)
			}
			samples = append(samples, sample)
		}
		return samples
	}
	whole := rows(0, batch)
	for b, sample := range append(rows(0, 3), rows(3, batch)...) {
		if !slices.Equal(sample, whole[b]) {
			t.Errorf("row %d is %v, want %v", b, sample, whole[b])
		}
	}
}
