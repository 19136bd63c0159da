package mpi

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
	"github.com/gumbel-go/gumbel/solver"
	"github.com/gumbel-go/gumbel/vm"
)

// programKey is the environment variable that makes the test binary a rank of one of
// these programs.
const programKey = "GUMBEL_MPI_PROGRAM"

var programs = map[string]func(w *World) error{
	"hello": func(w *World) error { return w.Barrier() },
	"train": trainAll,
	"time":  timeAll,
	"error": func(w *World) error {
		return steps(w, func() error { return errors.New("image 17 is damaged") })
	},
	"return": func(w *World) error {
		for step := 0; ; step++ {
			if step == 3 && last(w) {
				return errors.New("a disk is full")
			}
			if err := w.SumGradients(randomModel(0)); err != nil {
				return err
			}
		}
	},
	"panic": func(w *World) error {
		return steps(w, func() error { panic("a bug") })
	},
	"nil": func(w *World) (err error) {
		defer func() {
			if p, ok := recover().(runtime.Error); ok {
				err = fmt.Errorf("recovered: %w", p)
			}
		}()
		return steps(w, func() error { return errors.New((*RankError)(nil).Err.Error()) })
	},
	"exit 0": func(w *World) error {
		return steps(w, func() error { os.Exit(0); return nil })
	},
	"exit 3": func(w *World) error {
		return steps(w, func() error { os.Exit(3); return nil })
	},
	"abort": func(w *World) error {
		return steps(w, func() error { w.Abort(7); return nil })
	},
	"kill": func(w *World) error {
		return steps(w, func() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	},
	"hang": func(w *World) error {
		w.Timeout = 2 * time.Second
		return steps(w, func() error { time.Sleep(time.Hour); return nil })
	},
	"hang before Finalize": func(w *World) error {
		w.Timeout = 2 * time.Second
		if last(w) {
			time.Sleep(time.Hour)
		}
		return nil
	},
}

// steps takes steps until one of them fails. On the last rank, step 3 is fault.
func steps(w *World, fault func() error) error {
	for step := 0; ; step++ {
		var err error
		if step == 3 && last(w) {
			err = fault()
		}
		if err := w.Sum([]float64{1}, err); err != nil {
			return err
		}
		if err := w.SumGradients(randomModel(0)); err != nil {
			return err
		}
	}
}

func last(w *World) bool { return w.Rank() == w.Size()-1 }

func TestMain(m *testing.M) {
	name := os.Getenv(programKey)
	switch program, ok := programs[name]; {
	case ok:
		os.Exit(rankMain(program))
	case name == "check": // see TestRank
		code := m.Run()
		if w, err := Init(); err != nil || w.Finalize() != nil {
			code = 1
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// rankMain is how a program should end: the rank that has an error prints it.
func rankMain(program func(w *World) error) (code int) {
	w, err := Init()
	if err != nil {
		fmt.Fprintln(os.Stderr, "program:", err)
		return 1
	}
	defer w.Finalize()
	err = program(w)
	if err == nil {
		return 0
	}
	if rank := (*RankError)(nil); !errors.As(err, &rank) || rank.Rank == w.Rank() {
		fmt.Fprintln(os.Stderr, "program:", err)
	}
	return 1
}

// TestRank runs on each rank of the program check.
func TestRank(t *testing.T) {
	if os.Getenv(programKey) != "check" {
		t.Skip("TestCalls starts it on several ranks")
	}
	w, err := Init()
	if err != nil {
		t.Fatal(err)
	}
	checkWorld(t, w)
}

// timeAll times calls on gradients of the size of the example's: see bench/mpi.
func timeAll(w *World) error {
	const elements = 1_221_180
	x := tensor.New(tensor.WithBacking(make([]float32, elements)))
	model := []G.ValueGrad{&parameter{name: "x", value: x, grad: x}}
	pieces, err := w.Pieces(w.Size())
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"Sum of 2 numbers", func() error { return w.Sum(make([]float64, 2), nil) }},
		{"SumGradients", func() error { return w.SumGradients(model) }},
		{"Pieces.Sum", func() error { return errors.Join(pieces.Add(model), pieces.Sum(model)) }},
	} {
		times := make([]time.Duration, 200)
		for i := range times {
			began := time.Now()
			if err := c.call(); err != nil {
				return err
			}
			times[i] = time.Since(began)
		}
		slices.Sort(times)
		if w.Rank() == 0 {
			fmt.Printf("%s: least %v, median %v\n", c.name, times[0], times[len(times)/2])
		}
	}
	return nil
}

// A training is a run of 50 steps of a small model with a categorical latent.
type training struct {
	Single    bool // float32, not float64
	Batch     int
	Hard      bool
	Pieces    int  // 0: each rank runs its share at once
	SameNoise bool // all ranks draw the noise of the first rows
}

func (c training) String() string {
	data, _ := json.Marshal(c)
	return string(data)
}

var trainings = []training{
	{Batch: 100}, {Batch: 100, Hard: true}, {Batch: 128}, {Batch: 128, Hard: true},
	{Batch: 128, Pieces: 8}, {Batch: 128, Pieces: 8, Hard: true}, {Batch: 128, Pieces: 8, Single: true},
	{Batch: 128, SameNoise: true},
}

// A step is the loss of a batch before its step, and the checksum of the weights after
// it.
type step struct {
	Loss     float64
	Checksum uint32
}

// trainAll runs all trainings, and rank 0 prints their steps.
func trainAll(w *World) error {
	all := map[string][]step{}
	for _, c := range trainings {
		if c.Pieces > 0 && w.Size()&(w.Size()-1) != 0 {
			continue
		}
		var err error
		if c.Single {
			all[c.String()], err = train[float32](w, c)
		} else {
			all[c.String()], err = train[float64](w, c)
		}
		if err != nil {
			return err
		}
	}
	if w.Rank() > 0 {
		return nil
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

const (
	trainingSteps           = 50
	pixels, latents, choice = 12, 4, 5
)

// A trainer is the graph of some rows of a batch.
type trainer[T float32 | float64] struct {
	source  *ops.Source
	machine *vm.Machine
	x       []T
	losses  G.Value
	model   []G.ValueGrad
}

func newTrainer[T float32 | float64](c training, rows int, seed uint64) (*trainer[T], error) {
	g := G.NewGraph()
	r := rand.New(rand.NewPCG(seed, 1))
	var zero T
	dt := tensor.New(tensor.WithBacking([]T{zero})).Dtype()
	t := &trainer[T]{source: ops.NewSource(5), x: make([]T, rows*pixels)}
	matrix := func(name string, rows, columns int, data []T) *G.Node {
		return G.NewMatrix(g, dt, G.WithShape(rows, columns), G.WithName(name),
			G.WithValue(tensor.New(tensor.WithShape(rows, columns), tensor.WithBacking(data))))
	}
	weights := func(name string, rows, columns int) *G.Node {
		data := make([]T, rows*columns)
		for i := range data {
			data[i] = T(r.NormFloat64() / 2)
		}
		return matrix(name, rows, columns, data)
	}
	x := matrix("x", rows, pixels, t.x)
	encode, decode := weights("encode", pixels, latents*choice), weights("decode", latents*choice, pixels)
	tau := G.NewScalar(g, dt, G.WithName("tau"), G.WithValue(T(0.7)))

	logits := G.Must(G.Mul(x, encode))
	opts := []ops.GumbelSoftmaxOption{ops.WithClasses(choice), ops.WithSource(t.source)}
	if c.Hard {
		opts = append(opts, ops.WithHard())
	}
	z, err := ops.GumbelSoftmax(logits, tau, opts...)
	if err != nil {
		return nil, err
	}
	bce, err := ops.BCEWithLogits(G.Must(G.Mul(z, decode)), x)
	if err != nil {
		return nil, err
	}
	kl, err := ops.CategoricalKL(logits, nil, ops.WithClasses(choice))
	if err != nil {
		return nil, err
	}
	total := G.Must(G.Add(G.Must(G.Sum(bce)), G.Must(G.Sum(kl))))
	cost := G.Must(G.Div(total, G.NewConstant(T(c.Batch))))
	G.Read(total, &t.losses)
	if _, err := G.Grad(cost, encode, decode); err != nil {
		return nil, err
	}
	gradients, err := vm.ReadGradients(encode, decode)
	if err != nil {
		return nil, err
	}
	t.model = gradients.ValueGrads()
	t.machine, err = vm.New(g)
	return t, err
}

// run computes the loss and the gradients of the rows of a step's batch from row on.
func (t *trainer[T]) run(c training, number, row int) (loss float64, err error) {
	for i := range t.x { // the pixels depend on the step and the row of the batch
		r := rand.NewPCG(uint64(number), uint64(row*pixels+i))
		t.x[i] = T(r.Uint64() >> 32 & 1)
	}
	t.source.Seek(uint64(number), uint64(row))
	if c.SameNoise {
		t.source.Seek(uint64(number), 0)
	}
	defer t.machine.Reset()
	if err := t.machine.RunAll(); err != nil {
		return 0, err
	}
	return float64(t.losses.Data().(T)), nil
}

func train[T float32 | float64](w *World, c training) (history []step, err error) {
	lo, hi := w.Share(c.Batch)
	rows, parts := hi-lo, 1
	var pieces *Pieces
	if c.Pieces > 0 {
		if pieces, err = w.Pieces(c.Pieces); err != nil {
			return nil, err
		}
		rows, parts = c.Batch/c.Pieces, c.Pieces
	}
	t, err := newTrainer[T](c, rows, uint64(w.Rank())) // weights differ until Broadcast
	if err != nil {
		return nil, err
	}
	defer t.machine.Close()
	if err := w.Broadcast(t.model); err != nil {
		return nil, err
	}
	adam, err := solver.NewAdam(solver.WithLearningRate(0.02))
	if err != nil {
		return nil, err
	}
	for number := range trainingSteps {
		losses := make([]float64, parts)
		var err error
		if pieces == nil {
			losses[0], err = t.run(c, number, lo)
		} else {
			err = t.runPieces(c, number, pieces, losses)
		}
		if err := w.Sum(losses, err); err != nil {
			return nil, err
		}
		if pieces == nil {
			err = w.SumGradients(t.model)
		} else {
			err = pieces.Sum(t.model)
		}
		if err != nil {
			return nil, err
		}
		if err := adam.Step(t.model); err != nil {
			return nil, err
		}
		s := step{Checksum: t.checksum()}
		for _, loss := range losses {
			s.Loss += loss / float64(c.Batch)
		}
		history = append(history, s)
		if err := sameOnAllRanks(w, s.Checksum); err != nil {
			return nil, fmt.Errorf("step %d: %w", number, err)
		}
	}
	return history, nil
}

func (t *trainer[T]) runPieces(c training, number int, p *Pieces, losses []float64) (err error) {
	lo, hi := p.Mine()
	for i := lo; i < hi; i++ {
		if losses[i], err = t.run(c, number, i*c.Batch/c.Pieces); err != nil {
			return err
		}
		if err := p.Add(t.model); err != nil {
			return err
		}
	}
	return nil
}

func (t *trainer[T]) checksum() uint32 {
	h := crc32.NewIEEE()
	for _, n := range t.model {
		if err := binary.Write(h, binary.LittleEndian, n.Value().Data()); err != nil {
			panic(err)
		}
	}
	return h.Sum32()
}

func sameOnAllRanks(w *World, checksum uint32) error {
	all := make([]float64, w.Size())
	all[w.Rank()] = float64(checksum)
	if err := w.Sum(all, nil); err != nil {
		return err
	}
	for rank, other := range all {
		if other != all[0] {
			return fmt.Errorf("the weights of rank %d differ from those of rank 0", rank)
		}
	}
	return nil
}
