package main

import (
	"bytes"
	"os"
	"testing"
)

func TestHeaderIsCurrent(t *testing.T) {
	got, err := os.ReadFile("../../constants.cuh")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, header()) {
		t.Error("constants.cuh is not what this command writes: run go generate ./internal/cuda")
	}
}
