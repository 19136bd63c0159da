// Command typecheck checks the types of packages and their tests as built with
// the tag cuda, against the real gorgonia.org/cu, on a machine that has neither
// a GPU nor CUDA's headers.
//
//	go run ./internal/cuda/tool/typecheck [packages]
//
// References to C are not checked. That hides no errors of the project, because only
// the bindings use cgo.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

func main() {
	patterns := os.Args[1:]
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	c := &checker{
		fset:    token.NewFileSet(),
		listed:  map[string]*listing{},
		checked: map[string]*types.Package{},
		errors:  map[string]bool{},
	}
	roots, err := c.list(patterns)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, path := range roots {
		if _, err := c.load(path); err != nil {
			c.report(err)
		}
	}
	if len(c.errors) > 0 {
		fmt.Fprintf(os.Stderr, "%d errors\n", len(c.errors))
		os.Exit(1)
	}
	fmt.Printf("checked %d packages and tests\n", len(roots))
}

// A listing is a package, or a package as built for a test, as go list prints it.
type listing struct {
	ImportPath, Dir, Name string
	GoFiles, CgoFiles     []string
	ImportMap             map[string]string
	DepOnly               bool
	Module                *struct{ Replace *struct{} }
}

// tested reports whether errors in the package count. Those in others are due to C.
func (l *listing) tested() bool { return !l.DepOnly }

type checker struct {
	fset    *token.FileSet
	listed  map[string]*listing
	checked map[string]*types.Package
	errors  map[string]bool
}

// list sets listed, and returns the paths to check.
func (c *checker) list(patterns []string) (roots []string, err error) {
	fields := "-json=ImportPath,Dir,Name,GoFiles,CgoFiles,ImportMap,DepOnly,Module"
	command := exec.Command("go", append([]string{"list", "-tags", "cuda", "-test", "-deps", fields, "--"}, patterns...)...)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	for d := json.NewDecoder(out); ; {
		l := new(listing)
		if err := d.Decode(l); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		c.listed[l.ImportPath] = l
		if l.tested() && !strings.HasSuffix(l.ImportPath, ".test") {
			roots = append(roots, l.ImportPath)
		}
	}
	if cu := c.listed["gorgonia.org/cu"]; cu != nil && cu.Module.Replace != nil {
		return nil, fmt.Errorf("gorgonia.org/cu is replaced: remove the replacement, because types are checked against the real one")
	}
	return roots, command.Wait()
}

func (c *checker) load(path string) (*types.Package, error) {
	if p, ok := c.checked[path]; ok {
		return p, nil
	}
	l := c.listed[path]
	if l == nil {
		return nil, fmt.Errorf("%s is not listed", path)
	}
	var files []*ast.File
	for _, name := range slices.Concat(l.GoFiles, l.CgoFiles) {
		file, err := parser.ParseFile(c.fset, filepath.Join(l.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	config := types.Config{
		Importer:         importer{c, l},
		FakeImportC:      true,
		IgnoreFuncBodies: !l.tested(),
		Sizes:            types.SizesFor("gc", runtime.GOARCH),
		Error: func(err error) {
			if l.tested() {
				c.report(err)
			}
		},
	}
	p, _ := config.Check(path, c.fset, files, nil) // Error has received all errors
	c.checked[path] = p
	return p, nil
}

// report prints an error once, because a package is checked alone and with its tests.
func (c *checker) report(err error) {
	if !c.errors[err.Error()] {
		fmt.Fprintln(os.Stderr, err)
	}
	c.errors[err.Error()] = true
}

// An importer resolves the imports of a package.
type importer struct {
	checker *checker
	from    *listing
}

func (i importer) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if mapped, ok := i.from.ImportMap[path]; ok {
		path = mapped
	}
	return i.checker.load(path)
}
