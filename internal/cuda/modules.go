// Package cuda holds the kernels of the library for NVIDIA GPUs, as PTX, and runs
// them in Gorgonia's CUDA tape machine.
//
// Package plan computes the launches. What talks to a device is behind the build
// tag cuda.
package cuda

import (
	"embed"
	"io/fs"
	"regexp"
	"strings"
)

//go:generate go run ./tool/generate

//go:embed *.ptx
var ptx embed.FS

// A Module is the PTX of a family of kernels.
type Module struct {
	Name    string // as launches and Gorgonia's engines name it
	PTX     string
	Entries []string
}

// The families whose modules have another name than the file: Gorgonia's
// engines look up those of elembinop and elemunaryop.
var names = map[string]string{
	"sample": "gumbel_sample",
	"loss":   "gumbel_loss",
	"linear": "gumbel_linear",
}

var entry = regexp.MustCompile(`\.entry\s+(\w+)\s*\(`)

// Modules returns all kernels, the modules in the order of their files.
func Modules() []Module {
	files, _ := fs.Glob(ptx, "*.ptx") // the pattern is sound
	modules := make([]Module, 0, len(files))
	for _, file := range files {
		text, _ := ptx.ReadFile(file) // Glob has listed it
		family := strings.TrimSuffix(file, ".ptx")
		m := Module{Name: family, PTX: string(text)}
		if name, ok := names[family]; ok {
			m.Name = name
		}
		for _, match := range entry.FindAllStringSubmatch(m.PTX, -1) {
			m.Entries = append(m.Entries, match[1])
		}
		modules = append(modules, m)
	}
	return modules
}
