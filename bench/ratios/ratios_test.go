package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	m, err := read(strings.NewReader(`1 2 torch 4096x10 soft/forward 19.5
1 2 default goos: linux
1 2 default BenchmarkGumbelSoftmax/kernel/soft/forward/4096x10-2 	 52	    116292 ns/op	         2.839 ns/element
1 2 default BenchmarkGumbelSoftmax/kernel/soft/forward/4096x10-2 	 62	     83785 ns/op	         2.046 ns/element
1 2 default PASS
1 1 purego BenchmarkGumbelSoftmax/graph/hard/backward/64x32000 1 83785 ns/op 9.5 ns/element 12 B/op
2 2 default BenchmarkGumbelSoftmax/kernel/soft/forward/4096x10-2 	 62	     83785 ns/op	         3 ns/element
`))
	if err != nil {
		t.Fatal(err)
	}
	want := measurements{
		{2, "torch", "", "soft/forward", "4096x10"}:         {1: {19.5}},
		{2, "default", "kernel", "soft/forward", "4096x10"}: {1: {2.839, 2.046}, 2: {3}},
		{1, "purego", "graph", "hard/backward", "64x32000"}: {1: {9.5}},
	}
	if got := fmt.Sprint(m); got != fmt.Sprint(want) {
		t.Errorf("read\n%v, want\n%v", got, want)
	}
}

func TestReadRefuses(t *testing.T) {
	for _, test := range []struct{ line, says string }{
		{"", "no measurements"},
		{"1 1", "want round, threads"},
		{"x 1 torch 4096x10 soft/forward 1", "round"},
		{"1 x torch 4096x10 soft/forward 1", "threads"},
		{"1 1 jax 4096x10 soft/forward 1", `build "jax"`},
		{"1 1 torch 4096x10 1", "want shape"},
		{"1 1 torch 4096x10 soft/forward nan", "not a time"},
		{"1 1 torch 4096x10 soft/forward fast", "invalid syntax"},
		{"1 1 default BenchmarkNoise 5 3 ns/op 1 ns/element", "want Benchmark"},
		{"1 1 default BenchmarkGumbelSoftmax/kernel/soft/forward/4096x10 5 3 ns/op", "no ns/element"},
	} {
		if _, err := read(strings.NewReader(test.line)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: error %v, want one with %q", test.line, err, test.says)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 5}, 5}, {[]float64{8, 1, 4, 2}, 3}} {
		if got := median(test.values); got != test.want {
			t.Errorf("median(%v) is %v, want %v", test.values, got, test.want)
		}
	}
}

// figures are two rounds of all cases: PyTorch takes 16 and 20 ns, kernels 2
// and graphs 4. With two threads, kernels are no faster, all else doubly so.
func figures() string {
	var b strings.Builder
	for round := 1; round <= 2; round++ {
		for threads := 1; threads <= 2; threads++ {
			for _, pass := range passes {
				for _, shape := range shapes {
					fmt.Fprintln(&b, round, threads, "torch", shape, pass, float64(12+4*round)/float64(threads))
					for _, build := range []string{"default", "avx2", "purego"} {
						name := func(level string) string { return "BenchmarkGumbelSoftmax/" + level + "/" + pass + "/" + shape }
						fmt.Fprintln(&b, round, threads, build, name("kernel"), "7 1 ns/op 2 ns/element")
						fmt.Fprintln(&b, round, threads, build, name("graph"), "7 1 ns/op", 4/float64(threads), "ns/element")
					}
				}
			}
		}
	}
	return b.String()
}

// opFigures are a round of BenchmarkOps: PyTorch takes 9 ns, a copy 1, WithHard 4, and
// other ops 2, or 6 with their gradients.
func opFigures() string {
	var b strings.Builder
	ours := func(pass, shape string, ns int) {
		fmt.Fprintf(&b, "1 1 default BenchmarkOps/graph/%s/%s 7 1 ns/op %d ns/element\n", pass, shape, ns)
	}
	for _, shape := range opShapes {
		ours("copy/forward", shape, 1)
		ours("gumbel/backward", shape, 4)
		ours("soft/backward", shape, 4)
		for _, row := range slices.Concat(estimatorRows, besideTorch, besideCopy) {
			fmt.Fprintln(&b, "1 1 torch", shape, row.pass, 9)
			ours(row.pass, shape, map[bool]int{false: 2, true: 6}[strings.HasSuffix(row.pass, "/backward")])
		}
	}
	return b.String()
}

func TestOpTables(t *testing.T) {
	m, err := read(strings.NewReader(opFigures()))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := m.writeOps(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| ReinMax, forward+backward 4096×10 | 4.00 | 6.00 | 1.50 | ≤ 1.25× | missed by 20 % |",
		"| adaptive gap, forward+backward 1024×1000 | 4.00 | 6.00 | 1.50 | – | – |",
		"| RelaxedBernoulli, forward 4096×10 | 9.00 | 2.00 | 4.50 | ≥ 6× | missed by 25 % |",
		"| CategoricalEntropy, forward 4096×10 | 0.50 | 2.00 | 4.00 | ≤ 2× | missed by 100 % |",
		"| BernoulliKL, forward+backward 4096×10 | 3.50 | 6.00 | 1.71 | ≤ 2× | met |",
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("no row\n%s\nin\n%s", want, b.String())
		}
	}
}

func TestTables(t *testing.T) {
	var b strings.Builder
	if err := run(strings.NewReader(figures()), &b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| soft forward 1024×1000 | 18.00 | 2.00 | 9.00 (8.00–10.00) | 4.00 | 4.50 (4.00–5.00) | 8× / 5× | met / missed by 0.50 (10 %) |",
		"| soft forward 4096×10 | 18.00 | 2.00 | 9.00 (8.00–10.00) | 4.00 | 4.50 (4.00–5.00) | 6× / 4× | met / met |",
		"| hard forward+backward 100×20×10 | 18.00 | 2.00 | 9.00 (8.00–10.00) | 4.00 | 4.50 (4.00–5.00) | 6× / 6× | met / missed by 1.50 (25 %) |",
		"| hard forward+backward 64×32000 | 18.00 | 2.00 | 9.00 (8.00–10.00) | 4.00 | 4.50 (4.00–5.00) | 6× / 10× | met / missed by 5.50 (55 %) |",
		"| soft forward 4096×10, AVX2 | 18.00 | 2.00 | 9.00 (8.00–10.00) | 4.00 | 4.50 (4.00–5.00) | 6× / – | met / – |",
		"| hard forward 64×32000 | 18.00 | 2.00 | 9.00 (8.00–10.00) | 4.00 | 4.50 (4.00–5.00) | – / – | – / – |",
		"| soft forward 4096×10, pure Go | 18.00 | 2.00 | 9.00 (8.00–10.00) | 4.00 | 4.50 (4.00–5.00) | 1× / – | met / – |",
		"| soft forward+backward 64×32000 | 9.00 | 2.00 | 4.50 (4.00–5.00) | 2.00 | 4.50 (4.00–5.00) | 7.2× / 3.6× | missed by 2.70 (38 %) / met |",
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("no row\n%s\nin\n%s", want, b.String())
		}
	}
}

func TestTablesWantEveryCase(t *testing.T) {
	without := strings.Replace(figures(), "2 1 torch 4096x10 hard/forward 20\n", "", 1)
	err := run(strings.NewReader(without), &strings.Builder{})
	if err == nil || !strings.Contains(err.Error(), "torch hard/forward 4096x10, threads: 1 was not measured in round 2") {
		t.Errorf("error %v for a round without a case", err)
	}
}

func TestCUDA(t *testing.T) {
	var b strings.Builder
	err := runCUDA(strings.NewReader(`torch eager 1024x1000 soft/forward 0.04
torch compile 1024x1000 soft/forward 0.02
goos: linux
BenchmarkSample/soft/forward/1024x1000-16 52 11629 ns/op 80 %bandwidth 0.010 ns/element
BenchmarkSample/soft/forward/1024x1000-16 52 11629 ns/op 60 %bandwidth 0.006 ns/element
BenchmarkSample/gradient/1024x1000 52 11629 ns/op 70 %bandwidth 0.012 ns/element
PASS
`), &b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| soft forward 1024×1000 | 0.0400 | 0.0200 | 0.0080 | 70 % | 5.00× | 2.50× |",
		"| gradient 1024×1000 | – | – | 0.0120 | 70 % | – | – |",
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("no row\n%s\nin\n%s", want, b.String())
		}
	}
}

func TestCUDARefuses(t *testing.T) {
	for _, test := range []struct{ lines, says string }{
		{"PASS", "no measurements"},
		{"torch eager 64x10 soft/forward 1", "our soft forward 64×10 was not measured"},
		{"torch jit 64x10 soft/forward 1", "want eager or compile"},
		{"torch eager 64x10 soft/forward nan", "not a time"},
		{"BenchmarkSample/64x10 5 3 ns/op", "want BenchmarkSample"},
		{"BenchmarkSample/noise/64x10 5 3 ns/op", "no ns/element"},
		{"BenchmarkSample/noise/64x10 5 3 ns/op 1 ns/element", "no %bandwidth"},
	} {
		if err := runCUDA(strings.NewReader(test.lines), &strings.Builder{}); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: error %v, want %q", test.lines, err, test.says)
		}
	}
}
