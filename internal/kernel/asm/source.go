package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mmcloughlin/avo/gotypes"
)

// kernelSource is what the generator reads of package kernel: the declarations of
// its functions and structs.
type kernelSource struct {
	files     *token.FileSet
	functions map[string]*ast.FuncDecl
	types     *types.Package
}

// readKernel reads the files of the package that are for all platforms. It ignores type
// errors, because these files refer to generated ones, which may not exist yet.
func readKernel(folder string) (*kernelSource, error) {
	k := &kernelSource{files: token.NewFileSet(), functions: map[string]*ast.FuncDecl{}}
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_amd64.go") || strings.HasSuffix(name, "_noasm.go") {
			continue
		}
		file, err := parser.ParseFile(k.files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				k.functions[f.Name.Name] = f
			}
		}
	}
	config := types.Config{IgnoreFuncBodies: true, Error: func(error) {}, Sizes: gotypes.Sizes}
	k.types, _ = config.Check("kernel", k.files, files, nil)
	return k, nil
}

// function reads nameGo: see implement.
func (k *kernelSource) function(name string) (f function, err error) {
	f.name = name
	decl, ok := k.functions[name+"Go"]
	if !ok {
		return f, fmt.Errorf("package kernel has no function %sGo", name)
	}
	f.typeParams, f.params, f.results = k.fields(decl.Type.TypeParams), k.fields(decl.Type.Params), k.fields(decl.Type.Results)
	if f.params[0].isArray() && !slices.ContainsFunc(f.params, func(p variable) bool { return p.typ == "int" }) {
		f.counted = len(decl.Type.Params.List[0].Names)
	}
	for _, r := range f.results {
		if r != (variable{"sum", "float64"}) && r != (variable{"bad", "bool"}) {
			return f, fmt.Errorf("%sGo returns %s %s, want sum float64 or bad bool", name, r.name, r.typ)
		}
	}
	f.body, err = k.body(decl)
	return f, err
}

func (k *kernelSource) fields(list *ast.FieldList) (fields []variable) {
	if list == nil {
		return nil
	}
	for _, group := range list.List {
		for _, name := range group.Names {
			fields = append(fields, variable{name.Name, k.text(group.Type)})
		}
	}
	return fields
}

// text returns the source of an expression.
func (k *kernelSource) text(e ast.Expr) string {
	var b bytes.Buffer
	_ = printer.Fprint(&b, k.files, e) // writes to a buffer do not fail
	return b.String()
}

// body returns the lines of a function's body, without its indentation.
func (k *kernelSource) body(decl *ast.FuncDecl) ([]string, error) {
	begin, end := k.files.Position(decl.Body.Lbrace), k.files.Position(decl.Body.Rbrace)
	source, err := os.ReadFile(begin.Filename)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.Trim(string(source[begin.Offset+1:end.Offset]), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "\t")
	}
	return lines, nil
}

// signature resolves the text of a function type in package kernel.
func (k *kernelSource) signature(text string) (*types.Signature, error) {
	value, err := types.Eval(k.files, k.types, token.NoPos, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	return value.Type.(*types.Signature), nil
}
