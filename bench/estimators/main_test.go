package main

import (
	"path/filepath"
	"testing"
)

// ReinMax is unbiased for a quadratic loss at temperature 1, and no other temperature or
// estimator is. The deviation of each is finite and not 0.
func TestMeasure(t *testing.T) {
	for _, c := range curves() {
		for _, tau := range []float64{1, 2} {
			m, err := c.measure(tau, 4096)
			if err != nil {
				t.Fatal(c.name, err)
			}
			if unbiased := m.bias < 1e-12; unbiased != (c.name == "reinmax" && tau == 1) {
				t.Errorf("%s at %v: bias %v", c.name, tau, m.bias)
			}
			if !(m.deviation > 0 && m.deviation < 100) {
				t.Errorf("%s at %v: deviation %v", c.name, tau, m.deviation)
			}
		}
	}
}

func TestRunWritesPicture(t *testing.T) {
	if err := run(filepath.Join(t.TempDir(), "a.png"), 64); err != nil {
		t.Fatal(err)
	}
	if err := run(filepath.Join(t.TempDir(), "none", "a.png"), 64); err == nil {
		t.Error("no error for a folder that does not exist")
	}
}
