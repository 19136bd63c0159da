package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gumbel-go/gumbel/solver"
)

// fresh holds the flags of a new run with 3 steps per epoch and a new temperature
// in each step.
const fresh = "-batch 4 -latents 3 -classes 4 -tau exp(1,0.1).atleast(0.1) "

// fakeImages returns 14 images to train on, of which each epoch drops 2, and 10 to
// test on.
func fakeImages(string) (*dataset, error) {
	r := rand.New(rand.NewPCG(5, 6))
	grey := func(n int) *images {
		im := &images{n: n, pixels: make([]byte, n*pixels)}
		for i := range im.pixels {
			im.pixels[i] = byte(r.Uint32N(256))
		}
		return im
	}
	return &dataset{train: grey(14), test: grey(10)}, nil
}

// watched keeps what is written, and calls do if a write contains text.
type watched struct {
	bytes.Buffer
	text string
	do   func()
}

func (w *watched) Write(p []byte) (int, error) {
	if w.do != nil && strings.Contains(string(p), w.text) {
		w.do()
	}
	return w.Buffer.Write(p)
}

// call is a run of the program with small hidden layers.
type call struct {
	ctx    context.Context
	load   func(string) (*dataset, error)
	stdout io.Writer
	stderr watched
}

func newCall() *call {
	return &call{ctx: context.Background(), load: fakeImages, stdout: &bytes.Buffer{}}
}

func (c *call) run(t *testing.T, out, args string) (code int, stdout, stderr string) {
	t.Helper()
	flags, err := parseFlags(append(strings.Fields(args), "-out", out), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	flags.Hidden = [2]int{8, 5}
	code = exitCode(newSession(c.ctx, flags, c.stdout, &c.stderr).run(c.load), &c.stderr)
	return code, fmt.Sprint(c.stdout), c.stderr.String()
}

// finish runs a call that must succeed, and returns the final lines.
func finish(t *testing.T, out, args string) string {
	t.Helper()
	code, stdout, stderr := newCall().run(t, out, args)
	if code != exitDone {
		t.Fatalf("%s: exit code %d, stderr %q", args, code, stderr)
	}
	return stdout
}

// interrupt runs a call and interrupts it when stderr has the text.
func interrupt(t *testing.T, out, args, text string) (stdout, stderr string) {
	t.Helper()
	c := newCall()
	c.ctx, c.stderr.do = context.WithCancel(c.ctx)
	c.stderr.text = text
	code, stdout, stderr := c.run(t, out, args)
	if code != exitInterrupted {
		t.Fatalf("exit code %d, want %d; stderr %q", code, exitInterrupted, stderr)
	}
	return stdout, stderr
}

// files returns the contents of the files in a folder, which may not exist, and the
// names of its subfolders.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			all[e.Name()+"/"] = ""
			continue
		}
		file, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(file)
	}
	return all
}

var allFiles = []string{"checkpoint", "curves.png", "latents.png", "metrics.csv", "reconstructions.png", "samples.png"}

func wantAllFiles(t *testing.T, dir string) {
	t.Helper()
	if got := slices.Sorted(maps.Keys(files(t, dir))); !slices.Equal(got, allFiles) {
		t.Errorf("the folder holds %v, want %v", got, allFiles)
	}
}

func saved(t *testing.T, dir string) *checkpoint {
	t.Helper()
	c, err := readCheckpoint(filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.History {
		c.History[i].Seconds = 0
	}
	return c
}

func sameBits(a, b [][]float32) bool {
	return slices.EqualFunc(a, b, func(a, b []float32) bool {
		return slices.EqualFunc(a, b, func(a, b float32) bool {
			return math.Float32bits(a) == math.Float32bits(b)
		})
	})
}

// stateOf returns the whole state of a solver.
func stateOf(t *testing.T, a *solver.Adam) []byte {
	t.Helper()
	state, err := a.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

var secondsColumn = regexp.MustCompile(`(?m),[^,\n]*$`)

// wantSameRun compares all files of two runs, except for the seconds in them.
func wantSameRun(t *testing.T, got, want string) {
	t.Helper()
	a, b := saved(t, got), saved(t, want)
	for part, same := range map[string]bool{
		"settings":    a.Settings == b.Settings && a.Images == b.Images && a.Total == b.Total,
		"weights":     sameBits(a.Weights, b.Weights),
		"Adam":        bytes.Equal(stateOf(t, a.Adam), stateOf(t, b.Adam)),
		"source":      bytes.Equal(a.Source, b.Source),
		"temperature": bytes.Equal(a.Temperature, b.Temperature),
		"history":     slices.Equal(a.History, b.History),
	} {
		if !same {
			t.Errorf("checkpoints: %s differ", part)
		}
	}
	one, other := files(t, got), files(t, want)
	for _, name := range allFiles[1:] {
		if name == "metrics.csv" {
			one[name] = secondsColumn.ReplaceAllString(one[name], "")
			other[name] = secondsColumn.ReplaceAllString(other[name], "")
		}
		if one[name] != other[name] {
			t.Errorf("%s differs", name)
		}
	}
}

func TestResumeIsExact(t *testing.T) {
	for i, tc := range []struct {
		name, args string
		steps      []int
	}{
		{"soft, over an epoch's end", "", []int{4, 8}},
		{"hard, over an epoch's end", "-hard", []int{2, 4}},
		{"from an epoch's end", "-hard", []int{3, 6}},
		{"binarised", "-binarize -seed 7", []int{4, 8}},
		{"twice", "-hard -binarize", []int{1, 2, 7}},
	} {
		if testing.Short() && i != 0 && i != 4 {
			continue // a run opens six machines, which takes seconds on a GPU
		}
		t.Run(tc.name, func(t *testing.T) {
			parts, whole := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "out")
			var got string
			for i, steps := range tc.steps {
				args := fmt.Sprintf("-steps %d -resume", steps)
				if i == 0 {
					args = fmt.Sprint(fresh, tc.args, " -steps ", steps)
				}
				got = finish(t, parts, args)
				if done := len(saved(t, parts).History); done != steps {
					t.Fatalf("%d steps taken, want %d", done, steps)
				}
			}
			want := finish(t, whole, fmt.Sprint(fresh, tc.args, " -steps ", tc.steps[len(tc.steps)-1]))
			wantSameRun(t, parts, whole)
			if got != want {
				t.Errorf("the resumed run prints %q, the uninterrupted one %q", got, want)
			}
		})
	}
}

// A killed run leaves the checkpoint of the last complete epoch, and metrics of the
// steps after it.
func TestResumeAfterKill(t *testing.T) {
	killed, whole := t.TempDir(), t.TempDir()
	c := newCall()
	c.stderr.text = "5/6"
	c.stderr.do = func() { copyFiles(t, whole, killed) }
	if code, _, stderr := c.run(t, whole, fresh+"-steps 6"); code != exitDone {
		t.Fatal(stderr)
	}
	if done, rows := len(saved(t, killed).History), strings.Count(files(t, killed)["metrics.csv"], "\n")-1; done != 3 || rows != 5 {
		t.Fatalf("at step 5: checkpoint of step %d and %d metrics, want 3 and 5", done, rows)
	}
	finish(t, killed, "-resume")
	wantSameRun(t, killed, whole)
}

// A save by time in the middle of an epoch resumes as exactly as any other.
func TestResumeAfterSaveByTime(t *testing.T) {
	for args, step := range map[string]int{"-checkpoint-every 1ns": 4, "-checkpoint-every 1h": 3, "-checkpoint-every 0": 3, "": 3} {
		killed, whole := t.TempDir(), t.TempDir()
		c := newCall()
		c.stderr.text = "5/8"
		c.stderr.do = func() { copyFiles(t, whole, killed) }
		if code, _, stderr := c.run(t, whole, fresh+"-hard -steps 8 "+args); code != exitDone {
			t.Fatal(stderr)
		}
		if done := len(saved(t, killed).History); done != step {
			t.Errorf("%q: the checkpoint is of step %d, want %d", args, done, step)
		}
		finish(t, killed, "-resume")
		wantSameRun(t, killed, whole)
	}
}

// copyFiles copies the outputs of a run, as they are now.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	for name, file := range files(t, from) {
		if name == lockName {
			continue
		}
		if err := os.WriteFile(filepath.Join(to, name), []byte(file), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSaveIsDue(t *testing.T) {
	for _, tc := range []struct {
		args      string
		ago, took time.Duration
		want      bool
	}{
		{"", 29 * time.Second, 0, false},
		{"", 31 * time.Second, 250 * time.Millisecond, true},
		{"", 31 * time.Second, 500 * time.Millisecond, false}, // 1.6 % of the time
		{"", 51 * time.Second, 500 * time.Millisecond, true},
		{"-checkpoint-every 10s", 9 * time.Second, time.Second, false},
		{"-checkpoint-every 10s", 11 * time.Second, time.Second, true},
		{"-checkpoint-every 0", time.Hour, 0, false},
	} {
		c, err := parseFlags(strings.Fields(tc.args), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		s := newSession(context.Background(), c, io.Discard, io.Discard)
		s.saves = saves{at: time.Now().Add(-tc.ago), took: tc.took}
		if got := s.saveIsDue(); got != tc.want {
			t.Errorf("%q: %v after a save of %v: %v, want %v", tc.args, tc.ago, tc.took, got, tc.want)
		}
	}
}

// The message of an interrupt does not wait for what it announces.
func TestInterruptIsAnnouncedAtOnce(t *testing.T) {
	c := newCall()
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithCancel(c.ctx)
	written := make(chan struct{})
	c.stderr.text, c.stderr.do = "interrupted: stopping before the first step; a second Ctrl-C ends", func() { close(written) }
	c.load = func(dir string) (*dataset, error) {
		cancel()
		select {
		case <-written:
		case <-time.After(time.Minute):
			t.Error("no message")
		}
		return fakeImages(dir)
	}
	out := filepath.Join(t.TempDir(), "out")
	if code, _, stderr := c.run(t, out, fresh); code != exitInterrupted {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if exists(out) {
		t.Error("the folder was made")
	}
}

// A full disk stops the run, but does not lose the steps taken.
func TestMetricsThatCannotBeWritten(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	for name, want := range map[string]string{
		"":               "; the checkpoint of step 1 is saved: continue with -resume",
		"checkpoint.tmp": "; the checkpoint of step 1 is not saved either: ",
	} {
		out := t.TempDir()
		if err := os.Symlink("/dev/full", filepath.Join(out, "metrics.csv")); err != nil {
			t.Fatal(err)
		}
		if name != "" {
			if err := os.Mkdir(filepath.Join(out, name), 0o777); err != nil {
				t.Fatal(err)
			}
		}
		code, _, stderr := newCall().run(t, out, fresh+"-quiet")
		if code != exitError {
			t.Errorf("exit code %d", code)
		}
		wantMessage(t, stderr, "metrics.csv: no space left on device", want, name)
		if name == "" {
			if done := len(saved(t, out).History); done != 1 {
				t.Errorf("the checkpoint is of step %d", done)
			}
			if err := os.Remove(filepath.Join(out, "metrics.csv")); err != nil {
				t.Fatal(err)
			}
			finish(t, out, "-resume -steps 4")
			if rows := strings.Count(files(t, out)["metrics.csv"], "\n"); rows != 5 {
				t.Errorf("%d lines of metrics, want 5", rows)
			}
		}
	}
}

func TestSeeds(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	var lines []string
	for i, args := range []string{"-seed 1", "-seed 1", "-seed 2"} {
		lines = append(lines, finish(t, dirs[i], fresh+"-steps 2 -eval-samples 3 "+args))
	}
	wantSameRun(t, dirs[1], dirs[0])
	if lines[0] != lines[1] {
		t.Errorf("equal seeds printed %q and %q", lines[0], lines[1])
	}
	a, b := strings.Split(lines[0], "\n"), strings.Split(lines[2], "\n")
	for i := range 3 {
		if a[i] == b[i] {
			t.Errorf("different seeds both printed %q", a[i])
		}
	}
	if sameBits(saved(t, dirs[0]).Weights, saved(t, dirs[2]).Weights) {
		t.Error("different seeds made equal weights")
	}
}

// With the same noise, soft samples approach straight-through samples as the
// temperature approaches 0. The KL of the first step does not depend on samples.
func TestHardSamplesInTraining(t *testing.T) {
	first := func(args string) record {
		out := t.TempDir()
		finish(t, out, fresh+"-steps 1 "+args)
		return saved(t, out).History[0]
	}
	soft, cold, hard := first(""), first("-tau constant(1e-5)"), first("-hard")
	if d := math.Abs(hard.Reconstruction - cold.Reconstruction); d > 1e-3 {
		t.Errorf("straight-through %v nats, soft at temperature 0 %v", hard.Reconstruction, cold.Reconstruction)
	}
	if d := math.Abs(hard.Reconstruction - soft.Reconstruction); d < 1e-1 {
		t.Errorf("straight-through %v nats, soft at temperature 1 %v", hard.Reconstruction, soft.Reconstruction)
	}
	if hard.KL != soft.KL || hard.KL != cold.KL {
		t.Errorf("KL of %v, %v and %v nats", hard.KL, soft.KL, cold.KL)
	}
}

func TestInterrupt(t *testing.T) {
	whole := t.TempDir()
	want := finish(t, whole, fresh+"-steps 8 -hard")
	for i, tc := range []struct {
		when string // stderr has this text
		step int
	}{
		{"1/8", 1},
		{"3/8", 3}, // the end of an epoch
		{"5/8", 5},
		{"8/8", 8},
		{"evaluating 10 test images", 8},
	} {
		if testing.Short() && i != 0 && i != 4 {
			continue
		}
		t.Run(tc.when, func(t *testing.T) {
			out := t.TempDir()
			stdout, stderr := interrupt(t, out, fresh+"-steps 8 -hard", tc.when)
			if stdout != "" {
				t.Errorf("stdout %q", stdout)
			}
			message := fmt.Sprintf("vae-categorical: interrupted after step %d of 8; continue with -resume -out %s\n", tc.step, out)
			if !strings.HasSuffix(stderr, "\n"+message) {
				t.Errorf("stderr ends %q, want %q", stderr[max(0, len(stderr)-200):], message)
			}
			if announced := "vae-categorical: interrupted: "; strings.Count(stderr, announced) != 1 || strings.Index(stderr, announced) > strings.Index(stderr, message) ||
				!strings.Contains(stderr, "; a second Ctrl-C ends the program immediately") {
				t.Errorf("stderr %q does not first say what is finished", stderr)
			}
			wantAllFiles(t, out)
			if done := len(saved(t, out).History); done != tc.step {
				t.Errorf("the checkpoint is of step %d", done)
			}
			if got := finish(t, out, "-resume"); got != want {
				t.Errorf("the resumed run prints %q, the uninterrupted one %q", got, want)
			}
			wantSameRun(t, out, whole)
		})
	}
}

// Even with -quiet, an interrupted run prints how to continue.
func TestInterruptBeforeFirstStep(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	out := t.TempDir()
	c := newCall()
	c.ctx = cancelled
	code, stdout, stderr := c.run(t, out, fresh+"-quiet")
	if want := "vae-categorical: interrupted before the first step\n"; code != exitInterrupted || stdout != "" || stderr != want {
		t.Errorf("exit code %d, stdout %q, stderr %q, want %q", code, stdout, stderr, want)
	}
	if _, err := os.Stat(filepath.Join(out, "checkpoint")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a checkpoint without steps: %v", err)
	}

	finish(t, out, fresh+"-steps 2")
	appendTo(t, filepath.Join(out, "metrics.csv"), "3,1,1,1,0,1\n") // of a step after the checkpoint
	before := files(t, out)
	for args, want := range map[string]string{
		"-resume -steps 4": fmt.Sprintf("vae-categorical: interrupted after step 2 of 4; continue with -resume -out %s\n", out),
		fresh:              "vae-categorical: interrupted before the first step\n",
	} {
		c := newCall()
		c.ctx = cancelled
		code, _, stderr := c.run(t, out, "-quiet "+args)
		if code != exitInterrupted || stderr != want {
			t.Errorf("%s: exit code %d, stderr %q, want %q", args, code, stderr, want)
		}
		if !maps.Equal(files(t, out), before) {
			t.Errorf("%s: the files of step 2 have changed", args)
		}
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(file, text...), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A fresh run sets aside the files that it finds, whichever they are, before its
// first step. Files that are not a run's stay.
func TestFreshRunInUsedFolder(t *testing.T) {
	out := t.TempDir()
	finish(t, out, fresh+"-steps 2")
	old := files(t, out)
	appendTo(t, create(t, filepath.Join(out, "notes.txt")), "mine")
	c := newCall()
	c.stderr.text = "1/8"
	var left map[string]string
	c.stderr.do = func() { left = files(t, out) }
	if code, _, stderr := c.run(t, out, fresh+"-steps 8 -seed 3"); code != exitDone ||
		!strings.Contains(stderr, "the files of an earlier run are now in "+filepath.Join(out, "earlier-1")+"\n") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if got := slices.Sorted(maps.Keys(left)); !slices.Equal(got, []string{"earlier-1/", "metrics.csv", "notes.txt", lockName}) {
		t.Errorf("before the first save the folder holds %v", got)
	}
	if strings.Count(left["metrics.csv"], "\n") != 2 {
		t.Errorf("metrics of one step: %q", left["metrics.csv"])
	}
	if !maps.Equal(files(t, filepath.Join(out, "earlier-1")), old) {
		t.Error("the earlier run has changed")
	}
	if done := len(saved(t, out).History); done != 8 {
		t.Errorf("the checkpoint is of step %d, want 8", done)
	}
	finish(t, out, fresh+"-steps 1")
	if done := len(saved(t, filepath.Join(out, "earlier-2")).History); done != 8 {
		t.Errorf("the second run that was set aside is of step %d, want 8", done)
	}
	finish(t, filepath.Join(out, "earlier-1"), "-resume -steps 3")
}

// -resume must not continue the run that a killed one has set aside.
func TestResumeOfRunKilledBeforeItsFirstSave(t *testing.T) {
	out := t.TempDir()
	finish(t, out, fresh+"-steps 2")
	if _, err := setAside(out, os.Rename); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "metrics.csv"), []byte(metricsHeader), 0o666); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := newCall().run(t, out, "-resume")
	if code != exitError {
		t.Errorf("exit code %d", code)
	}
	wantMessage(t, stderr, "-resume: ", "checkpoint: no such file", "such as "+filepath.Join(out, "earlier-1"))
}

func create(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSetAside(t *testing.T) {
	dir := t.TempDir()
	if folder, err := setAside(dir, os.Rename); folder != "" || err != nil {
		t.Errorf("of an empty folder: %q, %v", folder, err)
	}
	for _, name := range []string{"samples.png", "checkpoint", "metrics.csv"} {
		appendTo(t, create(t, filepath.Join(dir, name)), name)
	}
	before := files(t, dir)
	var moved []string
	stuck := errors.New("in use")
	_, err := setAside(dir, func(from, to string) error {
		moved = append(moved, filepath.Base(from))
		if filepath.Base(from) == "samples.png" {
			return stuck
		}
		return os.Rename(from, to)
	})
	if !errors.Is(err, stuck) {
		t.Errorf("error %v, want %v", err, stuck)
	}
	if moved[0] != "checkpoint" {
		t.Errorf("moves %v: want the checkpoint first", moved)
	}
	if !maps.Equal(files(t, dir), before) {
		t.Error("the files were not moved back")
	}
}

func TestResumeErrors(t *testing.T) {
	made := t.TempDir()
	finish(t, made, fresh+"-steps 2 -hard")
	good := files(t, made)
	checkpoint := func(change func(file []byte) []byte) map[string]string {
		changed := maps.Clone(good)
		changed["checkpoint"] = string(change([]byte(good["checkpoint"])))
		return changed
	}
	damaged := []string{"-resume: ", "checkpoint: ", "the file is unchanged: start a new run in another -out"}
	for _, tc := range []struct {
		name, args string
		files      map[string]string
		code       int
		want       []string
	}{
		{"nothing", "", nil, exitError, []string{"-resume: ", "checkpoint: no such file", "leave -resume out to start a run"}},
		{"empty", "", checkpoint(func([]byte) []byte { return nil }), exitError, damaged},
		{"cut", "", checkpoint(func(f []byte) []byte { return f[:len(f)/2] }), exitError, damaged},
		{"turned bit", "", checkpoint(func(f []byte) []byte { return changed(f, len(f)/2, f[len(f)/2]^1) }), exitError, damaged},
		{"foreign", "", checkpoint(func([]byte) []byte { return []byte(good["curves.png"]) }), exitError, append(damaged, "not a checkpoint of this program")},
		{"batch", "-batch 5", good, exitUsage, []string{"-resume: -batch is 5,", "made with 4:"}},
		{"latents", "-latents 2", good, exitUsage, []string{"-resume: -latents is 2,", "made with 3:"}},
		{"classes", "-classes 5", good, exitUsage, []string{"-resume: -classes is 5,", "made with 4:"}},
		{"hard", "-hard=false", good, exitUsage, []string{"-resume: -hard is false,", "made with true:"}},
		{"binarize", "-binarize", good, exitUsage, []string{"-resume: -binarize is true,", "made with false:"}},
		{"tau", "-tau constant(1)", good, exitUsage, []string{"-resume: -tau is constant(1),", "made with exp(1,0.1).atleast(0.1):"}},
		{"lr", "-lr 0.1", good, exitUsage, []string{"-resume: -lr is 0.1,", "made with 0.001:"}},
		{"seed", "-seed 9", good, exitUsage, []string{"-resume: -seed is 9,", "made with 0:"}},
		{"steps", "-steps 1", good, exitUsage, []string{"at step 2,", "past -steps 1"}},
		{"no steps", "-steps 0", good, exitUsage, []string{"-steps 0: must be"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			if tc.files != nil {
				if err := os.Mkdir(out, 0o777); err != nil {
					t.Fatal(err)
				}
			}
			for name, file := range tc.files {
				if err := os.WriteFile(filepath.Join(out, name), []byte(file), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			c := newCall()
			c.load = noData(t)
			code, stdout, stderr := c.run(t, out, "-resume "+tc.args)
			if code != tc.code || stdout != "" {
				t.Errorf("exit code %d, want %d; stdout %q", code, tc.code, stdout)
			}
			wantMessage(t, stderr, tc.want...)
			if !maps.Equal(files(t, out), tc.files) {
				t.Error("the folder has changed")
			}
			if _, err := os.Stat(out); tc.files == nil && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the folder was made: %v", err)
			}
		})
	}
}

// wantMessage checks that stderr is one line of the program with all parts.
func wantMessage(t *testing.T, stderr string, parts ...string) {
	t.Helper()
	if !strings.HasPrefix(stderr, "vae-categorical: ") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("stderr is not a line of the program: %q", stderr)
	}
	for _, part := range parts {
		if !strings.Contains(stderr, part) {
			t.Errorf("stderr is %q, want %q in it", stderr, part)
		}
	}
}

func TestResumeOnOtherImages(t *testing.T) {
	out := t.TempDir()
	finish(t, out, fresh+"-steps 1")
	before := files(t, out)
	c := newCall()
	c.load = func(string) (*dataset, error) {
		d, err := fakeImages("")
		d.test.pixels[0] ^= 1
		return d, err
	}
	code, _, stderr := c.run(t, out, "-resume -steps 2 -quiet")
	if code != exitError {
		t.Errorf("exit code %d", code)
	}
	wantMessage(t, stderr, "-resume: the images differ", "-data")
	if !maps.Equal(files(t, out), before) {
		t.Error("the folder has changed")
	}
}

// Only the final lines go to stdout. With -quiet there is no other output.
func TestOutput(t *testing.T) {
	out := t.TempDir()
	plain := finish(t, out, fresh+"-steps 3")
	wantAllFiles(t, out)
	e := scoresOf(t, saved(t, out), 5)
	soft := fmt.Sprintf("test -ELBO %.2f nats (soft, 1 sample)\n", e.soft)
	discrete := fmt.Sprintf("test -ELBO %.2f nats (discrete, 1 sample)\n", e.discrete)
	if want := soft + discrete; plain != want {
		t.Errorf("got %q, want %q", plain, want)
	}
	if e.soft == e.discrete || e.bound == e.discrete {
		t.Errorf("the scores do not differ: %+v", e)
	}
	bound := fmt.Sprintf("test bound %.2f nats (discrete, 5 samples)\n", e.bound)
	if got, want := finish(t, out, "-resume -eval-samples 5"), soft+bound+discrete; got != want {
		t.Errorf("-eval-samples 5: got %q, want %q", got, want)
	}
	if got := finish(t, out, "-resume -eval-samples 1"); !strings.Contains(got, " nats (discrete, 1 sample)\ntest -ELBO") {
		t.Errorf("-eval-samples 1: got %q", got)
	}
	code, stdout, stderr := newCall().run(t, t.TempDir(), fresh+"-steps 3 -quiet")
	if code != exitDone || stdout != plain || stderr != "" {
		t.Errorf("-quiet: exit code %d, stdout %q, want %q; stderr %q", code, stdout, plain, stderr)
	}
}

// scoresOf evaluates a checkpoint.
func scoresOf(t *testing.T, c *checkpoint, samples int) scores {
	t.Helper()
	d, err := fakeImages("")
	if err != nil {
		t.Fatal(err)
	}
	tr, err := newTrainer(c.Settings, d.train, alone(t))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	if err := tr.restore(c); err != nil {
		t.Fatal(err)
	}
	p, err := tr.parameters()
	if err != nil {
		t.Fatal(err)
	}
	e, err := evaluate(context.Background(), p, d.test, tr.tau(), samples, ignore)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// An interrupt of the evaluation prints what is finished.
func TestInterruptOfTheEvaluation(t *testing.T) {
	out := t.TempDir()
	want := finish(t, out, fresh+"-steps 3")
	stdout, stderr := interrupt(t, out, "-resume -eval-samples 100000000", "evaluating  ")
	if stdout != want {
		t.Errorf("stdout %q, want %q", stdout, want)
	}
	progress := regexp.MustCompile(`\nevaluating  \d+/100000002  \d\S* left\n`)
	if !progress.MatchString(stderr) || !strings.Contains(stderr, "interrupted: stopping the evaluation; ") {
		t.Errorf("stderr %q", stderr)
	}
	s := &session{config: &config{evalSamples: 7}, images: &dataset{test: &images{n: 10}}}
	var part bytes.Buffer
	s.stdout = &part
	if err := s.print(scores{soft: 3, discrete: 2, bound: 1, bounded: 4}); err != nil {
		t.Fatal(err)
	}
	if want := "\ntest bound 1.00 nats (discrete, 7 samples, first 4 of 10 images)\n"; !strings.Contains(part.String(), want) {
		t.Errorf("stdout %q, want %q in it", part.String(), want)
	}
}

func TestReport(t *testing.T) {
	out := t.TempDir()
	_, _, stderr := newCall().run(t, out, fresh+"-steps 2")
	want := regexp.MustCompile(`^784-8-5, 3 latents of 4 classes, soft samples, 4 images per step, seed 0; writing to ` + regexp.QuoteMeta(out) + `
1/2  -ELBO \d+\.\d\d  KL \d+\.\d\d  tau 1.000  .*
2/2  -ELBO \d+\.\d\d  KL \d+\.\d\d  tau 0.905  .*
evaluating 10 test images
$`)
	if !want.MatchString(stderr) {
		t.Errorf("stderr is %q, want %v", stderr, want)
	}
	_, _, stderr = newCall().run(t, out, "-steps 3 -resume")
	if want := "\ncontinuing after step 2\n3/3  "; !strings.Contains(stderr, want) {
		t.Errorf("stderr is %q, want %q in it", stderr, want)
	}
}

func TestFailures(t *testing.T) {
	inTheWay := func(name string) func(t *testing.T, out string) {
		return func(t *testing.T, out string) {
			if err := os.MkdirAll(filepath.Join(out, name), 0o777); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tc := range []struct {
		name, args string
		prepare    func(t *testing.T, out string)
		load       func(string) (*dataset, error)
		want       []string
	}{
		{name: "-out is a file", want: []string{"-out: ", "out: not a directory"},
			prepare: func(t *testing.T, out string) {
				if err := os.WriteFile(out, nil, 0o666); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "metrics", prepare: inTheWay("metrics.csv.tmp"), want: []string{"-out: ", "metrics.csv.tmp: is a directory"}},
		{name: "checkpoint", prepare: inTheWay("checkpoint.tmp"), want: []string{"checkpoint.tmp: is a directory"}},
		{name: "pictures", prepare: inTheWay("latents.png.tmp"), want: []string{"latents.png"}},
		{name: "images", want: []string{"no images here"},
			load: func(string) (*dataset, error) { return nil, errors.New("no images here") }},
		{name: "few images", args: "-batch 15", want: []string{"-batch 15: must be at most 14, the number of training images"}},
		{name: "divergence", args: "-lr 1e30", want: []string{"step 2: ", "use a smaller -lr"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			if tc.prepare != nil {
				tc.prepare(t, out)
			}
			c := newCall()
			if tc.load != nil {
				c.load = tc.load
			}
			code, stdout, stderr := c.run(t, out, fresh+"-steps 3 -quiet "+tc.args)
			if code != exitError || stdout != "" {
				t.Errorf("exit code %d, stdout %q", code, stdout)
			}
			wantMessage(t, stderr, tc.want...)
		})
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestResultsThatCannotBeWritten(t *testing.T) {
	c := newCall()
	c.stdout = full{}
	code, _, stderr := c.run(t, t.TempDir(), fresh+"-steps 1 -quiet")
	if code != exitError {
		t.Errorf("exit code %d", code)
	}
	wantMessage(t, stderr, "no space left")
}

func TestLearningRate(t *testing.T) {
	d, err := fakeImages("")
	if err != nil {
		t.Fatal(err)
	}
	s := settings{Hidden: [2]int{2, 2}, Batch: 1, Latents: 1, Classes: 2, Tau: jangTau, LR: 0.5}
	tr, err := newTrainer(s, d.train, alone(t))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	for done, want := range map[int]float64{0: 0.5, 999: 0.5, 1000: 0.45, 2999: 0.405} {
		tr.history = make([]record, done)
		if err := tr.step(); err != nil {
			t.Fatal(err)
		}
		if got := tr.adam.LearningRate(); math.Abs(got-want) > 1e-12 {
			t.Errorf("after %d steps the rate is %v, want %v", done, got, want)
		}
	}
}
