//go:build mpi

package mpi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// These tests start the test binary on several ranks. MPIRUN is the launcher, by
// default mpirun, and OTHER_BINARIES lists test binaries of other builds.

// A result is what a launched program leaves.
type result struct {
	code           int
	stdout, stderr string
}

// launch runs a program of a test binary on some ranks. The test fails if the program
// takes longer than limit.
func launch(t *testing.T, limit time.Duration, binary string, ranks int, program string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	command := exec.CommandContext(ctx, cmp.Or(os.Getenv("MPIRUN"), "mpirun"), "-np", fmt.Sprint(ranks), binary, "-test.run=^TestRank$")
	command.Env = append(os.Environ(), programKey+"="+program, "GOMAXPROCS=1",
		// For Open MPI: run as root, and more ranks than cores, without binding.
		"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
		"OMPI_MCA_rmaps_base_oversubscribe=1", "OMPI_MCA_hwloc_base_binding_policy=none")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	command.WaitDelay = 5 * time.Second
	began := time.Now()
	err := command.Run()
	t.Logf("%s on %d ranks: %v, %.1f s", program, ranks, err, time.Since(began).Seconds())
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	if ctx.Err() != nil {
		t.Fatalf("%s on %d ranks hangs for more than %v:\n%s", program, ranks, limit, r.stderr)
	}
	return r
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

const limit = 60 * time.Second

func TestCalls(t *testing.T) {
	for _, ranks := range []int{1, 2, 3, 4} {
		if r := launch(t, limit, self(t), ranks, "check"); r.code != 0 {
			t.Errorf("%d ranks: exit code %d\n%s%s", ranks, r.code, r.stdout, r.stderr)
		}
	}
}

// The losses are those of one rank, except for rounding; with pieces they have the same
// bits, and so do the weights.
func TestTrainingCurves(t *testing.T) {
	run := func(ranks int) (curves map[string][]step) {
		t.Helper()
		r := launch(t, limit, self(t), ranks, "train")
		if r.code != 0 {
			t.Fatalf("%d ranks: exit code %d\n%s", ranks, r.code, r.stderr)
		}
		if err := json.Unmarshal([]byte(r.stdout), &curves); err != nil {
			t.Fatal(err)
		}
		return curves
	}
	one := run(1)
	for _, ranks := range []int{2, 3, 4, 8} {
		curves := run(ranks)
		for _, c := range trainings {
			curve, want := curves[c.String()], one[c.String()]
			if c.Pieces > 0 && ranks == 3 {
				continue
			}
			if len(curve) != trainingSteps || len(want) != trainingSteps {
				t.Fatalf("%v on %d ranks: %d steps and %d, want %d", c, ranks, len(curve), len(want), trainingSteps)
			}
			if c.Pieces > 0 {
				for i := range curve {
					if curve[i] != want[i] {
						t.Errorf("%v on %d ranks: step %d is %v, want %v", c, ranks, i, curve[i], want[i])
						break
					}
				}
				continue
			}
			off := difference(curve, want)
			t.Logf("%v on %d ranks: %.2g", c, ranks, off)
			if c.SameNoise && off < 1e-3 {
				t.Errorf("%v on %d ranks: the losses differ by %.2g from one rank's, want at least 1e-3", c, ranks, off)
			}
			if !c.SameNoise && off > 1e-8 {
				t.Errorf("%v on %d ranks: the losses differ by %.2g from one rank's, want at most 1e-8", c, ranks, off)
			}
		}
	}
	if c := trainings[0].String(); !(one[c][trainingSteps-1].Loss < 0.97*one[c][0].Loss) {
		t.Errorf("the loss goes from %v to %v: the model does not learn", one[c][0].Loss, one[c][trainingSteps-1].Loss)
	}
}

// difference returns the largest relative difference of the losses.
func difference(a, b []step) (most float64) {
	for i := range a {
		most = max(most, math.Abs(a[i].Loss/b[i].Loss-1))
	}
	return most
}

// Nothing hangs, and what went wrong is printed.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		program string
		ranks   int
		want    string // in stderr; empty: only the launcher knows
	}{
		{"error", 4, "program: rank 3: image 17 is damaged\n"},
		{"return", 3, "program: a disk is full\n"},
		{"panic", 3, "panic: a bug"},
		{"nil", 3, "program: recovered: runtime error: invalid memory address or nil pointer dereference\n"},
		{"exit 0", 3, ""},
		{"exit 3", 3, ""},
		{"abort", 3, ""},
		{"kill", 3, ""},
		{"hang", 3, "has waited 2s in Sum for the other ranks: one of them hangs, or its host is lost"},
		{"hang before Finalize", 3, "has waited 2s in Finalize for the other ranks"},
	} {
		t.Run(test.program, func(t *testing.T) {
			r := launch(t, limit/2, self(t), test.ranks, test.program)
			// MPICH's mpirun stops the other ranks, but sometimes returns 0 itself.
			if r.code == 0 && !(test.program == "exit 0" && strings.HasPrefix(library(), "MPICH")) {
				t.Error("exit code 0")
			}
			if n := strings.Count(r.stderr, test.want); n == 0 {
				t.Errorf("stderr lacks %q:\n%s", test.want, r.stderr)
			}
			if n := strings.Count(r.stderr, "program:"); n > 1 {
				t.Errorf("%d ranks print the error:\n%s", n, r.stderr)
			}
		})
	}
}

// A binary of another build says what to do, and does not run as several worlds of one
// rank.
func TestOtherBinaries(t *testing.T) {
	others := filepath.SplitList(os.Getenv("OTHER_BINARIES"))
	if len(others) == 0 {
		t.Skip("OTHER_BINARIES lists none")
	}
	for _, binary := range others {
		r := launch(t, limit/2, binary, 2, "hello")
		if r.code == 0 || !strings.Contains(r.stderr, "program: mpi: the launcher started 2 processes, but ") {
			t.Errorf("%s: exit code %d\n%s", binary, r.code, r.stderr)
		}
		t.Log(r.stderr)
	}
}

// A program without a launcher is a world of one rank.
func TestNoLauncher(t *testing.T) {
	command := exec.Command(self(t))
	command.Env = append(os.Environ(), programKey+"=hello")
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
