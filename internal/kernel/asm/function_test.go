package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const source = `package kernel

import "elsewhere"

type Float interface{ float32 | float64 }

type word interface{ uint32 | uint64 }

type scalars[T Float] struct {
	count uint32
	a, b  T
}

// It refers to what is not there: scale is generated.
func use(x elsewhere.Number) { scale(x) }

func mixGo[T Float](dst, x []T, s *scalars[T], ahead []T) (sum float64, bad bool) {
	for i := range dst {
		dst[i] = x[i]
	}
	return 0, false
}

func findGo[T Float, W word](x []T, at *[16]W, by T) {}

func turnGo(dst, src []float32, classes int) {}

func totalGo[T Float](x []T) (total float64) { return 0 }
`

func readSource(t *testing.T) *kernelSource {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "kernel.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	k, err := readKernel(folder)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// An assembly function gets its parameters by the rules of implement.
func TestStub(t *testing.T) {
	k := readSource(t)
	for name, want := range map[string]map[*level]string{
		"mix": {
			&avx2:       "(dst, x *float32, n int, s *scalars[float32], sum *[16]float64, ahead *float32) (bad uint32)",
			&avx2Double: "(dst, x *float64, n int, s *scalars[float64], sum *[16]float64, ahead *float64) (bad uint32)",
		},
		"find": {
			&avx512:     "(x *float32, n int, at *[16]uint32, by float32)",
			&avx2Double: "(x *float64, n int, at *[16]uint64, by float64)",
		},
		"turn": {&avx512: "(dst, src *float32, classes int)"},
	} {
		f, err := k.function(name)
		if err != nil {
			t.Fatal(err)
		}
		for l, stub := range want {
			if got := f.stub(rows, *l); got != stub {
				t.Errorf("%s has %s, want %s", f.symbol(*l), got, stub)
			}
			if _, err := k.signature("func" + stub); err != nil {
				t.Errorf("%s: %v", f.symbol(*l), err)
			}
		}
	}
}

// The offsets of fields are those of the struct in Go.
func TestOffset(t *testing.T) {
	k := readSource(t)
	f, err := k.function("mix")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		l    level
		want map[string]int
	}{{avx2, map[string]int{"count": 0, "a": 4, "b": 8}}, {avx2Double, map[string]int{"count": 0, "a": 8, "b": 16}}} {
		s, err := k.signature("func" + f.stub(rows, test.l))
		if err != nil {
			t.Fatal(err)
		}
		a := assembler{arguments: arguments{function: f, types: s}}
		for field, want := range test.want {
			if got, err := a.offset("s", field); err != nil || got != want {
				t.Errorf("offset of %s is %d, %v; want %d", field, got, err, want)
			}
		}
		for param, field := range map[string]string{"s": "c", "x": "a", "y": "a"} {
			if got, err := a.offset(param, field); err == nil {
				t.Errorf("offset of %s.%s is %d, want an error", param, field, got)
			}
		}
	}
}

func TestFunctionErrors(t *testing.T) {
	k := readSource(t)
	for name, want := range map[string]string{"missing": "no function missingGo", "total": "returns total"} {
		if _, err := k.function(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", name, err, want)
		}
	}
}

// The dispatch and the fallback call what the rules say.
func TestDispatch(t *testing.T) {
	f, err := readSource(t).function("mix")
	if err != nil {
		t.Fatal(err)
	}
	dispatch, other := string(rows.dispatch([]function{f})), string(fallback([]function{f}))
	for _, want := range []string{
		"func mix[T Float](dst, x []T, s *scalars[T], ahead []T) (sum float64, bad bool) {",
		"x = x[:len(dst)]",
		"case level == levelGo:\nreturn mixGo(dst, x, s, ahead)",
		"case unsafe.Sizeof(T(0)) == 8:\nflags = mix64AVX2((*float64)(unsafe.Pointer(unsafe.SliceData(dst))), ",
		"(*scalars[float64])(unsafe.Pointer(s)), &sums, ",
		"return addLanes(&sums), flags != 0",
		"//\tfor i := range dst {\n//\t\tdst[i] = x[i]\n",
		"func mix32AVX512(dst, x *float32, n int, ",
	} {
		if !strings.Contains(dispatch, want) {
			t.Errorf("the dispatch lacks %q:\n%s", want, dispatch)
		}
	}
	if !strings.Contains(other, "return mixGo(dst, x, s, ahead)") {
		t.Errorf("the fallback is\n%s", other)
	}
}
