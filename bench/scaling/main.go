// Scaling measures how the time and memory of a GumbelSoftmax graph grow with
// the elements, the classes and the threads, prints tables in markdown and
// draws a figure. From the root of the repository:
//
//	go run -C bench/scaling . -figure ../../docs/scaling.png
//
// Each case is measured in its own process, so that its memory is its own. Linux only.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

func main() {
	err := run(os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "scaling: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, w io.Writer) error {
	flags := flag.NewFlagSet("scaling", flag.ContinueOnError)
	figure := flags.String("figure", "../../docs/scaling.png", "draw the figure to `FILE`, a PNG")
	length := flags.Duration("time", 500*time.Millisecond, "measure each case for `TIME`, and five runs at least")
	job := flags.String("job", "", "measure one case, given and printed in `JSON`: what the program runs itself for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see -h", flags.Arg(0))
	}
	if *job != "" {
		return runJob(*job, w)
	}
	sweeps := newSweeps(runtime.GOMAXPROCS(0), *length)
	fmt.Fprintf(w, "%s, %s %s/%s, %d cores. Peak is of the whole process.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	for i := range sweeps {
		if err := sweeps[i].measure(); err != nil {
			return err
		}
		if err := sweeps[i].writeTable(w); err != nil {
			return err
		}
	}
	return drawFigure(sweeps, *figure)
}

func runJob(text string, w io.Writer) error {
	var c job
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return fmt.Errorf("-job %s: %w", text, err)
	}
	r, err := c.measure()
	if err != nil {
		return fmt.Errorf("-job %s: %w", text, err)
	}
	return json.NewEncoder(w).Encode(r)
}
