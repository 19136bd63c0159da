//go:build unix && !aix

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks a file until it is closed. It reports false if another process, or
// another open file of this one, has locked it.
func tryLock(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case errors.Is(err, unix.ENOLCK): // a network file system without locks
			err = fmt.Errorf("%w: %w", err, errors.ErrUnsupported)
		}
		return err == nil, err
	}
}
