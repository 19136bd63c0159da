package main

import (
	"bytes"
	"os"
	"testing"
)

func TestCasesAreCurrent(t *testing.T) {
	got, err := os.ReadFile("../cases.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, text()) {
		t.Error("cases.json is not what this command writes: run go generate ./internal/cuda")
	}
}
