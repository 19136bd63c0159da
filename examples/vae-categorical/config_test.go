package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// noData fails the test if images are loaded.
func noData(t *testing.T) func(string) (*dataset, error) {
	return func(string) (*dataset, error) {
		t.Error("images were loaded")
		return nil, errors.New("no images")
	}
}

func TestBadFlags(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-stepz 3", "-stepz"},
		{"-steps x", `"x" for flag -steps`},
		{"-steps 0", "-steps 0: must be 1 to"},
		{"-steps -5", "-steps -5: must be 1 to"},
		{"-steps 10000001", "must be 1 to 10000000"},
		{"-epochs 0", "-epochs 0: must be 1 to"},
		{"-epochs 9223372036854775807", "-epochs 9223372036854775807: must be"},
		{"-epochs 10000000 -batch 1", "-epochs 10000000: is 600000000000 steps with -batch 1, must be at most 10000000"},
		{"-epochs 10000000", "-epochs 10000000: is 6000000000 steps with -batch 100, must be"},
		{"-epochs 1 -steps 10", "-steps and -epochs are both given: use one"},
		{"-batch 0", "-batch 0: must be 1 to 60000"},
		{"-batch 60001", "-batch 60001: must be 1 to 60000"},
		{"-latents 0", "-latents 0: must be 1 to"},
		{"-classes 1", "-classes 1: must be 2 to"},
		{"-latents 4096 -classes 4096", "more than 16384"},
		{"-tau", "-tau"},
		{"-tau 0.5", "-tau: anneal: Parse"},
		{"-tau linear(1,0)", "-tau: anneal: Parse"},
		{"-tau constant(0)", "is 0 at step 0"},
		{"-tau constant(1e-46)", "is 0 at step 0"},
		{"-tau constant(1e39)", "is +Inf at step 0"},
		{"-tau linear(1,-1,10)", "is 0 at step 5"},
		{"-lr 0", "-lr 0: must be a finite number above 0"},
		{"-lr -1", "-lr -1: must be"},
		{"-lr NaN", "-lr NaN: must be"},
		{"-lr Inf", "-lr +Inf: must be"},
		{"-seed -1", "-seed"},
		{"-eval-samples -1", "-eval-samples -1: must be 0 or more"},
		{"-pieces -1", "-pieces -1: must be 0 or more"},
		{"-timeout -1s", "-timeout -1s: must be 0 or more"},
		{"-checkpoint-every -1s", "-checkpoint-every -1s: must be 0 or more"},
		{"-checkpoint-every 30", `"30" for flag -checkpoint-every`},
		{"more", `unexpected argument "more"`},
		{"-estimator best", `-estimator: ops: ParseEstimator("best"): no such estimator`},
		{"-estimator rao(0)", "-estimator: ops: ParseEstimator"},
		{"-estimator reinmax -hard", "-hard has no effect beside -estimator: leave it out"},
		{"-hard no", `unexpected argument "no"`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			var stdout, stderr bytes.Buffer
			args := append([]string{"-out", out}, strings.Fields(tc.args)...)
			if code := run(context.Background(), args, noData(t), &stdout, &stderr); code != exitUsage {
				t.Errorf("exit code %d, want %d", code, exitUsage)
			}
			if !strings.HasPrefix(stderr.String(), "vae-categorical: ") || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("stderr is %q, want %q in it", stderr.String(), tc.want)
			}
			if strings.Count(stderr.String(), "\n") != 1 || stdout.Len() > 0 {
				t.Errorf("want one line on stderr only, got %q and %q on stdout", stderr.String(), stdout.String())
			}
			if _, err := os.Stat(out); !os.IsNotExist(err) {
				t.Error("the -out folder was made")
			}
		})
	}
}

func TestEmptyOut(t *testing.T) {
	if _, err := parseFlags([]string{"-out", ""}, nil); err == nil || !strings.Contains(err.Error(), "-out is empty") {
		t.Errorf("error %v", err)
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), []string{"-h"}, noData(t), &stdout, &stderr); code != exitDone || stderr.Len() > 0 {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
	for _, name := range strings.Fields("steps epochs batch latents classes hard estimator tau lr seed binarize eval-samples checkpoint-every out data resume pieces timeout quiet") {
		found := 0
		for line := range strings.Lines(stdout.String()) {
			if strings.HasPrefix(line, "  -"+name+" ") {
				found++
				if len(line) < 40 || len(line) > 110 {
					t.Errorf("line of %d characters: %s", len(line), line)
				}
			}
		}
		if found != 1 {
			t.Errorf("-%s is explained %d times", name, found)
		}
	}
}

func TestStepsOfEpochs(t *testing.T) {
	for args, want := range map[string]int{
		"":                       5000,
		"-steps 7":               7,
		"-epochs 2":              1200,
		"-epochs 2 -batch 7000":  16,
		"-batch 60000 -epochs 3": 3,
	} {
		c, err := parseFlags(strings.Fields(args), nil)
		if err != nil {
			t.Errorf("%q: %v", args, err)
		} else if c.steps != want {
			t.Errorf("%q: %d steps, want %d", args, c.steps, want)
		}
	}
}

func TestAdopt(t *testing.T) {
	saved := &checkpoint{
		Settings: settings{Hidden: [2]int{512, 256}, Batch: 50, Latents: 20, Classes: 5, Hard: true, Tau: "constant(0.7)", LR: 0.002, Seed: 9, Binarize: true},
		Total:    300,
		History:  make([]record, 120),
	}
	for _, tc := range []struct {
		args  string
		want  string // of the error; none when empty
		steps int
	}{
		{"", "", 300},
		{"-steps 400", "", 400},
		{"-steps 120", "", 120},
		{"-epochs 1", "", 1200},
		{"-batch 50 -latents 20 -classes 5 -hard -tau constant(0.7) -lr 2e-3 -seed 9 -binarize", "", 300},
		{"-steps 119", "at step 120, past -steps 119: raise it", 0},
		{"-tau constant(0.70)", "", 300},
		{"-tau constant(7e-1)", "", 300},
		{"-tau constant(+.7)", "", 300},
		{"-tau 0.7", "", 300},
		{"-tau constant(0.71)", "-tau is constant(0.71), but the checkpoint was made with constant(0.7)", 0},
		{"-tau constant(0.7).every(1)", "-tau is constant(0.7).every(1), but", 0},
		{"-tau constant(", "-tau: anneal: Parse", 0},
		{"-latents 20 -classes 20000", "-classes is 20000, but the checkpoint was made with 5", 0},
		{"-batch 100", "-batch is 100, but the checkpoint was made with 50", 0},
		{"-latents 30", "-latents is 30, but the checkpoint was made with 20", 0},
		{"-classes 10", "-classes is 10, but the checkpoint was made with 5", 0},
		{"-hard=false", "-hard is false, but the checkpoint was made with true", 0},
		{"-tau constant(1)", "-tau is constant(1), but the checkpoint was made with constant(0.7)", 0},
		{"-lr 0.001", "-lr is 0.001, but the checkpoint was made with 0.002", 0},
		{"-seed 0", "-seed is 0, but the checkpoint was made with 9", 0},
		{"-binarize=false", "-binarize is false, but the checkpoint was made with true", 0},
	} {
		t.Run(tc.args, func(t *testing.T) {
			c, err := parseFlags(append([]string{"-resume"}, strings.Fields(tc.args)...), nil)
			if err != nil {
				t.Fatal(err)
			}
			err = c.adopt(saved)
			switch {
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want %q in it", err, tc.want)
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want == "" && (c.settings != saved.Settings || c.steps != tc.steps):
				t.Errorf("settings %+v and %d steps, want the checkpoint's and %d", c.settings, c.steps, tc.steps)
			}
		})
	}
}

// Without -resume, so many latents with the default number of classes are too
// many.
func TestResumeTakesClassesAsSaved(t *testing.T) {
	c, err := parseFlags([]string{"-resume", "-latents", "5000"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	saved := &checkpoint{Settings: c.settings, Total: 1}
	saved.Settings.Classes = 2
	if err := c.adopt(saved); err != nil {
		t.Error(err)
	}
}

// An estimator is compared as a value, so its spelling does not matter.
func TestAdoptEstimator(t *testing.T) {
	for _, tc := range []struct{ given, saved, want string }{
		{"rao(10)", "rao(10)", ""},
		{"rao( 10 )", "rao(10)", ""},
		{"gapped(1.0)", "gapped(1)", ""},
		{"", "", ""},
		{"rao(10)", "rao(20)", `-estimator is "rao(10)", but the checkpoint was made with "rao(20)"`},
		{"gumbel", "", `-estimator is "gumbel", but the checkpoint was made with ""`},
		{"", "gumbel", `-estimator is "", but the checkpoint was made with "gumbel"`},
		{"best", "gumbel", `-estimator: ops: ParseEstimator("best")`},
	} {
		c, err := parseFlags([]string{"-resume", "-estimator", tc.given}, nil)
		if err != nil {
			t.Fatal(err)
		}
		saved := &checkpoint{Settings: c.settings, Total: 300}
		saved.Settings.Estimator = tc.saved
		err = c.adopt(saved)
		if tc.want == "" && (err != nil || c.Estimator != tc.saved) {
			t.Errorf("%q resumes %q: %q, error %v", tc.given, tc.saved, c.Estimator, err)
		}
		if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%q resumes %q: error %v, want %q in it", tc.given, tc.saved, err, tc.want)
		}
	}
}

// An error of a resumed run names the flag that the command line has.
func TestAdoptNamesTheFlagGiven(t *testing.T) {
	for args, want := range map[string]string{
		"-resume -epochs 1":                           "at step 1300, past -epochs 1: raise it",
		"-resume -epochs 4":                           `-epochs 4: the checkpoint's -tau "linear(1,0,2000)": is 0 at step 2000`,
		"-resume -steps 3000":                         `-steps 3000: the checkpoint's -tau "linear(1,0,2000)": is 0 at step 2000`,
		"-resume -steps 3000 -tau linear(1.0,0,2000)": `-tau "linear(1,0,2000)": is 0 at step 2000`,
	} {
		c, err := parseFlags(strings.Fields(args), nil)
		if err != nil {
			t.Fatal(err)
		}
		saved := &checkpoint{Settings: c.settings, Total: 1400, History: make([]record, 1300)}
		saved.Settings.Batch, saved.Settings.Tau = 50, "linear(1,0,2000)"
		if err := c.adopt(saved); err == nil || !strings.HasSuffix(err.Error(), want) && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}

func TestCanonical(t *testing.T) {
	for spec, want := range map[string]string{
		"1":     "constant(1)",
		" 1e0 ": "constant(1)",
		"1.0":   "constant(1)",
		jangTau: "exp(1,3e-05).every(1000).atleast(0.5)",
		"exp( 1.0, +0.00003 ) . every(1000).atleast(.50)": "exp(1,3e-05).every(1000).atleast(0.5)",
		"exp(1,-3e-5)": "exp(1,-3e-05)",
		"":             "",
	} {
		if got := canonical(spec); got != want {
			t.Errorf("%q: %q, want %q", spec, got, want)
		}
	}
}

// README's table has each flag once, with its default.
func TestReadmeListsTheFlags(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var help bytes.Buffer
	if _, err := parseFlags([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, line := range regexp.MustCompile(`(?m)^  -([a-z-]+) .*?(?:\(default ([^ :]+)\))?$`).FindAllStringSubmatch(help.String(), -1) {
		name, value := line[1], line[2]
		row := regexp.MustCompile("(?m)^\\| `-"+name+"[ `].*$").FindAllString(string(readme), -1)
		if len(row) != 1 {
			t.Errorf("README explains -%s %d times", name, len(row))
		} else if !strings.Contains(strings.Split(row[0], "|")[2], value) {
			t.Errorf("README says %q, want the default %s", row[0], value)
		}
	}
}
