package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// subject is one thing that is measured.
type subject struct {
	threads int
	build   string // torch, default, avx2 or purego
	level   string // kernel or graph; empty for torch
	pass    string // soft, hard or an op, a slash, forward or backward
	shape   string
}

func (s subject) String() string {
	return strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s, threads: %d", s.build, s.level, s.pass, s.shape, s.threads)), " ")
}

// measurements are ns/element, by subject and round.
type measurements map[subject]map[int][]float64

func read(r io.Reader) (measurements, error) {
	m := measurements{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		if err := m.add(strings.Fields(lines.Text())); err != nil {
			return nil, fmt.Errorf("line %d, %q: %w", n, lines.Text(), err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(m) == 0 {
		return nil, errors.New("no measurements: run bench/compare")
	}
	return m, nil
}

// add takes the fields of a line.
func (m measurements) add(fields []string) error {
	if len(fields) < 3 {
		return errors.New("want round, threads, build and a measurement")
	}
	round, err := strconv.Atoi(fields[0])
	if err != nil {
		return fmt.Errorf("round: %w", err)
	}
	threads, err := strconv.Atoi(fields[1])
	if err != nil {
		return fmt.Errorf("threads: %w", err)
	}
	s, rest, ns := subject{threads: threads, build: fields[2]}, fields[3:], 0.0
	switch s.build {
	case "torch":
		ns, err = s.parseTorch(rest)
	case "default", "avx2", "purego":
		if len(rest) == 0 || !strings.HasPrefix(rest[0], "Benchmark") {
			return nil
		}
		ns, err = s.parseGo(rest)
	default:
		return fmt.Errorf("build %q: want torch, default, avx2 or purego", s.build)
	}
	if err != nil {
		return err
	}
	if m[s] == nil {
		m[s] = map[int][]float64{}
	}
	m[s][round] = append(m[s][round], ns)
	return nil
}

func (s *subject) parseTorch(fields []string) (float64, error) {
	if len(fields) != 3 {
		return 0, errors.New("want shape, pass and ns/element")
	}
	s.shape, s.pass = fields[0], fields[1]
	return parseTime(fields[2])
}

// procs is what go test appends to a name where GOMAXPROCS is not 1.
var procs = regexp.MustCompile(`-\d+$`)

func (s *subject) parseGo(fields []string) (float64, error) {
	name := strings.Split(procs.ReplaceAllString(fields[0], ""), "/")
	if len(name) != 5 {
		return 0, errors.New("want Benchmark.../level/soft or hard/pass/shape")
	}
	s.level, s.pass, s.shape = name[1], name[2]+"/"+name[3], name[4]
	return metric(fields, "ns/element")
}

// metric is what go test reports in a unit.
func metric(fields []string, unit string) (float64, error) {
	i := slices.Index(fields, unit)
	if i < 1 {
		return 0, fmt.Errorf("no %s", unit)
	}
	return parseTime(fields[i-1])
}

func parseTime(s string) (float64, error) {
	ns, err := strconv.ParseFloat(s, 64)
	if err == nil && !(ns > 0) {
		err = fmt.Errorf("%q is not a time", s)
	}
	return ns, err
}

// rounds are all that a measurement was made in, in order.
func (m measurements) rounds() []int {
	all := map[int]bool{}
	for _, byRound := range m {
		for round := range byRound {
			all[round] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// medians are those of each round, in order.
func (m measurements) medians(s subject) ([]float64, error) {
	var of []float64
	for _, round := range m.rounds() {
		times := m[s][round]
		if len(times) == 0 {
			return nil, fmt.Errorf("%v was not measured in round %d", s, round)
		}
		of = append(of, median(times))
	}
	return of, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
