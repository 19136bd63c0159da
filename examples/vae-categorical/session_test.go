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

// files returns the contents of a folder, which may not exist.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
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
	var left map[string]string
	c.stderr.do = func() { left = files(t, whole) }
	if code, _, stderr := c.run(t, whole, fresh+"-steps 6"); code != exitDone {
		t.Fatal(stderr)
	}
	for name, file := range left {
		if err := os.WriteFile(filepath.Join(killed, name), []byte(file), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if done, rows := len(saved(t, killed).History), strings.Count(left["metrics.csv"], "\n")-1; done != 3 || rows != 5 {
		t.Fatalf("at step 5: checkpoint of step %d and %d metrics, want 3 and 5", done, rows)
	}
	finish(t, killed, "-resume")
	wantSameRun(t, killed, whole)
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
	before := files(t, out)
	c = newCall()
	c.ctx = cancelled
	code, _, stderr = c.run(t, out, "-quiet -resume -steps 4")
	want := fmt.Sprintf("vae-categorical: interrupted after step 2 of 4; continue with -resume -out %s\n", out)
	if code != exitInterrupted || stderr != want {
		t.Errorf("exit code %d, stderr %q, want %q", code, stderr, want)
	}
	if !maps.Equal(files(t, out), before) {
		t.Error("the files of step 2 have changed")
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
func scoresOf(t *testing.T, c *checkpoint, samples int) *scores {
	t.Helper()
	d, err := fakeImages("")
	if err != nil {
		t.Fatal(err)
	}
	tr, err := newTrainer(c.Settings, d.train)
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
	e, err := evaluate(context.Background(), p, d.test, tr.tau(), samples)
	if err != nil {
		t.Fatal(err)
	}
	return e
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
		{name: "metrics", prepare: inTheWay("metrics.csv"), want: []string{"-out: ", "metrics.csv: is a directory"}},
		{name: "checkpoint", prepare: inTheWay("checkpoint.tmp"), want: []string{"checkpoint.tmp: is a directory"}},
		{name: "pictures", prepare: inTheWay("latents.png"), want: []string{"latents.png"}},
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
	tr, err := newTrainer(s, d.train)
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
