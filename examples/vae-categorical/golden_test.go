package main

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
)

var update = flag.Bool("update", false, "rewrite testdata/steps.json, in the build without tags")

// The losses of the first training steps equal those that were recorded on a CPU,
// on any machine: the samples have the same bits, and the rest differs by rounding
// errors.
func TestSteps(t *testing.T) {
	path := filepath.Join("testdata", "steps.json")
	got := map[string][]float64{"soft": firstSteps(t, false, ""), "hard": firstSteps(t, true, "")}
	if *update && !G.CUDA {
		file, err := json.MarshalIndent(got, "", "\t")
		if err == nil {
			err = os.WriteFile(path, append(file, '\n'), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string][]float64
	if err := json.Unmarshal(file, &want); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"soft", "hard"} {
		losses := want[name]
		if len(losses) != 10 {
			t.Errorf("%s: %d steps are recorded, want 10", name, len(losses))
		}
		for i, w := range losses {
			if g := got[name][i]; !(math.Abs(g-w) <= 1e-5*w) {
				t.Errorf("%s: -ELBO of step %d is %v, want %v", name, i+1, g, w)
			}
		}
	}
}

// The first step's losses depend on the samples only, so every estimator has those of
// -hard; the steps after it depend on the gradient, so only gumbel has those.
func TestEstimatorSteps(t *testing.T) {
	hard := firstSteps(t, true, "")
	for _, spec := range []string{"gumbel", "softmax", "reinmax", "rao(2)", "gapped(1)", "gapped(adaptive)"} {
		got := firstSteps(t, false, spec)
		if got[0] != hard[0] {
			t.Errorf("%s: -ELBO of step 1 is %v, want %v", spec, got[0], hard[0])
		}
		if same := slices.Equal(got, hard); same != (spec == "gumbel") {
			t.Errorf("%s: the losses equal those of -hard: %v", spec, same)
		}
	}
}

// firstSteps returns the losses of ten steps.
func firstSteps(t *testing.T, hard bool, estimator string) []float64 {
	t.Helper()
	d, err := fakeImages("")
	if err != nil {
		t.Fatal(err)
	}
	s := settings{Hidden: [2]int{24, 12}, Batch: 6, Latents: 3, Classes: 4, Hard: hard, Estimator: estimator, Tau: "exp(1,0.05)", LR: 1e-2, Seed: 1}
	tr, err := newTrainer(s, d.train, alone(t))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	var losses []float64
	for range 10 {
		if err := tr.step(); err != nil {
			t.Fatal(err)
		}
		losses = append(losses, tr.history[len(tr.history)-1].nelbo())
	}
	return losses
}
