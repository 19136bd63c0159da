package main

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestMetrics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.csv")
	history := []record{{1, 500.25, 1.5, 0.0414}, {0.5, 100, 20, 0.08}}
	f, err := createMetrics(path, history)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if err := f.add(3, record{math.Exp(-0.03), 90.123456789, 20, 61.5}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path) // before close, because a killed program loses nothing
	if err != nil {
		t.Fatal(err)
	}
	want := `step,tau,train_nelbo,reconstruction,kl,seconds
1,1,501.75,500.25,1.5,0.041
2,0.5,120,100,20,0.080
3,0.9704455335485082,110.12346,90.12346,20,61.500
`
	if string(got) != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestRecent(t *testing.T) {
	history := []record{{1, 1000, 0, 1}, {0.9, 4, 1, 2}, {0.8, 8, 3, 3}}
	if got, want := recent(history, 2), (record{0.8, 6, 2, 3}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := recent(nil, 5); got != (record{}) {
		t.Errorf("of nothing: %v", got)
	}
}
