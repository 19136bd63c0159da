package main

import (
	"fmt"
	"strings"
	"time"
)

const (
	smoothing    = 100 // steps over which the −ELBO shown is averaged
	refreshEvery = 100 * time.Millisecond
	plainLines   = 20 // per run
	firstLine    = 2 * time.Second
	lineEvery    = 10 * time.Second
	separator    = "  "
)

// progress reports training: on a terminal with one line that it updates,
// otherwise with about 20 plain lines per run.
type progress struct {
	*console
	now     func() time.Time
	total   int
	first   int // steps taken before this session
	started time.Time
	shown   time.Time
}

func newProgress(c *console, total, first int) *progress {
	p := &progress{console: c, now: time.Now, total: total, first: first}
	p.started = p.now()
	return p
}

// report is called after each step.
func (p *progress) report(history []record) {
	step, width := len(history), p.width()
	if width == 0 {
		if every := max(1, p.total/plainLines); step%every == 0 || step == p.total {
			p.say("%s", p.text(history))
		}
		return
	}
	if now := p.now(); step == p.total || now.Sub(p.shown) >= refreshEvery {
		p.shown = now
		p.update(fit(float64(step)/float64(p.total), p.text(history), width-1))
	}
}

func (p *progress) text(history []record) string {
	step, r := len(history), recent(history, smoothing)
	fields := []string{
		fmt.Sprintf("%d/%d", step, p.total),
		fmt.Sprintf("-ELBO %.2f", r.nelbo()),
		fmt.Sprintf("KL %.2f", r.KL),
		fmt.Sprintf("tau %.3f", r.Tau),
	}
	if elapsed := p.now().Sub(p.started); elapsed > 0 && step > p.first {
		each := elapsed / time.Duration(step-p.first)
		left := time.Duration(p.total-step) * each
		fields = append(fields, fmt.Sprintf("%.1f steps/s", 1/each.Seconds()), fmt.Sprintf("%s left", left.Round(time.Second)))
	}
	return strings.Join(fields, separator)
}

// reporter is called with the parts of a task that are done.
type reporter func(done, total int)

func ignore(int, int) {}

// counter reports the parts of a task other than training: on a terminal with one
// line that it updates, otherwise with a line every 10 seconds.
type counter struct {
	*console
	task           string
	now            func() time.Time
	started, shown time.Time
}

func newCounter(c *console, task string) *counter {
	t := &counter{console: c, task: task, now: time.Now}
	t.started = t.now()
	t.shown = t.started.Add(firstLine - lineEvery) // plain lines
	return t
}

func (c *counter) report(done, total int) {
	now, width := c.now(), c.width()
	if since := now.Sub(c.shown); since < refreshEvery && done < total || since < lineEvery && width == 0 {
		return
	}
	c.shown = now
	left := now.Sub(c.started) / time.Duration(done) * time.Duration(total-done)
	text := fmt.Sprintf("%s%s%d/%d%s%s left", c.task, separator, done, total, separator, left.Round(time.Second))
	if width > 0 {
		c.update(fit(float64(done)/float64(total), text, width-1))
	} else {
		c.say("%s", text)
	}
}

// fit puts a bar before the text if there is space, and drops the last fields of a
// text that is too long. It drops whole fields, because half a number would be
// another number.
func fit(done float64, text string, width int) string {
	const shortest, longest = 4, 40 // 80 columns leave 6 for a run of 5000 steps
	bar := min(width-len(text)-len("[] "), longest)
	if bar >= shortest {
		full := int(done * float64(bar))
		return "[" + strings.Repeat("=", full) + strings.Repeat(" ", bar-full) + "] " + text
	}
	for len(text) > width {
		text = text[:max(0, strings.LastIndex(text, separator))]
	}
	return text
}
