package optest

import (
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

const childState = "GUMBEL_TEST_SOURCE_STATE"

// testRestart draws, saves the source, builds the same graph in a new process, which
// loads the source, and checks that the draws continue bit for bit there.
func testRestart(t *testing.T, rows []Row) {
	t.Run("restart", func(t *testing.T) {
		s := newRandomSuite(t, rows)
		s.runs(t, 2)
		child := exec.Command(os.Args[0], "-test.run=^"+strings.Split(t.Name(), "/")[0]+"$")
		child.Env = append(os.Environ(), childState+"="+state(t, s.source))
		want := s.bits(t)
		out, err := child.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if !strings.Contains(string(out), "bits:"+want+"\n") {
			t.Errorf("the new process prints\n%s\nwant\nbits:%s", out, want)
		}
	})
}

// restarted reports whether this process is the new one of testRestart, and does its
// part if it is.
func restarted(t *testing.T, rows []Row) bool {
	saved := os.Getenv(childState)
	if saved == "" {
		return false
	}
	data, err := hex.DecodeString(saved)
	if err != nil {
		t.Fatal(err)
	}
	s := newRandomSuite(t, rows)
	if err := s.source.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("bits:%s\n", s.bits(t))
	return true
}

// newRandomSuite holds the nodes of all random ops.
func newRandomSuite(t *testing.T, rows []Row) *suite {
	var nodes []Node
	for _, r := range rows {
		if !r.random() {
			continue
		}
		for _, n := range r.Nodes {
			n.Name = r.name() + " " + n.Name
			nodes = append(nodes, n)
		}
	}
	return newSuite(t, tensor.Float32, nodes, alongLast(3, 6))
}

// bits returns what three runs compute, in hexadecimal.
func (s *suite) bits(t *testing.T) string {
	var b strings.Builder
	for _, o := range s.runs(t, 3) {
		for _, array := range o {
			for _, v := range array {
				fmt.Fprintf(&b, "%016x", math.Float64bits(v))
			}
		}
	}
	return b.String()
}
