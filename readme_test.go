package gumbel_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// The program of the README runs, and prints what the README says.
func TestReadmeProgram(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := regexp.MustCompile("(?s)```go\n(package main.*?)```\n\nprints\n\n```\n(.*?)```").FindSubmatch(readme)
	if parts == nil {
		t.Fatal("README.md holds no program with its output")
	}
	program := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(program, parts[1], 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", program).CombinedOutput()
	if err != nil || string(out) != string(parts[2]) {
		t.Errorf("%v; the program prints\n%s\nREADME.md says\n%s", err, out, parts[2])
	}
}
