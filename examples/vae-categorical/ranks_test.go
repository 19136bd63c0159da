//go:build mpi

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
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
		// For Open MPI: run as root, and more ranks than cores, without binding, and do not
		// wait a second before the other ranks are killed.
		"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
		"OMPI_MCA_rmaps_base_oversubscribe=1", "OMPI_MCA_hwloc_base_binding_policy=none",
		"OMPI_MCA_odls_base_sigkill_timeout=0")
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

// The ranks are killed at random moments, and go on from the last checkpoint on another
// number of ranks. No checkpoint is lost, and the losses and weights are those of a run
// that nobody interrupts.
func TestKilledOnRanks(t *testing.T) {
	const args = "-batch 8 -pieces 4 -quiet -checkpoint-every 20ms -steps 2000"
	history, weights := trained(t, 1, args, t.TempDir())
	out, r := t.TempDir(), rand.New(rand.NewPCG(1, 1))
	checkpoint, saved := filepath.Join(out, "checkpoint"), 0
	resume := func() string {
		if saved == 0 {
			return args
		}
		return args + " -resume"
	}
	for i := range 10 {
		t.Setenv("KILL_AFTER", fmt.Sprint(time.Duration(20+r.IntN(300))*time.Millisecond))
		ranks := []int{1, 2, 4}[i%3]
		code, output := onRanks(t, ranks, resume(), out)
		if code == exitDone && i < 5 {
			t.Fatalf("run %d ended before it was killed:\n%s", i, output)
		}
		c, err := readCheckpoint(checkpoint)
		if errors.Is(err, fs.ErrNotExist) && saved == 0 {
			continue
		}
		if err != nil || len(c.History) < saved {
			t.Fatalf("run %d: the checkpoint has %d steps, %d before (error %v)\n%s", i, len(c.History), saved, err, output)
		}
		saved = len(c.History)
	}
	if saved == 0 || saved == len(history) {
		t.Fatalf("%d of %d steps are saved: no run was killed after a checkpoint", saved, len(history))
	}
	t.Setenv("KILL_AFTER", "")
	gotHistory, gotWeights := trained(t, 2, resume(), out)
	if !reflect.DeepEqual(gotHistory, history) || !reflect.DeepEqual(gotWeights, weights) {
		t.Error("losses or weights differ from those of a run that nobody interrupts")
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
