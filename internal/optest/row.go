// Package optest is the conformance suite of package ops: it runs every check that
// every op must pass, given a row per op.
package optest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// A Row is an op with what its checks need. What the op can do follows from the
// constructor: whether it is random, and whether it has an axis. A row without what
// such an op needs fails.
type Row struct {
	Op any // the constructor

	// Nodes are the op with every combination of inputs and options that takes
	// another path.
	Nodes []Node

	// Gradients are costs whose gradients finite differences must confirm.
	Gradients []Gradient

	// NoGradient says that no gradient flows through the op, which is also checked.
	NoGradient bool

	// Masks are nodes with an input called masked. The gradient of a masked class
	// must be exactly 0, whatever reaches it. So must the node's value, if it has
	// the input's shape.
	Masks []Node

	BuildErrors []BuildError
	RunErrors   []RunError

	// Values are worked examples.
	Values []Value

	// Evals are nodes of a random op with WithDeterministicEval, and their values
	// under gorgonia.EvalMode.
	Evals []Eval

	// Laws are statistical tests of a random op.
	Laws []Law

	// Golden returns the cases of the golden file. An op that no other library has
	// says why in NoGolden.
	Golden   func(t *testing.T) []GoldenCase
	NoGolden string
}

// A Node builds a node of the op from a builder's inputs.
type Node struct {
	Name  string
	Build func(b *Builder) *G.Node
	Exact bool // its value has the same bits on every device
}

// A Gradient is a cost and, if the cost has jumps, the smooth one whose gradient it
// borrows.
type Gradient struct {
	Name            string
	Cost, Surrogate func(b *Builder) *G.Node
}

// A BuildError is a call of the constructor that must return an error. The builder's
// shape is (2, 6).
type BuildError struct {
	Name  string
	Build func(b *Builder) (*G.Node, error)
	Want  string // a regular expression
}

// A RunError is a run that must return an InputError. The builder's shape is (2, 3).
type RunError struct {
	Build func(b *Builder) *G.Node
	Data  map[string][]float64 // of inputs; others have that of the builder
	Want  string               // a regular expression
	Input string               // of the InputError
	Index int
}

// An Eval is a node and its value under gorgonia.EvalMode.
type Eval struct {
	Name  string
	Build func(b *Builder) *G.Node
	Want  func(b *Builder) []float64
}

// A Law is a statistical test.
type Law struct {
	Name string
	Test func(t *testing.T)
}

// name returns the name of the constructor.
func (r Row) name() string {
	full := runtime.FuncForPC(reflect.ValueOf(r.Op).Pointer()).Name()
	return full[strings.LastIndex(full, ".")+1:]
}

// takes reports whether an option of type O is an option of the op.
func takes[O any](r Row) bool {
	f := reflect.TypeOf(r.Op)
	return f.IsVariadic() && reflect.TypeFor[O]().AssignableTo(f.In(f.NumIn()-1).Elem())
}

func (r Row) random() bool { return takes[ops.SourceOption](r) }
func (r Row) axes() bool   { return takes[ops.DistributionOption](r) }
func (r Row) evals() bool  { return takes[ops.DrawOption](r) }

// check fails if the row lacks what its op needs.
func (r Row) check(t *testing.T) {
	t.Helper()
	for what, missing := range map[string]bool{
		"Nodes":       len(r.Nodes) == 0,
		"Gradients":   len(r.Gradients) == 0,
		"BuildErrors": len(r.BuildErrors) == 0,
		"Evals":       r.evals() && len(r.Evals) == 0,
		"Laws":        r.random() && len(r.Laws) == 0,
		"Golden":      (r.Golden == nil) == (r.NoGolden == ""),
	} {
		if missing {
			t.Errorf("the row of %s lacks %s", r.name(), what)
		}
	}
}

// Run runs every check for every row. It fails if a constructor of package ops, whose
// source is in dir, has no row.
func Run(t *testing.T, dir string, rows []Row) {
	if restarted(t, rows) {
		return
	}
	checkRows(t, dir, rows)
	for _, r := range rows {
		t.Run(r.name(), func(t *testing.T) {
			r.check(t)
			r.testGradients(t)
			r.testBuildErrors(t)
			r.testRunErrors(t)
			for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
				t.Run(dt.String(), func(t *testing.T) {
					r.testRuns(t, dt)
					r.testMasks(t, dt)
					r.testValues(t, dt)
					r.testEmpty(t, dt)
					r.testEvals(t, dt)
					r.testDevice(t, dt)
				})
			}
			r.testIdentity(t)
			r.testMemory(t)
			r.testGolden(t)
			for _, law := range r.Laws {
				if !testing.Short() {
					t.Run(law.Name, law.Test)
				}
			}
		})
	}
	testRestart(t, rows)
}

// checkRows compares the rows with the constructors of package ops: its exported
// functions that return a node and an error.
func checkRows(t *testing.T, dir string, rows []Row) {
	t.Helper()
	var have, want []string
	for _, r := range rows {
		have = append(have, r.name())
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of package ops in %s: %v", dir, err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			want = append(want, constructors(t, file)...)
		}
	}
	for _, name := range want {
		if !slices.Contains(have, name) {
			t.Errorf("ops.%s has no row", name)
		}
	}
}

func constructors(t *testing.T, file string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !f.Name.IsExported() || f.Type.Results.NumFields() != 2 {
			continue
		}
		pointer, ok := f.Type.Results.List[0].Type.(*ast.StarExpr)
		if !ok {
			continue
		}
		if s, ok := pointer.X.(*ast.SelectorExpr); ok && s.Sel.Name == "Node" {
			names = append(names, f.Name.Name)
		}
	}
	return names
}
