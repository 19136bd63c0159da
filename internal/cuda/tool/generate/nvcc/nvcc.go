// Package nvcc compiles CUDA sources to PTX that does not depend on the folder, and
// records from which sources a PTX was compiled.
package nvcc

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Release is the release of the toolkit. Another one writes different PTX.
const Release = "11.8"

// Virtual architecture 5.2 is the oldest that the toolkit does not deprecate. Products
// and sums are rounded separately, as on the CPU.
var flags = []string{"-arch=compute_52", "-ptx", "-fmad=false"}

var release = regexp.MustCompile(`release (\d+\.\d+)`)

// Available reports whether nvcc of this release is on the PATH.
func Available() bool {
	out, err := exec.Command("nvcc", "--version").Output()
	if err != nil {
		return false
	}
	found := release.FindSubmatch(out)
	return found != nil && string(found[1]) == Release
}

// Compile returns the PTX of a source, after a line with the hashes of the sources and
// of the PTX.
func Compile(source string) ([]byte, error) {
	if !Available() {
		return nil, fmt.Errorf("nvcc of release %s is not on the PATH", Release)
	}
	hash, err := Hash(source)
	if err != nil {
		return nil, err
	}
	out, err := os.CreateTemp("", "*.ptx")
	if err != nil {
		return nil, err
	}
	out.Close()
	defer os.Remove(out.Name())
	command := exec.Command("nvcc", append(flags, filepath.Base(source), "-o", out.Name())...)
	command.Dir = filepath.Dir(source)
	if message, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %v\n%s", command, err, message)
	}
	ptx, err := os.ReadFile(out.Name())
	if err != nil {
		return nil, err
	}
	ptx = internal.ReplaceAll(ptx, []byte("_INTERNAL_00000000_"))
	return append([]byte(header(hash, ptx)), ptx...), nil
}

// The names of static variables have a number that depends on the folder.
var internal = regexp.MustCompile(`_INTERNAL_[0-9a-f]{8}_`)

var include = regexp.MustCompile(`(?m)^\s*#\s*include\s+"([^"]+)"`)

// Hash returns the SHA-256 of a source, the device headers that it includes, and the
// compiler's release and flags.
func Hash(source string) (string, error) {
	files, err := closure(source, nil)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, Release, flags)
	for _, file := range files {
		text, err := read(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", filepath.Base(file), len(text), text)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// closure lists a file and the device headers that it includes, each once.
func closure(file string, seen []string) ([]string, error) {
	for _, s := range seen {
		if s == file {
			return seen, nil
		}
	}
	text, err := read(file)
	if err != nil {
		return nil, err
	}
	seen = append(seen, file)
	for _, match := range include.FindAllSubmatch(text, -1) {
		if name := string(match[1]); strings.HasSuffix(name, ".cuh") {
			if seen, err = closure(filepath.Join(filepath.Dir(file), name), seen); err != nil {
				return nil, err
			}
		}
	}
	return seen, nil
}

// read returns a file with line feeds, whatever its line ends are.
func read(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), err
}

// header returns the first line of PTX.
func header(sources string, ptx []byte) string {
	return fmt.Sprintf("// sources: %s, PTX: %x\n", sources, sha256.Sum256(ptx))
}

// Unchanged reports whether PTX is the result of Compile for sources with a hash.
func Unchanged(ptx []byte, sources string) bool {
	line, rest, _ := bytes.Cut(ptx, []byte("\n"))
	return string(line)+"\n" == header(sources, rest)
}
