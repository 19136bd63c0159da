package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot"
)

// TestMain lets the test's binary stand for the program that a job spawns.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-job" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestSpawn(t *testing.T) {
	j := job{Elements: 100_000, Classes: 10, Threads: 1, Time: time.Millisecond}
	forward, err := j.spawn()
	if err != nil {
		t.Fatal(err)
	}
	j.Backward = true
	both, err := j.spawn()
	if err != nil {
		t.Fatal(err)
	}
	const sample = 400_000 // bytes
	for _, r := range []result{forward, both} {
		if r.Time <= 0 || r.Peak < 2*sample {
			t.Errorf("%+v: want a time, and a peak of at least %d bytes", r, 2*sample)
		}
		// A run reuses the memory of the last one.
		if r.Allocated <= 0 || r.Allocated > 10_000 {
			t.Errorf("%+v: a run allocates %d bytes, want 1 to 10,000", r, r.Allocated)
		}
	}
	if both.Allocated <= forward.Allocated {
		t.Errorf("forward and backward allocate %d bytes, forward %d: want more", both.Allocated, forward.Allocated)
	}
}

func TestMeasureRefusesBrokenDistributions(t *testing.T) {
	for _, j := range []job{{Elements: 25, Classes: 10}, {Elements: 5, Classes: 10}, {Elements: 10}} {
		if _, err := j.measure(); err == nil || !strings.Contains(err.Error(), "whole distributions") {
			t.Errorf("%+v: error %v", j, err)
		}
	}
}

func TestSweeps(t *testing.T) {
	for i, want := range []struct{ first, last, cases int }{{100, 10_000_000, 11}, {2, 65_536, 16}, {1, 6, 8}} {
		s := newSweeps(6, time.Second)[i]
		first, last := s.grows(s.cases[0].job), s.grows(s.cases[len(s.cases)-1].job)
		if first != want.first || last != want.last || len(s.cases) != want.cases {
			t.Errorf("%s: %d cases from %d to %d, want %+v", s.title, len(s.cases), first, last, want)
		}
		for _, c := range s.cases {
			if c.Elements%c.Classes != 0 {
				t.Errorf("%s: %d elements of %d classes", s.title, c.Elements, c.Classes)
			}
		}
	}
	if got := upTo(8); !slices.Equal(got, []int{1, 2, 4, 8}) {
		t.Errorf("threads up to 8 are %v", got)
	}
}

func TestTable(t *testing.T) {
	s := newSweeps(2, time.Second)[0]
	s.cases = s.cases[:1]
	s.cases[0].forward = result{Time: 250, Allocated: 2300, Peak: 15_400_000}
	s.cases[0].both = result{Time: 400, Allocated: 4200, Peak: 15_600_000}
	var b bytes.Buffer
	if err := s.writeTable(&b); err != nil {
		t.Fatal(err)
	}
	const want = "| 100 | 10 | 2 | 2.50 | 2.3 kB | 15.4 MB | 4.00 | 4.2 kB | 15.6 MB |\n"
	if !strings.HasSuffix(b.String(), want) {
		t.Errorf("table\n%swant it to end with\n%s", b.String(), want)
	}
}

// A machine of one core has one point on the axis of threads.
func TestFigure(t *testing.T) {
	for _, threads := range []int{1, 4} {
		sweeps := newSweeps(threads, time.Second)
		for i := range sweeps {
			for j := range sweeps[i].cases {
				c := &sweeps[i].cases[j]
				c.forward = result{Time: time.Duration(30_000 + 4*c.Elements), Allocated: 2000 + 4*c.Elements, Peak: 15_000_000 + 20*c.Elements}
				c.both = c.forward
			}
		}
		path := filepath.Join(t.TempDir(), "new", "figure.png")
		if err := drawFigure(sweeps, path); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if config, err := png.DecodeConfig(f); err != nil || config.Width != 1400 || config.Height != 800 {
			t.Errorf("threads: %d: figure of %d × %d, error %v", threads, config.Width, config.Height, err)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, test := range []struct {
		name      string
		ticks     plot.Ticker
		low, high float64
		want      string
	}{
		{"one decade", plot.TickerFunc(decimalTicks), 3, 60, "5 10 20 50"},
		{"many decades", plot.TickerFunc(decimalTicks), 0.004, 200, "0.01 0.1 1 10 100"},
		{"powers of ten", plot.TickerFunc(powerTicks), 87, 1.15e7, "10² 10³ 10⁴ 10⁵ 10⁶ 10⁷"},
		{"doublings", doublings(1), 0.87, 4.6, "1 2 4"},
		{"every third doubling", doublings(3), 1.7, 7e4, "2 16 128 1024 8192 65536"},
	} {
		var labels []string
		for _, tick := range test.ticks.Ticks(test.low, test.high) {
			if tick.Label != "" {
				labels = append(labels, tick.Label)
			}
		}
		if got := strings.Join(labels, " "); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{{"more"}, {"-job", "{"}, {"-job", `{"Elements":5,"Classes":2}`}} {
		if err := run(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
