package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

var (
	shapes = []string{"100x20x10", "4096x10", "1024x1000", "64x32000"}
	passes = []string{"soft/forward", "soft/backward", "hard/forward", "hard/backward"}
)

var passNames = strings.NewReplacer("/forward", " forward", "/backward", " forward+backward")

// slack is the part of a one-thread ratio that more threads may lose.
const slack = 0.2

// target is the least ratio that is asked for with one thread, 0 for none.
func target(s subject) float64 {
	long := s.shape == "1024x1000" || s.shape == "64x32000"
	kernel := s.level == "kernel"
	switch {
	case s.build == "purego" && s.pass == "soft/forward" && kernel:
		return 1
	case s.build == "purego":
		return 0
	case s.build == "avx2" && kernel:
		return 6
	case s.build == "avx2":
		return 0
	case s.pass == "soft/forward" && long && kernel:
		return 8
	case s.pass == "soft/forward" && long:
		return 5
	case s.pass == "soft/forward" && kernel:
		return 6
	case s.pass == "soft/forward":
		return 4
	case s.pass == "hard/backward" && kernel:
		return 6
	case s.pass == "hard/backward" && long:
		return 10
	case s.pass == "hard/backward":
		return 6
	}
	return 0
}

// comparison is our time beside PyTorch's for the same work.
type comparison struct {
	torch, ours float64 // ns/element, medians over the rounds
	ratio       float64 // torch/ours
	least, most float64 // of the rounds' own ratios
	target      float64 // 0 for none
}

func (m measurements) compare(s subject) (c comparison, err error) {
	torch, err := m.medians(subject{threads: s.threads, build: "torch", pass: s.pass, shape: s.shape})
	if err != nil {
		return c, err
	}
	ours, err := m.medians(s)
	if err != nil {
		return c, err
	}
	ratios := make([]float64, len(ours))
	for i := range ratios {
		ratios[i] = torch[i] / ours[i]
	}
	c = comparison{torch: median(torch), ours: median(ours), least: slices.Min(ratios), most: slices.Max(ratios)}
	c.ratio = c.torch / c.ours
	c.target, err = m.target(s)
	return c, err
}

// target of one thread is fixed; that of more follows from the ratio that one
// thread has reached, where it was measured.
func (m measurements) target(s subject) (float64, error) {
	if s.threads == 1 {
		return target(s), nil
	}
	s.threads = 1
	if m[s] == nil {
		return 0, nil
	}
	one, err := m.compare(s)
	return (1 - slack) * one.ratio, err
}

func (c comparison) goal() string {
	if c.target == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3g×", c.target)
}

func (c comparison) verdict() string {
	switch {
	case c.target == 0:
		return "–"
	case c.ratio >= c.target:
		return "met"
	}
	return fmt.Sprintf("missed by %.2f (%.0f %%)", c.target-c.ratio, 100*(1-c.ratio/c.target))
}

// write prints a table for each number of threads.
func (m measurements) write(w io.Writer) error {
	threads := map[int]bool{}
	for s := range m {
		threads[s.threads] = true
	}
	var out strings.Builder
	out.WriteString("Times are ns/element, medians over the rounds; a ratio is PyTorch's time over ours, in brackets\n" +
		"the least and the most of the rounds.\n")
	for _, n := range slices.Sorted(maps.Keys(threads)) {
		if err := m.writeTable(&out, n); err != nil {
			return err
		}
	}
	if err := m.writeOps(&out); err != nil {
		return err
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (m measurements) writeTable(w io.Writer, threads int) error {
	fmt.Fprintf(w, "\n### Threads: %d\n\n", threads)
	if threads > 1 {
		fmt.Fprintf(w, "The target is the ratio that one thread reached in this run, less a fifth.\n\n")
	}
	fmt.Fprintln(w, "| float32 | PyTorch | kernel | ratio | graph | ratio | target, kernel / graph | reached, kernel / graph |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|---|")
	for _, pass := range passes {
		for _, shape := range shapes {
			if err := m.writeRow(w, subject{threads: threads, build: "default", pass: pass, shape: shape}); err != nil {
				return err
			}
		}
	}
	for _, build := range []string{"avx2", "purego"} {
		for _, shape := range shapes {
			if err := m.writeRow(w, subject{threads: threads, build: build, pass: passes[0], shape: shape}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m measurements) writeRow(w io.Writer, s subject) error {
	s.level = "kernel"
	kernel, err := m.compare(s)
	if err != nil {
		return err
	}
	s.level = "graph"
	graph, err := m.compare(s)
	if err != nil {
		return err
	}
	name := passNames.Replace(s.pass) + " " + strings.ReplaceAll(s.shape, "x", "×")
	switch s.build {
	case "avx2":
		name += ", AVX2"
	case "purego":
		name += ", pure Go"
	}
	_, err = fmt.Fprintf(w, "| %s | %.2f | %.2f | %s | %.2f | %s | %s / %s | %s / %s |\n",
		name, kernel.torch, kernel.ours, kernel, graph.ours, graph,
		kernel.goal(), graph.goal(), kernel.verdict(), graph.verdict())
	return err
}

func (c comparison) String() string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", c.ratio, c.least, c.most)
}
