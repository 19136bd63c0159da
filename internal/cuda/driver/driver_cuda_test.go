//go:build cuda && !windows

package driver

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fake is a driver that finds no GPU.
const fake = `
int cuInit(unsigned flags) { return 100; }
int cuGetErrorName(int error, const char** name) { *name = "CUDA_ERROR_NO_DEVICE"; return 0; }
`

func TestNoDevice(t *testing.T) {
	compiler, err := exec.LookPath(cmp.Or(os.Getenv("CC"), "cc"))
	if err != nil {
		t.Skip("no C compiler")
	}
	library := filepath.Join(t.TempDir(), "libfake.so")
	compile := exec.Command(compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", library)
	compile.Stdin = strings.NewReader(fake)
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program := exec.Command(os.Args[0], "-test.run", "^$")
	program.Env = append(os.Environ(), "LD_PRELOAD="+library)
	out, err := program.CombinedOutput()
	if program.ProcessState == nil || program.ProcessState.ExitCode() != 1 {
		t.Errorf("exit: %v, want code 1", err)
	}
	const want = "this program is built with the tag cuda, and the CUDA driver finds no GPU that it can use (cuInit: error 100 CUDA_ERROR_NO_DEVICE): "
	if text := string(out); !strings.HasPrefix(text, want) || strings.Count(text, "\n") != 1 {
		t.Errorf("printed %q, want one line that begins %q", text, want)
	}
}
