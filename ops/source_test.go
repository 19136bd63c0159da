package ops_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
	"github.com/gumbel-go/gumbel/vm"
)

// noiseGraph is a graph of two random nodes of a source.
type noiseGraph struct {
	machine G.VM
	values  [2]G.Value
}

func newNoiseGraph(t *testing.T, src *ops.Source) *noiseGraph {
	t.Helper()
	g := G.NewGraph()
	n := &noiseGraph{}
	for i := range n.values {
		y, err := ops.Gumbel(g, tensor.Float64, tensor.Shape{3}, ops.WithSource(src))
		if err != nil {
			t.Fatal(err)
		}
		G.Must(G.Square(y)) // on a device, a Read needs a node there
		G.Read(y, &n.values[i])
	}
	n.machine = newMachine(t, g)
	return n
}

func (n *noiseGraph) draw(t *testing.T) []float64 {
	t.Helper()
	if err := n.machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	defer n.machine.Reset()
	return slices.Concat(n.values[0].Data().([]float64), n.values[1].Data().([]float64))
}

// codecs write a source, as a pointer and as a copy in a struct, and read it into
// another one.
var codecs = map[string]func(from, to *ops.Source) error{
	"binary": func(from, to *ops.Source) error {
		data, err := from.MarshalBinary()
		if err != nil {
			return err
		}
		return to.UnmarshalBinary(data)
	},
	"JSON": func(from, to *ops.Source) error {
		data, err := json.Marshal(struct{ S *ops.Source }{from})
		if err != nil {
			return err
		}
		return json.Unmarshal(data, &struct{ S *ops.Source }{to})
	},
	"JSON of a copy": func(from, to *ops.Source) error {
		data, err := json.Marshal(struct{ S ops.Source }{*from})
		if err != nil {
			return err
		}
		return json.Unmarshal(data, &struct{ S *ops.Source }{to})
	},
	"gob": func(from, to *ops.Source) error {
		var data bytes.Buffer
		if err := gob.NewEncoder(&data).Encode(struct{ S *ops.Source }{from}); err != nil {
			return err
		}
		return gob.NewDecoder(&data).Decode(&struct{ S *ops.Source }{to})
	},
	"gob of a copy": func(from, to *ops.Source) error {
		var data bytes.Buffer
		if err := gob.NewEncoder(&data).Encode(struct{ S ops.Source }{*from}); err != nil {
			return err
		}
		return gob.NewDecoder(&data).Decode(&struct{ S *ops.Source }{to})
	},
}

// Every codec carries the whole state: the draws continue bit for bit, whether the
// state is restored before the graph is built or after, and so do spawned sources.
func TestSourceCodecs(t *testing.T) {
	for name, codec := range codecs {
		for _, built := range []bool{false, true} {
			src := ops.NewSource(42)
			g := newNoiseGraph(t, src)
			g.draw(t)
			src.Spawn()
			var other ops.Source
			var h *noiseGraph
			if built {
				h = newNoiseGraph(t, &other)
				h.draw(t)
				h.draw(t)
			}
			if err := codec(src, &other); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !built {
				h = newNoiseGraph(t, &other)
			}
			if got, want := h.draw(t), g.draw(t); !slices.Equal(got, want) {
				t.Errorf("%s, graph built first %v: draws %v, want %v", name, built, got, want)
			}
			if got, want := newNoiseGraph(t, other.Spawn()).draw(t), newNoiseGraph(t, src.Spawn()).draw(t); !slices.Equal(got, want) {
				t.Errorf("%s: a spawned source draws %v, want %v", name, got, want)
			}
		}
	}
}

// A source that serves graphs without end keeps a small state and never repeats a
// draw, not even in a new process.
func TestSpawn(t *testing.T) {
	src := ops.NewSource(7)
	own := newNoiseGraph(t, src)
	seen := map[float64]bool{}
	check := func(draws []float64) {
		t.Helper()
		for _, v := range draws {
			if seen[v] {
				t.Fatalf("the draw %v repeats", v)
			}
			seen[v] = true
		}
	}
	for range 20 {
		check(own.draw(t))
		check(newNoiseGraph(t, src.Spawn()).draw(t))
	}
	for range 100_000 {
		src.Spawn()
	}
	state, err := src.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if len(state) > 100 {
		t.Errorf("the state has %d bytes", len(state))
	}
	resumed := ops.NewSource(0)
	if err := resumed.UnmarshalBinary(state); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		check(newNoiseGraph(t, resumed.Spawn()).draw(t))
	}
}

// A state of more nodes than are then built is an error at the first draw.
func TestSourceStateOfMoreNodes(t *testing.T) {
	src := ops.NewSource(1)
	newNoiseGraph(t, src)
	newNoiseGraph(t, src)
	state, err := src.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var other ops.Source
	if err := other.UnmarshalBinary(state); err != nil {
		t.Fatal(err)
	}
	g := newNoiseGraph(t, &other)
	if err := g.machine.RunAll(); err == nil || !strings.Contains(err.Error(), "has 2 nodes more than were built") {
		t.Errorf("error %v", err)
	}
	g.machine.Reset()
	newNoiseGraph(t, &other)
	g.draw(t)
}

// A state of the first version, which had no count of spawned sources.
func TestSourceVersion1(t *testing.T) {
	data := append([]byte("gumbel.Source\x01"), 42, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0)
	var src ops.Source
	if err := src.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(src); err != nil || string(got) != `{"seed":42,"draws":[3,4],"spawned":0}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestSourceBadJSON(t *testing.T) {
	src := ops.NewSource(3)
	for _, text := range []string{
		`{}`, `null`, `[]`, `{"seed":1,"draws":[]}`, `{"seed":-1,"draws":[],"spawned":0}`, `{"seed":1,"draws":[0.5],"spawned":0}`,
		`{"seed":1,"draws":[9223372036854775808],"spawned":0}`, `{"seed":1,"draws":[],"spawned":0,"more":1}`,
	} {
		if err := src.UnmarshalJSON([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "ops: Source: ") {
			t.Errorf("%s: error %v", text, err)
		}
	}
	if got, _ := json.Marshal(src); string(got) != `{"seed":3,"draws":[],"spawned":0}` {
		t.Errorf("a bad state changed the source to %s", got)
	}
}

func newMachine(t *testing.T, g *G.ExprGraph) G.VM {
	t.Helper()
	m, err := vm.New(g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// A state that was taken before the graph was built takes the source back to its start.
func TestSourceRewinds(t *testing.T) {
	src := ops.NewSource(14)
	start, err := src.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	n := newNoiseGraph(t, src)
	want := n.draw(t)
	n.draw(t)
	if err := src.UnmarshalBinary(start); err != nil {
		t.Fatal(err)
	}
	if got := n.draw(t); !slices.Equal(got, want) {
		t.Errorf("the draw is %v, want the first one, %v", got, want)
	}
}

func TestSourceBadState(t *testing.T) {
	src := ops.NewSource(13)
	n := newNoiseGraph(t, src)
	good, err := src.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	huge := slices.Clone(good)
	huge[len(huge)-1] = 0x80
	flipped := slices.Clone(good)
	flipped[0] ^= 1
	for name, data := range map[string][]byte{
		"nil": nil, "short": good[:10], "truncated": good[:len(good)-1], "a node less": good[:len(good)-8],
		"too long": append(slices.Clone(good), 0), "foreign": flipped, "of too many draws": huge,
	} {
		if err := src.UnmarshalBinary(data); err == nil || !strings.HasPrefix(err.Error(), "ops: Source: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if after, _ := src.MarshalBinary(); !bytes.Equal(after, good) {
		t.Error("a bad state changed the source")
	}
	n.draw(t)
}
