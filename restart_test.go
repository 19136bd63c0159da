package gumbel_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// sourced builds a graph of several random nodes on a source. It is the same
// in every process.
func sourced(t *testing.T, src *ops.Source) *drawing {
	return newDrawing(t, tensor.Float32, tensor.Shape{4, 6}, make([]float64, 24), 0.6, func(logits, tau *G.Node) (nodes G.Nodes, err error) {
		for _, build := range []func() (*G.Node, error){
			func() (*G.Node, error) { return ops.GumbelSoftmax(logits, tau, ops.WithSource(src)) },
			func() (*G.Node, error) { return ops.Categorical(logits, ops.WithSource(src), ops.WithAxis(0)) },
			func() (*G.Node, error) {
				return ops.Gumbel(logits.Graph(), tensor.Float64, tensor.Shape{3}, ops.WithSource(src))
			},
		} {
			n, err := build()
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
		return nodes, nil
	})
}

// bitsOf writes three runs' samples, each bit of them.
func bitsOf(t *testing.T, d *drawing) string {
	var b strings.Builder
	for range 3 {
		for _, values := range d.run(t) {
			for _, v := range values {
				fmt.Fprintf(&b, "%016x", math.Float64bits(v))
			}
		}
	}
	return b.String()
}

const childState = "GUMBEL_TEST_SOURCE_STATE"

// Draw, marshal, build the same graph in a new process, unmarshal: the draws go
// on bit for bit.
func TestSourceSurvivesRestart(t *testing.T) {
	if state := os.Getenv(childState); state != "" {
		data, err := hex.DecodeString(state)
		if err != nil {
			t.Fatal(err)
		}
		src := ops.NewSource(0)
		d := sourced(t, src)
		if err := src.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("bits:%s\n", bitsOf(t, d))
		return
	}
	src := ops.NewSource(11)
	d := sourced(t, src)
	d.run(t)
	d.run(t)
	data, err := src.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestSourceSurvivesRestart$")
	child.Env = append(os.Environ(), childState+"="+hex.EncodeToString(data))
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := bitsOf(t, d); !strings.Contains(string(out), "bits:"+want+"\n") {
		t.Errorf("the new process draws otherwise:\n%s\nwant\n%s", out, want)
	}
}

// A state may be taken over before the graph is built, and taken again then.
func TestSourceUnmarshalFirst(t *testing.T) {
	src := ops.NewSource(12)
	d := sourced(t, src)
	d.run(t)
	data, err := src.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var other ops.Source
	if err := other.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	if again, err := other.MarshalBinary(); err != nil || !bytes.Equal(again, data) {
		t.Errorf("the state became %x, was %x: %v", again, data, err)
	}
	if got, want := bitsOf(t, sourced(t, &other)), bitsOf(t, d); got != want {
		t.Error("the draws do not go on")
	}
}

// A state taken before the graph was built takes it back to its start.
func TestSourceRewinds(t *testing.T) {
	src := ops.NewSource(14)
	start, err := src.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	d := sourced(t, src)
	want := bitsOf(t, d)
	if err := src.UnmarshalBinary(start); err != nil {
		t.Fatal(err)
	}
	if bitsOf(t, d) != want {
		t.Error("the draws do not begin again")
	}
}

func TestSourceBadState(t *testing.T) {
	src := ops.NewSource(13)
	d := sourced(t, src)
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
	d.run(t)
}
