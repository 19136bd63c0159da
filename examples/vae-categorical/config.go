package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gumbel-go/gumbel/anneal"
	"github.com/gumbel-go/gumbel/ops"
)

// settings is all that the results of a run depend on, except the images and the
// number of steps. A checkpoint holds it.
type settings struct {
	Hidden    [2]int // widths of the encoder's hidden layers; the decoder mirrors them
	Batch     int
	Latents   int
	Classes   int
	Hard      bool
	Estimator string // as ops.ParseEstimator reads it; empty without one
	Tau       string
	LR        float64
	Seed      uint64
	Binarize  bool
}

// String describes a run in one line.
func (s *settings) String() string {
	samples := "soft samples"
	switch {
	case s.Hard:
		samples = "straight-through samples"
	case s.Estimator != "":
		samples = "hard samples with estimator " + s.Estimator
	}
	return fmt.Sprintf("%d-%d-%d, %d latents of %d classes, %s, %d images per step, seed %d",
		pixels, s.Hidden[0], s.Hidden[1], s.Latents, s.Classes, samples, s.Batch, s.Seed)
}

// config is the parsed command line.
type config struct {
	settings
	steps, epochs int
	evalSamples   int
	every         time.Duration // between saves of the checkpoint; 0 for epochs' ends only
	pieces        int           // of a batch; 0 for one per rank
	timeout       time.Duration // for the other ranks; 0 for none
	out, data     string
	resume, quiet bool
	given         map[string]bool // the flags that the command line sets
}

const (
	maxSteps = 10_000_000
	maxCode  = 16_384 // latents·classes; more is of no use with hidden layers of 512 and 256

	jangTau = "exp(1,3e-5).every(1000).atleast(0.5)"
)

// parseFlags reads the command line without the program's name. With -h it prints
// help to w and returns flag.ErrHelp.
func parseFlags(args []string, w io.Writer) (*config, error) {
	c := &config{settings: settings{Hidden: [2]int{512, 256}}, given: map[string]bool{}}
	fs := flag.NewFlagSet(program, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.IntVar(&c.steps, "steps", 5000, "train up to step `N`, counted from the start of the run, even with -resume")
	fs.IntVar(&c.epochs, "epochs", 0, "train for `N` passes over the training images, instead of -steps")
	fs.IntVar(&c.Batch, "batch", 100, "`N` images per step")
	fs.IntVar(&c.Latents, "latents", 30, "number `N` of categorical latents")
	fs.IntVar(&c.Classes, "classes", 10, "number `K` of classes per latent")
	fs.BoolVar(&c.Hard, "hard", false, "train with straight-through one-hot samples instead of soft samples")
	fs.StringVar(&c.Estimator, "estimator", "", "train with one-hot samples and the gradient `SPEC` (ops.ParseEstimator)")
	fs.StringVar(&c.Tau, "tau", jangTau, "temperature schedule `SPEC` (anneal.Parse)")
	fs.Float64Var(&c.LR, "lr", 1e-3, "initial learning `RATE` of Adam, multiplied by 0.9 every 1000 steps")
	fs.Uint64Var(&c.Seed, "seed", 0, "seed `N` of the weights, batches, samples and binarisation")
	fs.BoolVar(&c.Binarize, "binarize", false, "make each pixel black or white at random, once, instead of keeping greys")
	fs.IntVar(&c.evalSamples, "eval-samples", 0, "also print the bound from `M` samples per image (slow); 0 skips it")
	fs.DurationVar(&c.every, "checkpoint-every", 30*time.Second, "save the checkpoint every `D` and after each epoch; 0: only then")
	fs.StringVar(&c.out, "out", "out", "write all files to `DIR`, and move those of an earlier run to DIR/earlier-N")
	fs.StringVar(&c.data, "data", "", "read the .gz files of MNIST from `DIR` (default: those of the GoMNIST module)")
	fs.BoolVar(&c.resume, "resume", false, "continue from the checkpoint in -out, with its settings for all flags not given")
	fs.IntVar(&c.pieces, "pieces", 0, "sum gradients over `M` pieces of a batch, in one order at any number of ranks")
	fs.DurationVar(&c.timeout, "timeout", 0, "exit after `D` of waiting for another rank; 0: never")
	fs.BoolVar(&c.quiet, "quiet", false, "print only the final results")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			printHelp(fs, w)
		}
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: use flags for all settings", fs.Arg(0))
	}
	fs.Visit(func(f *flag.Flag) { c.given[f.Name] = true })
	return c, c.check()
}

func printHelp(fs *flag.FlagSet, w io.Writer) {
	fmt.Fprintf(w, "usage: go run ./examples/%s [flags]\nTrains a categorical VAE on MNIST.\n\n", program)
	fs.VisitAll(func(f *flag.Flag) {
		name, usage := flag.UnquoteUsage(f)
		line := fmt.Sprintf("  %-19s %s", "-"+f.Name+" "+name, usage)
		if f.DefValue != "" && f.DefValue != "false" && f.Name != "epochs" {
			line += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		fmt.Fprintln(w, line)
	})
}

// check validates the flags as far as possible before any file is read.
func (c *config) check() error {
	switch {
	case c.given["epochs"] && c.given["steps"]:
		return errors.New("-steps and -epochs are both given: use one")
	case c.given["epochs"] && (c.epochs < 1 || c.epochs > maxSteps):
		return fmt.Errorf("-epochs %d: must be 1 to %d", c.epochs, maxSteps)
	case c.evalSamples < 0:
		return fmt.Errorf("-eval-samples %d: must be 0 or more", c.evalSamples)
	case c.every < 0:
		return fmt.Errorf("-checkpoint-every %v: must be 0 or more", c.every)
	case c.pieces < 0:
		return fmt.Errorf("-pieces %d: must be 0 or more", c.pieces)
	case c.timeout < 0:
		return fmt.Errorf("-timeout %v: must be 0 or more", c.timeout)
	case c.out == "":
		return errors.New("-out is empty: name a folder")
	}
	if c.resume {
		return nil // adopt checks the settings of the checkpoint
	}
	if err := c.settings.check(); err != nil {
		return err
	}
	return c.checkSteps()
}

func (s *settings) check() error {
	switch {
	case s.Batch < 1 || s.Batch > trainImages:
		return fmt.Errorf("-batch %d: must be 1 to %d", s.Batch, trainImages)
	case s.Latents < 1 || s.Latents > maxCode:
		return fmt.Errorf("-latents %d: must be 1 to %d", s.Latents, maxCode)
	case s.Classes < 2 || s.Classes > maxCode:
		return fmt.Errorf("-classes %d: must be 2 to %d", s.Classes, maxCode)
	case s.Latents*s.Classes > maxCode:
		return fmt.Errorf("-latents %d of -classes %d: %d units, more than %d", s.Latents, s.Classes, s.Latents*s.Classes, maxCode)
	case !(s.LR > 0) || math.IsInf(s.LR, 0):
		return fmt.Errorf("-lr %v: must be a finite number above 0", s.LR)
	case s.Hard && s.Estimator != "":
		return errors.New("-hard has no effect beside -estimator: leave it out")
	}
	if s.Estimator != "" {
		if _, err := ops.ParseEstimator(s.Estimator); err != nil {
			return fmt.Errorf("-estimator: %w", err)
		}
	}
	if _, err := anneal.Parse(s.Tau); err != nil {
		return fmt.Errorf("-tau: %w", err)
	}
	return nil
}

// checkSteps resolves -epochs, which needs the final -batch. It also computes the
// temperature of every step, so that an invalid one is reported now and not after
// an hour of training.
func (c *config) checkSteps() error {
	if c.given["epochs"] {
		c.steps = c.epochs * (trainImages / c.Batch)
		if c.steps > maxSteps {
			return fmt.Errorf("-epochs %d: is %d steps with -batch %d, must be at most %d", c.epochs, c.steps, c.Batch, maxSteps)
		}
	}
	if c.steps < 1 || c.steps > maxSteps {
		return fmt.Errorf("-steps %d: must be 1 to %d", c.steps, maxSteps)
	}
	tau, err := anneal.Parse(c.Tau)
	if err != nil {
		return fmt.Errorf("-tau: %w", err)
	}
	var prefix string
	if c.resume && !c.given["tau"] {
		prefix = fmt.Sprintf("%s: the checkpoint's ", c.length())
	}
	for step := range c.steps + 1 { // the temperature advances after the last step too
		// In float32, in which training runs, a temperature may round to 0 or Inf.
		if v := float32(tau(step)); !(v > 0) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("%s-tau %q: is %v at step %d; must be finite and above 0, which .atleast(0.5) ensures", prefix, c.Tau, v, step)
		}
	}
	return nil
}

// adopt takes the settings from a checkpoint to resume. Flags that were given
// must agree with them.
func (c *config) adopt(from *checkpoint) error {
	s := from.Settings
	for _, f := range []struct {
		name        string
		mine, saved any
	}{
		{"batch", c.Batch, s.Batch},
		{"latents", c.Latents, s.Latents},
		{"classes", c.Classes, s.Classes},
		{"hard", c.Hard, s.Hard},
		{"lr", c.LR, s.LR},
		{"seed", c.Seed, s.Seed},
		{"binarize", c.Binarize, s.Binarize},
	} {
		if c.given[f.name] && f.mine != f.saved {
			return mismatch(f.name, f.mine, f.saved)
		}
	}
	if c.given["tau"] && canonical(c.Tau) != canonical(s.Tau) {
		if _, err := anneal.Parse(c.Tau); err != nil {
			return fmt.Errorf("-tau: %w", err)
		}
		return mismatch("tau", c.Tau, s.Tau)
	}
	if c.given["estimator"] {
		if err := c.agreeOnEstimator(s.Estimator); err != nil {
			return err
		}
	}
	if s.Hidden != c.Hidden {
		return fmt.Errorf("-resume: the checkpoint has hidden layers of %v, want %v", s.Hidden, c.Hidden)
	}
	c.settings = s
	if !c.given["steps"] && !c.given["epochs"] {
		c.steps = from.Total
	}
	if err := c.checkSteps(); err != nil {
		return err
	}
	if done := len(from.History); done > c.steps {
		return fmt.Errorf("-resume: the checkpoint is at step %d, past %s: raise it", done, c.length())
	}
	return nil
}

// agreeOnEstimator compares the estimator that was given with that of a checkpoint.
func (c *config) agreeOnEstimator(saved string) error {
	if c.Estimator == saved {
		return nil
	}
	mine, err := ops.ParseEstimator(c.Estimator)
	if err != nil && c.Estimator != "" {
		return fmt.Errorf("-estimator: %w", err)
	}
	if other, errSaved := ops.ParseEstimator(saved); err != nil || errSaved != nil || mine != other {
		return mismatch("estimator", strconv.Quote(c.Estimator), strconv.Quote(saved))
	}
	return nil
}

func mismatch(flag string, mine, saved any) error {
	return fmt.Errorf("-resume: -%s is %v, but the checkpoint was made with %v: leave the flag out, or start a new run in another -out", flag, mine, saved)
}

// length returns the flag that sets the number of steps, as it was given.
func (c *config) length() string {
	if c.given["epochs"] {
		return fmt.Sprint("-epochs ", c.epochs)
	}
	return fmt.Sprint("-steps ", c.steps)
}

var number = regexp.MustCompile(`[+-]?([0-9]+(\.[0-9]+)?|\.[0-9]+)([eE][+-]?[0-9]+)?`)

// canonical returns a schedule's one spelling: without spaces, and with each number in
// its shortest form. A number alone is a constant.
func canonical(spec string) string {
	spec = strings.Join(strings.Fields(spec), "")
	if number.FindString(spec) == spec && spec != "" {
		spec = "constant(" + spec + ")"
	}
	return number.ReplaceAllStringFunc(spec, func(text string) string {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return text
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	})
}
