// Package emulator tests the header that runs CUDA kernels on the CPU.
package emulator

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestEmulator(t *testing.T) {
	compiler, err := exec.LookPath(cmp.Or(os.Getenv("CXX"), "g++"))
	if err != nil {
		t.Skip("no C++ compiler")
	}
	for name, flags := range map[string][]string{
		"assembly": nil,
		"ucontext": {"-DCUDA_EMULATOR_UCONTEXT"},
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "selftest")
			flags = append(flags, "-std=c++17", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "testdata/selftest.cpp", "-o", program, "-pthread")
			if out, err := exec.Command(compiler, flags...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, order := range []string{"", "reverse"} {
				command := exec.Command(program)
				command.Env = append(os.Environ(), "CUDA_EMULATOR_ORDER="+order)
				out, err := command.CombinedOutput()
				if err != nil {
					t.Errorf("order %q: %v\n%s", order, err, out)
				}
				t.Logf("order %q:\n%s", order, out)
			}
		})
	}
}
