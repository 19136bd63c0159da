package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestProgram is the program in a process, with small hidden layers and fakeImages,
// for the tests that send signals or start several ranks. With KILL_AFTER, it
// kills itself so long after it has found the other ranks.
func TestProgram(t *testing.T) {
	args, ok := os.LookupEnv("RUN_PROGRAM")
	if !ok {
		t.Skip("only for other tests")
	}
	ctx, cancel := context.WithCancel(context.Background())
	go handle(notify(), cancel, os.Exit)
	c, err := parseFlags(strings.Split(args, " "), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	c.Hidden = [2]int{8, 5}
	os.Exit(asRank(os.Stderr, func(*team) error {
		if after, err := time.ParseDuration(os.Getenv("KILL_AFTER")); err == nil {
			time.AfterFunc(after, func() { _ = kill(os.Getpid()) })
		}
		return newSession(ctx, c, os.Stdout, os.Stderr).run(fakeImages)
	}))
}

// kill kills a process, which has no time to clean up.
func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("processes cannot send signals")
	}
	for _, sent := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sent.String(), func(t *testing.T) {
			if signal.Ignored(sent) {
				t.Skip("the tests run under nohup, so the program ignores the signal")
			}
			out := t.TempDir()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			p := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestProgram$")
			p.Env = append(os.Environ(), "RUN_PROGRAM="+fresh+"-steps 10000000 -out "+out)
			stderr, err := p.StderrPipe()
			if err == nil {
				err = p.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			defer p.Process.Kill()
			lines := bufio.NewReader(stderr)
			for line := "Using CUDA build"; strings.Contains(line, "Using CUDA build"); { // Gorgonia's line
				if line, err = lines.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Process.Signal(sent); err != nil {
				t.Fatal(err)
			}
			// As in a pipeline whose other programs are interrupted too, nobody reads
			// what follows.
			stderr.Close()
			var exit *exec.ExitError
			if err := p.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
				t.Errorf("the program ended with %v", err)
			}
			if done := len(saved(t, out).History); done < 1 {
				t.Errorf("the checkpoint is of step %d", done)
			}
			wantAllFiles(t, out)
		})
	}
}

// A second signal ends the program, but never in the middle of a save.
func TestSecondSignal(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	signals, exited := make(chan os.Signal), make(chan int)
	go handle(signals, cancel, func(code int) {
		defer saving.Unlock()
		exited <- code
	})
	path := filepath.Join(t.TempDir(), "file")
	err := replaceFile(path, func(w io.Writer) error {
		signals <- os.Interrupt
		<-ctx.Done()
		signals <- os.Interrupt
		select {
		case <-exited:
			t.Error("exit during a save")
		case <-time.After(50 * time.Millisecond):
		}
		_, err := io.WriteString(w, "saved")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if code := <-exited; code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	if file, err := os.ReadFile(path); string(file) != "saved" {
		t.Errorf("the file holds %q, %v", file, err)
	}
}
