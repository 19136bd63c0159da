package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// saving is held while a file is saved.
var saving sync.Mutex

// notify returns the signals that interrupt the program. A program that nohup has
// started keeps ignoring SIGHUP.
func notify() <-chan os.Signal {
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c
}

// handle cancels the program's context at the first signal. At the second it exits,
// after the file that is being saved, if any. No other file can follow.
func handle(signals <-chan os.Signal, cancel context.CancelFunc, exit func(code int)) {
	<-signals
	cancel()
	<-signals
	saving.Lock()
	exit(exitInterrupted)
}
