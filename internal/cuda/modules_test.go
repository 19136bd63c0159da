package cuda

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gumbel-go/gumbel/internal/cuda/gorgonia"
	"github.com/gumbel-go/gumbel/internal/cuda/module"
	"github.com/gumbel-go/gumbel/internal/cuda/tool/generate/nvcc"
)

// A source is a .cu with its embedded module.
type source struct {
	file   string
	module module.Module
}

func (s source) ptx() string { return strings.TrimSuffix(s.file, ".cu") + ".ptx" }

// sources returns all sources. Modules come in the order of their files.
func sources(t *testing.T) (all []source) {
	t.Helper()
	for folder, modules := range map[string][]module.Module{".": Modules(), "gorgonia": gorgonia.Modules()} {
		files, err := filepath.Glob(filepath.Join(folder, "*.cu"))
		if err != nil || len(files) == 0 || len(files) != len(modules) {
			t.Fatalf("%s has %d sources and %d modules: run go generate (%v)", folder, len(files), len(modules), err)
		}
		for i, file := range files {
			all = append(all, source{file, modules[i]})
		}
	}
	return all
}

// The embedded PTX comes from the sources beside it.
func TestPTXBelongsToSources(t *testing.T) {
	for _, s := range sources(t) {
		t.Run(s.module.Name, func(t *testing.T) {
			hash, err := nvcc.Hash(s.file)
			if err != nil {
				t.Fatal(err)
			}
			if !nvcc.Unchanged([]byte(s.module.PTX), hash) {
				t.Error("the PTX is not what nvcc made of these sources: run go generate")
			}
		})
	}
}

// The compiler returns the same PTX again, from a copy of the sources elsewhere.
func TestPTXIsReproducible(t *testing.T) {
	if !nvcc.Available() {
		t.Skipf("nvcc of release %s is not on the PATH", nvcc.Release)
	}
	elsewhere := t.TempDir()
	if err := os.CopyFS(elsewhere, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	for _, s := range sources(t) {
		t.Run(s.module.Name, func(t *testing.T) {
			t.Parallel()
			ptx, err := nvcc.Compile(filepath.Join(elsewhere, s.file))
			if err != nil {
				t.Fatal(err)
			}
			if string(ptx) != s.module.PTX {
				t.Error("nvcc returns other PTX: run go generate")
			}
		})
	}
}

var (
	usage     = regexp.MustCompile(`Function properties for (\w+)\n\s+(\d+) bytes stack frame, (\d+) bytes spill stores`)
	registers = regexp.MustCompile(`Compiling entry function '(\w+)'[^\0]*?Used (\d+) registers(?:, (\d+) bytes smem)?`)
)

// The assembler accepts the PTX for GPUs from Volta to Hopper, and static shared memory
// fits.
func TestPTXAssembles(t *testing.T) {
	if _, err := exec.LookPath("ptxas"); err != nil {
		t.Skip("no ptxas on the PATH")
	}
	for _, s := range sources(t) {
		for _, arch := range []string{"sm_70", "sm_80", "sm_90"} {
			t.Run(s.module.Name+"/"+arch, func(t *testing.T) {
				t.Parallel()
				cubin := filepath.Join(t.TempDir(), "cubin")
				out, err := exec.Command("ptxas", "-v", "-arch="+arch, s.ptx(), "-o", cubin).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				for _, m := range usage.FindAllStringSubmatch(string(out), -1) {
					if m[2] != "0" || m[3] != "0" {
						t.Logf("%s: a stack of %s bytes, %s spilled", m[1], m[2], m[3])
					}
				}
				for _, m := range registers.FindAllStringSubmatch(string(out), -1) {
					if shared, _ := strconv.Atoi(m[3]); shared > 48<<10 {
						t.Errorf("%s: %d bytes of static shared memory", m[1], shared)
					}
				}
			})
		}
	}
}

var (
	signature = regexp.MustCompile(`\.entry\s+(\w+)\s*\(([^)]*)\)`)
	parameter = regexp.MustCompile(`\.param\s+\.(\w+)`)
)

// The bindings read eight bytes per parameter, and the stand-in finds a kernel by its
// name alone.
func TestEntries(t *testing.T) {
	owner := map[string]string{}
	for _, s := range sources(t) {
		m := s.module
		if len(m.Entries) == 0 {
			t.Errorf("%s has no kernel", m.Name)
		}
		for _, name := range m.Entries {
			if other, ok := owner[name]; ok {
				t.Errorf("both %s and %s have a kernel %s", other, m.Name, name)
			}
			owner[name] = m.Name
		}
		for _, entry := range signature.FindAllStringSubmatch(m.PTX, -1) {
			for _, p := range parameter.FindAllStringSubmatch(entry[2], -1) {
				if p[1] != "u64" && p[1] != "f64" {
					t.Errorf("%s.%s: a parameter of type %s", m.Name, entry[1], p[1])
				}
			}
		}
	}
}

var contractible = regexp.MustCompile(`\b(mul|add|sub)(\.ftz)?\.f(32|64)\b`)

// The assembler may fuse a product and a sum without explicit rounding, and the noise
// would then differ from the CPU's.
func TestRounding(t *testing.T) {
	for _, s := range sources(t) {
		m := s.module
		if found := contractible.FindString(m.PTX); found != "" {
			t.Errorf("%s has %s: compile with -fmad=false", m.Name, found)
		}
		for _, kernel := range strings.Split(m.PTX, ".entry ")[1:] {
			if name := kernel[:strings.Index(kernel, "(")]; strings.HasPrefix(name, "gumbel_") && strings.Contains(kernel, "fma.") {
				t.Errorf("%s.%s multiplies and adds in one", m.Name, name)
			}
		}
	}
}
