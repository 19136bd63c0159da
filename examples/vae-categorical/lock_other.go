//go:build !windows && (!unix || aix)

package main

import (
	"errors"
	"os"
)

// tryLock does not exist on this system.
func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
