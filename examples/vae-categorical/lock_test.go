package main

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lockedByProcess starts a process that locks a folder until it is killed. It returns
// the process when the folder is locked.
func lockedByProcess(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run", "^TestLockHolder$")
	c.Env = append(os.Environ(), "HOLD_LOCK_OF="+dir)
	stdout, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the process printed %q, %v", line, err)
	}
	return c
}

// TestLockHolder is the process of lockedByProcess.
func TestLockHolder(t *testing.T) {
	dir := os.Getenv("HOLD_LOCK_OF")
	if dir == "" {
		t.Skip("only for other tests")
	}
	l, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.unlock() // the garbage collector would close the file of a lock that is not used again
	fmt.Println("locked")
	time.Sleep(time.Hour)
}

func skipWithoutLocks(t *testing.T) {
	t.Helper()
	l, err := lockFolder(t.TempDir())
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.unlock()
}

// A second run changes nothing, however it starts. The lock of a killed run blocks
// nobody.
func TestSecondRun(t *testing.T) {
	skipWithoutLocks(t)
	out := t.TempDir()
	finish(t, out, fresh+"-steps 2")
	first := lockedByProcess(t, out)
	before := files(t, out)
	for _, args := range []string{fresh + "-steps 3", "-resume -steps 3", "-resume", "-resume -eval-samples 2", "-latents 2 -steps 1 -batch 2"} {
		c := newCall()
		c.load = noData(t)
		code, stdout, stderr := c.run(t, out, "-quiet "+args)
		if code != exitError || stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q", args, code, stdout)
		}
		wantMessage(t, stderr, "-out: another run", fmt.Sprintf("(process %d)", first.Process.Pid), "writing to "+out+":", "use another -out")
		if !maps.Equal(files(t, out), before) {
			t.Errorf("%s: the folder has changed", args)
		}
	}
	finish(t, t.TempDir(), fresh+"-steps 1") // in another folder
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	first.Wait()
	if _, err := os.Stat(filepath.Join(out, lockName)); err != nil {
		t.Fatalf("the killed run left no lock file: %v", err)
	}
	finish(t, out, "-resume -steps 3")
	wantAllFiles(t, out)
}

// Of two runs that start at once in a folder that does not exist, one is refused.
func TestSecondRunInNewFolder(t *testing.T) {
	skipWithoutLocks(t)
	out := filepath.Join(t.TempDir(), "out")
	c := newCall()
	c.load = func(dir string) (*dataset, error) {
		if err := os.Mkdir(out, 0o777); err != nil {
			t.Fatal(err)
		}
		lockedByProcess(t, out)
		return fakeImages(dir)
	}
	if code, _, stderr := c.run(t, out, fresh+"-steps 1 -quiet"); code != exitError || !strings.Contains(stderr, "-out: another run") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if found := files(t, out); len(found) != 1 {
		t.Errorf("the second run wrote %v", found)
	}
}

func TestLockFolder(t *testing.T) {
	skipWithoutLocks(t)
	dir := t.TempDir()
	path := filepath.Join(dir, lockName)
	first, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := lockFolder(dir); err == nil {
		l.unlock()
		t.Fatal("locked twice")
	}
	if err := os.Truncate(path, 0); err != nil { // as before the first run has signed it
		t.Fatal(err)
	}
	if _, err := lockFolder(dir); err == nil || !strings.Contains(err.Error(), "another run is writing to "+dir) {
		t.Errorf("error %v", err)
	}
	first.unlock()
	again, err := lockFolder(dir)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	again.unlock()
	if _, err := lockFolder(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no folder: error %v", err)
	}
}
