package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// reported returns what progress writes in a run whose steps take 10 ms.
func reported(width, total, first int) string {
	var w bytes.Buffer
	clock := time.Unix(0, 0)
	p := newProgress(newConsole(&w), total, first)
	p.width = func() int { return width }
	p.now = func() time.Time { return clock }
	p.started = clock
	history := make([]record, first)
	for step := first; step < total; step++ {
		clock = clock.Add(10 * time.Millisecond)
		history = append(history, record{Tau: 0.5, Reconstruction: float64(step), KL: 20})
		p.report(history)
	}
	p.end()
	return w.String()
}

func TestProgressWithoutTerminal(t *testing.T) {
	for _, tc := range []struct{ total, first, lines int }{
		{200, 0, 20}, {200, 100, 10}, {5, 0, 5}, {107, 0, 22}, {1, 0, 1},
	} {
		got := strings.Split(strings.TrimSuffix(reported(0, tc.total, tc.first), "\n"), "\n")
		if len(got) != tc.lines {
			t.Errorf("%d lines from step %d to %d, want %d:\n%s", len(got), tc.first, tc.total, tc.lines, strings.Join(got, "\n"))
		}
	}
	got := reported(0, 200, 0)
	if strings.ContainsAny(got, "\r\x1b") {
		t.Errorf("control characters: %q", got)
	}
	if want := "100/200  -ELBO 69.50  KL 20.00  tau 0.500  100.0 steps/s  1s left\n"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in it", got, want)
	}
	// The rate is that of this session, which started at step 100.
	if got, want := reported(0, 200, 100), "150/200  -ELBO 72.25  KL 10.00  tau 0.500  100.0 steps/s  1s left\n"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in it", got, want)
	}
}

// counted returns what a counter writes for 2000 parts of 20 ms.
func counted(width int) string {
	var w bytes.Buffer
	clock := time.Unix(0, 0)
	c := newConsole(&w)
	c.width = func() int { return width }
	task := newCounter(c, "evaluating")
	task.now = func() time.Time { return clock }
	task.started, task.shown = clock, clock.Add(firstLine-lineEvery)
	for done := 1; done <= 2000; done++ {
		clock = clock.Add(20 * time.Millisecond)
		task.report(done, 2000)
	}
	c.end()
	return w.String()
}

func TestCounter(t *testing.T) {
	want := `evaluating  100/2000  38s left
evaluating  600/2000  28s left
evaluating  1100/2000  18s left
evaluating  1600/2000  8s left
`
	if got := counted(0); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got := counted(80)
	if n := strings.Count(got, "\r"); n != 401 {
		t.Errorf("%d updates in 40 seconds", n)
	}
	if !strings.HasSuffix(got, "\n") || strings.Count(got, "\n") != 1 || !strings.Contains(got, "] evaluating  1001/2000  20s left\x1b[K") || !strings.Contains(got, "=] evaluating  2000/2000  0s left") {
		t.Errorf("on a terminal: %q", got[len(got)-200:])
	}
}

// A message between updates has its own line.
func TestConsole(t *testing.T) {
	var w bytes.Buffer
	c := newConsole(&w)
	c.update("1/2")
	c.say("stop after %d", 2)
	c.update("2/2")
	c.end()
	c.end()
	if got, want := w.String(), "\r1/2\x1b[K\nstop after 2\n\r2/2\x1b[K\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProgressOnTerminal(t *testing.T) {
	for _, width := range []int{1, 5, 20, 70, 80, 100, 120, 300} {
		got := reported(width, 300, 0)
		if !strings.HasSuffix(got, "\n") || strings.Count(got, "\n") != 1 {
			t.Errorf("width %d: not one line: %q", width, got)
		}
		updates := strings.Split(strings.TrimSuffix(got, "\n"), "\r")[1:]
		if len(updates) < 20 || len(updates) > 40 {
			t.Errorf("width %d: %d updates in 3 seconds", width, len(updates))
		}
		for _, u := range updates {
			if text := strings.TrimSuffix(u, "\x1b[K"); len(text) >= width || text == u {
				t.Errorf("width %d: %d characters in %q", width, len(text), u)
			}
		}
	}
	// A narrow terminal shows whole fields only; 80 columns suffice for a bar.
	if got, want := fit(0.5, "2500/5000  -ELBO 110.25  KL 21.50", 30), "2500/5000  -ELBO 110.25"; got != want {
		t.Errorf("30 columns: %q, want %q", got, want)
	}
	text := "2500/5000  -ELBO 110.25  KL 21.50  tau 0.951  16.5 steps/s  2m30s left"
	if got, want := fit(0.5, text, 79), "[===   ] "+text; got != want {
		t.Errorf("80 columns: %q, want %q", got, want)
	}
	if got := reported(120, 300, 0); !strings.Contains(got, "[=====") || !strings.Contains(got, "=] 300/300") {
		t.Errorf("the bar does not fill: %q", got)
	}
}
