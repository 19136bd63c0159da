package gumbel_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The program of the README runs, and prints what the README says.
func TestReadmeProgram(t *testing.T) {
	parts := regexp.MustCompile("(?s)```go\n(package main.*?)```\n\nprints\n\n```\n(.*?)```").FindStringSubmatch(readme(t))
	if parts == nil {
		t.Fatal("README.md holds no program with its output")
	}
	program := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(program, []byte(parts[1]), 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", program).CombinedOutput()
	if err != nil || string(out) != parts[2] {
		t.Errorf("%v; the program prints\n%s\nREADME.md says\n%s", err, out, parts[2])
	}
}

// The figures of the README are lines of BENCHMARKS.md.
func TestReadmeFigures(t *testing.T) {
	blocks := regexp.MustCompile("(?s)<!-- figures -->\n(.*?)<!-- end of figures -->").FindAllStringSubmatch(readme(t), -1)
	if len(blocks) == 0 {
		t.Fatal("README.md has no block of figures")
	}
	measured, err := os.ReadFile("BENCHMARKS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range blocks {
		for line := range strings.Lines(block[1]) {
			if !strings.Contains(string(measured), line) {
				t.Errorf("BENCHMARKS.md lacks the README's line %q", line)
			}
		}
	}
}

// snippetFile is a program of the README's snippets, each with the variables that
// the text around it speaks of.
const snippetFile = `package main

import (
	"encoding/gob"
	"os"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/anneal"
	"github.com/gumbel-go/gumbel/blas"
	"github.com/gumbel-go/gumbel/gradcheck"
	"github.com/gumbel-go/gumbel/mpi"
	"github.com/gumbel-go/gumbel/ops"
	"github.com/gumbel-go/gumbel/solver"
	"github.com/gumbel-go/gumbel/vm"
)

var (
	_ = gob.NewEncoder
	_ = gradcheck.Check
	_ = solver.NewAdam
	_ = vm.New
	_ = anneal.Parse
	_ = mpi.Init
	_ = blas.Implementation{}
)

func main() {}
`

const snippetFunction = `
func snippet%d(g *G.ExprGraph, logits, tau, cost *G.Node, learnables G.Nodes, weights []*tensor.Dense,
	src *ops.Source, temperature *anneal.Temperature, adam *solver.Adam, file *os.File,
	machine *vm.Machine, model []G.ValueGrad, losses []float64, batch, steps int) (err error) {
	{
%s
	}
	return err
}
`

// The snippets of the README compile. They may leave variables unused.
func TestReadmeSnippets(t *testing.T) {
	text := snippetFile
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readme(t), -1)
	for i, snippet := range snippets {
		if !strings.HasPrefix(snippet[1], "package main") {
			text += fmt.Sprintf(snippetFunction, i, snippet[1])
		}
	}
	if len(snippets) < 2 {
		t.Fatal("README.md holds no snippets")
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command("go", "build", "-gcflags=-e", "-o", os.DevNull, file).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "declared and not used") {
			t.Error(line)
		}
	}
}
