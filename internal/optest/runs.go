package optest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// testRuns runs all nodes of the row, again and again, in the ways of Gorgonia's users.
func (r Row) testRuns(t *testing.T, dt tensor.Dtype) {
	l := alongLast(7, 6)
	build := func() *suite { return newSuite(t, dt, r.Nodes, l) }
	want := build().runs(t, 6)
	if r.random() && slices.EqualFunc(want[0], want[1], slices.Equal[[]float64]) {
		t.Error("the second run draws what the first one drew")
	}

	t.Run("machines in turn", func(t *testing.T) {
		s := build()
		machines := []G.VM{newMachine(t, s.graph), newMachine(t, s.graph)}
		for i, which := range []int{0, 1, 1, 0, 1, 0} {
			s.equal(t, fmt.Sprint("run ", i), s.run(t, machines[which]), want[i])
		}
	})
	t.Run("values that were read", func(t *testing.T) {
		s := build()
		m := newMachine(t, s.graph)
		first := s.run(t, m)
		kept := slices.Clone(s.reads)
		clear(s.reads) // Gorgonia reads into the same memory otherwise
		s.equal(t, "the second run", s.run(t, m), want[1])
		s.run(t, m)
		for i, v := range kept {
			if got := elements(v); !slices.Equal(got, first[i]) {
				t.Errorf("later runs changed what G.Read returned: %s is %v, was %v", s.names[i], got, first[i])
			}
		}
	})
	t.Run("a second run without Reset", func(t *testing.T) {
		s := build()
		m := newMachine(t, s.graph)
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		before := state(t, s.source)
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		s.equal(t, "a run without Reset", s.outcome(), want[0])
		if state(t, s.source) != before {
			t.Error("a second run without Reset draws")
		}
		m.Reset()
		s.equal(t, "a run after Reset", s.run(t, m), want[1])
	})
	t.Run("inputs", func(t *testing.T) { testInputs(t, build(), want[0]) })
	t.Run("watches", func(t *testing.T) {
		if G.CUDA {
			t.Skip("vm.New refuses watches")
		}
		// Gorgonia's watches panic, on a goroutine of the machine, at a value of a
		// kind that they do not know.
		for _, watch := range []G.VMOpt{G.WithNaNWatch(), G.WithInfWatch()} {
			s := build()
			s.equal(t, "a watched run", s.runs(t, 1, watch)[0], want[0])
		}
	})
	t.Run("nodes of one call do not merge", func(t *testing.T) { r.testMerging(t, dt, l) })
	if !G.CUDA {
		t.Run("dual values", func(t *testing.T) { testDualValues(t, build(), want) })
	}
}

// testInputs checks that runs leave bound inputs as they are, whatever follows our
// nodes, in training and in evaluation: Gorgonia overwrites the inputs of its nodes
// where it may.
func testInputs(t *testing.T, s *suite, _ outcome) {
	for _, n := range s.nodes {
		z := G.Must(G.Add(n, G.Must(G.Tanh(n))))
		G.Read(G.Must(G.Square(G.Must(G.Add(z, n)))), new(G.Value)) // see total
	}
	var before outcome
	for _, in := range s.inputs {
		before = append(before, elements(in.Value()))
	}
	options := []G.VMOpt{G.EvalMode()}
	if !G.CUDA { // where vm.New refuses it
		options = append(options, G.TraceExec())
	}
	for _, option := range options {
		s.runs(t, 3, option)
		for i, in := range s.inputs {
			if got := elements(in.Value()); !slices.Equal(got, before[i]) {
				t.Errorf("%s became %v, was %v", in.Name(), got, before[i])
			}
		}
	}
}

// testMerging checks that two nodes built by the same calls are two: Gorgonia merges
// nodes with equal hashes, its random nodes among them.
func (r Row) testMerging(t *testing.T, dt tensor.Dtype, l Layout) {
	var twice []Node
	for _, n := range r.Nodes {
		twice = append(twice, n, n)
	}
	s := newSuite(t, dt, twice, l)
	hashes := map[uint32]*G.Node{}
	var values []int // the places of the nodes' values
	for i, n := range s.nodes {
		if other, ok := hashes[n.Hashcode()]; ok && other != n {
			t.Errorf("%s and %v have one hash", s.names[i], other)
		}
		hashes[n.Hashcode()] = n
		if slices.ContainsFunc(twice, func(n Node) bool { return n.Name == s.names[i] }) {
			values = append(values, i)
		}
	}
	o := s.runs(t, 1)[0]
	for i := 0; i < len(values); i += 2 {
		name, a, b := s.names[values[i]], o[values[i]], o[values[i+1]]
		if draws := r.draws(name, t, dt, l); slices.Equal(a, b) == draws {
			t.Errorf("two nodes of %s have the values %v and %v", name, a, b)
		}
	}
}

// draws reports whether a node of the row draws from the source.
func (r Row) draws(name string, t *testing.T, dt tensor.Dtype, l Layout) bool {
	i := slices.IndexFunc(r.Nodes, func(n Node) bool { return n.Name == name })
	src := ops.NewSource(1)
	before := state(t, src)
	r.Nodes[i].Build(newBuilder(G.NewGraph(), dt, l, src))
	return state(t, src) != before
}

// testDualValues checks the gradients that BindDualValues copies for a solver, which
// later runs add to.
func testDualValues(t *testing.T, s *suite, want []outcome) {
	var wrt G.Nodes
	var places []int
	for i, n := range s.nodes {
		if of := n.DerivOf(); len(of) == 1 && of[0].IsVar() {
			wrt, places = append(wrt, of[0]), append(places, i)
		}
	}
	if len(wrt) == 0 {
		return
	}
	m := newMachine(t, s.graph, G.BindDualValues(wrt...))
	s.run(t, m)
	var first outcome
	for i, n := range wrt {
		grad, err := n.Grad()
		if err != nil {
			t.Fatal(err)
		}
		first = append(first, elements(grad))
		if !slices.Equal(first[i], want[0][places[i]]) {
			t.Errorf("the dual value of %s is %v, want %v", n.Name(), first[i], want[0][places[i]])
		}
	}
	s.run(t, m)
	for i, n := range wrt {
		grad, err := n.Grad()
		if err != nil {
			t.Fatal(err)
		}
		for j, v := range elements(grad) {
			if sum := first[i][j] + want[1][places[i]][j]; math.Abs(v-sum) > 1e-6*(1+math.Abs(sum)) {
				t.Fatalf("after two runs the dual value of %s is %v, want %v", n.Name(), v, sum)
			}
		}
	}
}
