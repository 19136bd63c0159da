//go:build cuda && !windows

package cuda

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Package driver is initialised before the bindings, which end the program with a less
// helpful message.
func TestDriverIsInitialisedFirst(t *testing.T) {
	program := exec.Command(os.Args[0], "-test.run", "^$")
	program.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := program.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ours := strings.Index(string(out), "init github.com/gumbel-go/gumbel/internal/cuda/driver ")
	bindings := strings.Index(string(out), "init gorgonia.org/cu ")
	if ours < 0 || bindings < 0 || ours > bindings {
		t.Errorf("package driver at %d of the trace, gorgonia.org/cu at %d:\n%s", ours, bindings, out)
	}
}
