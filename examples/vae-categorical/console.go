package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// console writes messages and a progress line to stderr, from any goroutine.
type console struct {
	mu       sync.Mutex
	w        io.Writer
	width    func() int // of the terminal; 0 without one
	openLine bool
}

func newConsole(w io.Writer) *console { return &console{w: w, width: terminalWidth(w)} }

// terminalWidth returns a function that returns the current width of w, because
// windows can be resized.
func terminalWidth(w io.Writer) func() int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() int { return 0 }
	}
	return func() int {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
		return 80
	}
}

// say writes a message on its own line.
func (c *console) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLine()
	fmt.Fprintf(c.w, format+"\n", args...)
}

// update replaces the last line of the terminal, if the last call was an update too.
func (c *console) update(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.openLine = true
	fmt.Fprintf(c.w, "\r%s\x1b[K", line)
}

// end ends the line of update, so that later output starts a new one.
func (c *console) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLine()
}

func (c *console) endLine() {
	if c.openLine {
		fmt.Fprintln(c.w)
		c.openLine = false
	}
}
