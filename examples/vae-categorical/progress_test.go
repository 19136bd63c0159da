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
