//go:build mpi

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// onRanks runs TestProgram on some ranks. MPIRUN is the launcher, by default mpirun.
func onRanks(t *testing.T, ranks int, args, out string) (code int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, cmp.Or(os.Getenv("MPIRUN"), "mpirun"), "-np", fmt.Sprint(ranks), os.Args[0], "-test.run=^TestProgram$")
	command.Env = append(os.Environ(), "RUN_PROGRAM="+args+" -out "+out, "GOMAXPROCS=1",
		// For Open MPI: run as root, and more ranks than cores, without binding.
		"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
		"OMPI_MCA_rmaps_base_oversubscribe=1", "OMPI_MCA_hwloc_base_binding_policy=none")
	command.WaitDelay = 5 * time.Second
	data, _ := command.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s on %d ranks hangs:\n%s", args, ranks, data)
	}
	return command.ProcessState.ExitCode(), string(data)
}

// trained runs the program and returns its history without the times, and its weights.
func trained(t *testing.T, ranks int, args, out string) ([]record, [][]float32) {
	t.Helper()
	if code, output := onRanks(t, ranks, args, out); code != exitDone {
		t.Fatalf("%s on %d ranks: exit code %d\n%s", args, ranks, code, output)
	}
	c, err := readCheckpoint(filepath.Join(out, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.History {
		c.History[i].Seconds = 0
	}
	return c.History, c.Weights
}

// With pieces, losses and weights have the same bits on any number of ranks, also after
// a resume on another number.
func TestRanks(t *testing.T) {
	const args = "-batch 8 -pieces 4 -quiet"
	history, weights := trained(t, 1, args+" -steps 12", t.TempDir())
	for _, ranks := range []int{2, 4} {
		out := t.TempDir()
		trained(t, ranks, args+" -steps 5", out)
		gotHistory, gotWeights := trained(t, 6-ranks, "-resume -pieces 4 -quiet -steps 12", out)
		if !reflect.DeepEqual(gotHistory, history) || !reflect.DeepEqual(gotWeights, weights) {
			t.Errorf("%d ranks: losses or weights differ from one rank's", ranks)
		}
	}
	plain, _ := trained(t, 3, "-batch 8 -quiet -steps 12", t.TempDir())
	for i, r := range plain {
		if off := r.nelbo()/history[i].nelbo() - 1; off > 1e-6 || off < -1e-6 {
			t.Errorf("step %d on 3 ranks: -ELBO %v, want %v", i+1, r.nelbo(), history[i].nelbo())
		}
	}
}

// An error is printed once, and by one rank.
func TestErrorsOnRanks(t *testing.T) {
	for args, want := range map[string]string{
		"-steps 3 -batch 2":           "vae-categorical: rank 0: -batch 2: must be at least 3, the number of ranks\n",
		"-steps 3 -batch 8 -pieces 4": "vae-categorical: rank 0: mpi: 4 pieces on 3 ranks, want powers of two and at least one piece per rank\n",
		"-steps 3 -resume":            "vae-categorical: rank 0: -resume: ",
	} {
		code, output := onRanks(t, 3, args, t.TempDir())
		if code != exitError || strings.Count(output, want) != 1 {
			t.Errorf("%s: exit code %d, output\n%s", args, code, output)
		}
	}
}
