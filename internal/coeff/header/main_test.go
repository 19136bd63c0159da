package main

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const file = "../../cuda/coeff.cuh"

func TestHeaderIsCurrent(t *testing.T) {
	committed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, header()) {
		t.Errorf("%s is not what the generator writes: run go generate ./internal/coeff", file)
	}
}

// A compiler reads the numbers that the Go kernels use.
func TestLiterals(t *testing.T) {
	constant := regexp.MustCompile(`(?m)^const (\w+) k(\w+) = (\S+);$`)
	literals := map[string]string{}
	for _, m := range constant.FindAllStringSubmatch(string(header()), -1) {
		literals[m[1]+" "+m[2]] = m[3]
	}
	for _, g := range groups {
		for i, want := range g.values {
			literal, bits := literals[g.kind+" "+g.nameOf(i)], 64
			if g.kind == "float" {
				literal, want, bits = strings.TrimSuffix(literal, "f"), float64(float32(want)), 32
			}
			if got, err := strconv.ParseFloat(literal, bits); err != nil || got != want {
				t.Errorf("%s is %q, want %v", g.nameOf(i), literal, want)
			}
		}
	}
}
