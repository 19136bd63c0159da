package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// outputs are the files that a run writes to its folder. The checkpoint is first
// because setAside depends on it.
var outputs = []string{"checkpoint", "metrics.csv", "curves.png", "reconstructions.png", "samples.png", "latents.png"}

// setAside moves the outputs of an earlier run to a new subfolder and returns its
// path, or "" if there are none. Devices and pipes stay. It moves the checkpoint first: if the program is
// killed in between, -resume finds no checkpoint rather than that of another run.
// If a file cannot be moved, all files stay where they were.
func setAside(dir string, rename func(from, to string) error) (folder string, err error) {
	var found []string
	for _, name := range outputs {
		if path := filepath.Join(dir, name); exists(path) && !isSpecial(path) {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return "", nil
	}
	if folder, err = makeEarlier(dir); err != nil {
		return "", err
	}
	for i, name := range found {
		if err := rename(filepath.Join(dir, name), filepath.Join(folder, name)); err != nil {
			for _, moved := range found[:i] {
				err = errors.Join(err, rename(filepath.Join(folder, moved), filepath.Join(dir, moved)))
			}
			return "", errors.Join(err, os.Remove(folder))
		}
	}
	return folder, errors.Join(syncFolder(folder), syncFolder(dir))
}

// earlierFolder returns the folder of the n-th run that was set aside, from 1.
func earlierFolder(dir string, n int) string {
	return filepath.Join(dir, fmt.Sprint("earlier-", n))
}

func makeEarlier(dir string) (string, error) {
	for n := 1; ; n++ {
		folder := earlierFolder(dir, n)
		if err := os.Mkdir(folder, 0o777); !errors.Is(err, fs.ErrExist) {
			return folder, err
		}
	}
}

// lastEarlier returns the folder of the last run that was set aside and can be
// resumed, or "".
func lastEarlier(dir string) (last string) {
	for n := 1; exists(earlierFolder(dir, n)); n++ {
		if folder := earlierFolder(dir, n); exists(filepath.Join(folder, "checkpoint")) {
			last = folder
		}
	}
	return last
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// isSpecial reports whether path is a device or a pipe, or a link to one.
func isSpecial(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&(fs.ModeDevice|fs.ModeNamedPipe) != 0
}

// replaceFile writes a file under a temporary name in the same folder and renames
// it, so that either the old or the new file is there, complete, at any time.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	saving.Lock()
	defer saving.Unlock()
	f, err := os.Create(path + ".tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	w := bufio.NewWriter(f)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename survive a power failure. It ignores the error of a
// file system that cannot sync folders.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
