package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
)

// sweep is a row of cases of which one size grows.
type sweep struct {
	title string
	of    string // what a run is, where that stays
	ticks plot.Ticker
	grows func(job) int
	pair  bool // of series: the one with 10 classes, the other with 1000
	cases []measured
}

// measured is a case, forward alone and with backward.
type measured struct {
	job
	forward, both result
}

// newSweeps are all that is measured: elements, then classes, both with all
// threads, and threads.
func newSweeps(threads int, length time.Duration) []sweep {
	elements := sweep{
		title: "elements", pair: true,
		grows: func(j job) int { return j.Elements }, ticks: plot.TickerFunc(powerTicks),
	}
	for _, classes := range []int{10, 1000} {
		for n := max(100, classes); n <= 10_000_000; n *= 10 {
			elements.add(job{Elements: n, Classes: classes, Threads: threads, Time: length})
		}
	}
	classes := sweep{
		title: "classes", of: " of 1,048,576 elements",
		grows: func(j job) int { return j.Classes }, ticks: doublings(3),
	}
	for k := 2; k <= 65_536; k *= 2 {
		classes.add(job{Elements: 1 << 20, Classes: k, Threads: threads, Time: length})
	}
	cores := sweep{
		title: "threads", of: " of 1,000,000 elements", pair: true,
		grows: func(j job) int { return j.Threads }, ticks: doublings(1),
	}
	for _, classes := range []int{10, 1000} {
		for _, n := range upTo(threads) {
			cores.add(job{Elements: 1_000_000, Classes: classes, Threads: n, Time: length})
		}
	}
	return []sweep{elements, classes, cores}
}

// upTo are the powers of 2 below n, and n.
func upTo(n int) []int {
	var all []int
	for p := 1; p < n; p *= 2 {
		all = append(all, p)
	}
	return append(all, n)
}

func (s *sweep) add(j job) { s.cases = append(s.cases, measured{job: j}) }

func (s *sweep) measure() (err error) {
	for i := range s.cases {
		c := &s.cases[i]
		if c.forward, err = c.spawn(); err != nil {
			return err
		}
		both := c.job
		both.Backward = true
		if c.both, err = both.spawn(); err != nil {
			return err
		}
	}
	return nil
}

// with are the cases of so many classes.
func (s *sweep) with(classes int) []measured {
	return slices.DeleteFunc(slices.Clone(s.cases), func(m measured) bool { return m.Classes != classes })
}

// perElement is a run's time in ns/element.
func (m measured) perElement(r result) float64 {
	return float64(r.Time.Nanoseconds()) / float64(m.Elements)
}

func (s *sweep) writeTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### By %s\n\n", s.title)
	fmt.Fprintln(&b, "| elements | classes | threads | forward, ns/element | allocated | peak | forward+backward, ns/element | allocated | peak |")
	fmt.Fprintln(&b, "|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, m := range s.cases {
		fmt.Fprintf(&b, "| %d | %d | %d | %.2f | %s | %s | %.2f | %s | %s |\n", m.Elements, m.Classes, m.Threads,
			m.perElement(m.forward), size(m.forward.Allocated), size(m.forward.Peak),
			m.perElement(m.both), size(m.both.Allocated), size(m.both.Peak))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// size writes a number of bytes.
func size(n int) string {
	if n < 1_000_000 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
