//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// A pipeline such as "vae-categorical 2>&1 | tee log" gets Ctrl-C as a whole. Without
// this, the next message to the pipe would kill the program before it has saved.
func init() { signal.Ignore(syscall.SIGPIPE) }
