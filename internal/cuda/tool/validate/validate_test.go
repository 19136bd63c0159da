//go:build !race && !purego

// The tests compile C++ and run Python, on which neither tag has an effect.

package validate

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// python returns a Python with numpy. python3 may be one without Debian's packages.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import numpy").Run() == nil {
			return name
		}
	}
	t.Skip("no python3 with numpy")
	return ""
}

// driver compiles the driver on the emulator and returns the environment that selects
// it.
func driver(t *testing.T, flags ...string) []string {
	t.Helper()
	compiler, err := exec.LookPath(cmp.Or(os.Getenv("CXX"), "g++"))
	if err != nil {
		t.Skip("no C++ compiler")
	}
	library := filepath.Join(t.TempDir(), "libcuda.so")
	arguments := append(flags, "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "testdata/fakecuda.cpp", "-o", library, "-ldl")
	if out, err := exec.Command(compiler, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	kernels, err := exec.Command("../emulator/build").Output()
	if err != nil {
		t.Fatalf("emulator/build: %v", err)
	}
	return append(os.Environ(), "LIBCUDA="+library, "CUDA_STANDIN_KERNELS="+strings.TrimSpace(string(kernels)))
}

func run(t *testing.T, environment []string, arguments ...string) (out string, err error) {
	t.Helper()
	command := exec.Command(python(t), append([]string{"validate.py"}, arguments...)...)
	command.Env = environment
	text, err := command.CombinedOutput()
	return string(text), err
}

func TestChecks(t *testing.T) {
	python(t)
	out, err := run(t, driver(t), "--no-times")
	if err != nil || !regexp.MustCompile(`(?m)^\d{3} cases, \d{3} checks, 0 failed`).MatchString(out) {
		t.Errorf("%v\n%s", err, out)
	}
}

// Checks find an element that is wrong, for each kind of case.
func TestFaults(t *testing.T) {
	python(t)
	environment := driver(t, "-DFAULTY")
	for word, want := range map[string]string{
		"noise f32 n=65 draw=0": "FAILED noise f32 n=65 draw=0 key=[0 0] law=[0 1]: out has other bits than the CPU's",
		"sample f32 300×10×1":   "FAILED sample f32 300×10×1: soft has",
		"bce f64":               "FAILED bce f64: loss has 1 elements off, the first is 699",
		"kl f32 41×10×1":        "FAILED kl f32 41×10×1 uniform=true: to_q has",
		"linear f64 65×17×65":   "FAILED linear f64 65×17×65 activation 2: y has",
		"refused hard f32":      "0 failed", // the status is in the lower half of its array
	} {
		out, err := run(t, environment, "--no-times", "--only", word)
		if !strings.Contains(out, want) || (err == nil) != (want == "0 failed") {
			t.Errorf("%s: %v, want %q in\n%s", word, err, want, out)
		}
	}
}

func TestTimes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	python(t)
	out, err := run(t, driver(t), "--only", "large f32 65536")
	if err != nil || !strings.Contains(out, "hard backward  65536×10") || !strings.Contains(out, "1 cases") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestUsage(t *testing.T) {
	python(t)
	environment := append(os.Environ(), "LIBCUDA=/nonexistent/libcuda.so")
	if out, err := run(t, environment); err == nil || !strings.Contains(out, "the NVIDIA driver is not installed") {
		t.Errorf("without a driver: %v\n%s", err, out)
	}
	if out, err := run(t, driver(t), "--only", "nothing"); err == nil || !strings.Contains(out, "no case has 'nothing' in its name") {
		t.Errorf("no case: %v\n%s", err, out)
	}
}
