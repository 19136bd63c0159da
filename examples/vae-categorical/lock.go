package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lockName is the file in -out that a run locks. It holds the number of the run's
// process, which the error of a second run names.
const lockName = program + ".lock"

// folderLock keeps other runs out of a folder. The operating system releases the
// lock when the process ends, even if it is killed. A file that is left behind locks
// nothing.
type folderLock struct{ file *os.File }

// lockFolder locks a folder, or returns an error without waiting. If the system
// cannot lock, the error is an errors.ErrUnsupported.
func lockFolder(dir string) (*folderLock, error) {
	for {
		f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nil, err
		}
		l := &folderLock{f}
		locked, err := tryLock(f)
		switch {
		case err != nil:
			l.unlock()
			return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
		case !locked:
			err := fmt.Errorf("another run%s is writing to %s: wait for it, stop it, or use another -out", owner(f), dir)
			return nil, errors.Join(err, f.Close())
		case l.held():
			l.sign()
			return l, nil
		}
		f.Close() // another run removed the file between its opening and its locking
	}
}

// owner names the process that holds the lock, if the file says which.
func owner(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	pid, notNumber := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || notNumber != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

// sign writes the number of this process to the locked file. It ignores errors,
// because the lock holds without it.
func (l *folderLock) sign() {
	if l.file.Truncate(0) == nil {
		_, _ = fmt.Fprintln(l.file, os.Getpid())
	}
}

// held reports whether the locked file is still the one in the folder.
func (l *folderLock) held() bool {
	mine, err := l.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(l.file.Name())
	return err == nil && os.SameFile(mine, there)
}

// unlock removes the file before it releases the lock, because afterwards the file
// may be that of another run. Windows does not remove an open file.
func (l *folderLock) unlock() {
	if l.held() {
		os.Remove(l.file.Name())
	}
	l.file.Close()
}
