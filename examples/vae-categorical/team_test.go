package main

import "testing"

// alone returns the team of one rank.
func alone(t testing.TB) *team {
	t.Helper()
	team, err := newTeam(0)
	if err != nil {
		t.Fatal(err)
	}
	return team
}

// Pieces change the losses in rounding only, and an interrupted run continues with them.
func TestPieces(t *testing.T) {
	whole, pieces, resumed := t.TempDir(), t.TempDir(), t.TempDir()
	finish(t, whole, "-steps 6 -batch 8")
	finish(t, pieces, "-steps 6 -batch 8 -pieces 4")
	finish(t, resumed, "-steps 3 -batch 8 -pieces 4")
	finish(t, resumed, "-steps 6 -pieces 4 -resume")
	read := func(dir string) []record {
		c, err := readCheckpoint(dir + "/checkpoint")
		if err != nil {
			t.Fatal(err)
		}
		return c.History
	}
	want, got, again := read(whole), read(pieces), read(resumed)
	for i := range want {
		if off := got[i].nelbo()/want[i].nelbo() - 1; off > 1e-6 || off < -1e-6 {
			t.Errorf("step %d: -ELBO %v, want %v", i+1, got[i].nelbo(), want[i].nelbo())
		}
		if again[i].nelbo() != got[i].nelbo() {
			t.Errorf("step %d: resumed, -ELBO %v, want %v", i+1, again[i].nelbo(), got[i].nelbo())
		}
	}
}

func TestPiecesErrors(t *testing.T) {
	for args, want := range map[string]string{
		"-batch 8 -pieces 3": "vae-categorical: mpi: 3 pieces on 1 ranks, want powers of two and at least one piece per rank\n",
		"-batch 9 -pieces 4": "vae-categorical: -batch 9: must be a multiple of -pieces 4\n",
	} {
		if code, _, stderr := newCall().run(t, t.TempDir(), args); code != exitError || stderr != want {
			t.Errorf("%s: exit code %d, stderr %q, want %q", args, code, stderr, want)
		}
	}
}
