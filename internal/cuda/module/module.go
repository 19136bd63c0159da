// Package module reads CUDA modules, which are PTX, and in builds with the tag
// cuda registers them with Gorgonia and launches their kernels.
package module

import (
	"io/fs"
	"regexp"
	"strings"
)

// A Module is the PTX of a family of kernels.
type Module struct {
	Name    string // the part of a Launch.Kernel before the dot
	PTX     string
	Entries []string
}

var entry = regexp.MustCompile(`\.entry\s+(\w+)\s*\(`)

// Read returns a module for each .ptx of a folder, in the order of their names.
// The name of a module is the prefix and the file's name without its extension.
func Read(folder fs.FS, prefix string) []Module {
	files, _ := fs.Glob(folder, "*.ptx") // the pattern is valid
	modules := make([]Module, 0, len(files))
	for _, file := range files {
		text, _ := fs.ReadFile(folder, file) // Glob has listed it
		m := Module{Name: prefix + strings.TrimSuffix(file, ".ptx"), PTX: string(text)}
		for _, match := range entry.FindAllStringSubmatch(m.PTX, -1) {
			m.Entries = append(m.Entries, match[1])
		}
		modules = append(modules, m)
	}
	return modules
}
