package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// opShapes are the shapes of BenchmarkOps.
var opShapes = []string{"4096x10", "1024x1000"}

// An opRow compares an op in a graph, on one thread, with PyTorch, whose time is divided
// by ours, or with another case of ours, by whose time ours is divided.
type opRow struct {
	name, pass string  // as in BenchmarkOps
	other      string  // the pass of the other case, or empty for PyTorch
	times      float64 // how often the other case counts; 0 is once
	bound      float64 // of the ratio: the least beside PyTorch, the most beside another case; 0 for none
}

// estimatorRows compare each gradient with that of WithHard.
var estimatorRows = []opRow{
	{name: "straight-through softmax", pass: "softmax/backward", other: "gumbel/backward", bound: 1.25},
	{name: "ReinMax", pass: "reinmax/backward", other: "gumbel/backward", bound: 1.25},
	{name: "gapped straight-through", pass: "gapped/backward", other: "gumbel/backward", bound: 1.25},
	{name: "adaptive gap", pass: "adaptive/backward", other: "gumbel/backward"},
	{name: "Gumbel-Rao, 10 samples", pass: "rao10/backward", other: "gumbel/backward", bound: 10},
	{name: "hard, tau learned", pass: "hard-tau/backward", other: "gumbel/backward", bound: 1.3},
	{name: "soft, tau learned", pass: "soft-tau/backward", other: "soft/backward", bound: 1.3},
}

// besideTorch are ops that PyTorch has too.
var besideTorch = []opRow{
	{name: "RelaxedBernoulli", pass: "relaxed-bernoulli/forward", bound: 6},
	{name: "RelaxedBernoulli", pass: "relaxed-bernoulli/backward", bound: 6},
	{name: "RelaxedBernoulliLogProb", pass: "relaxed-log-prob/forward", bound: 5},
	{name: "RelaxedBernoulliLogProb", pass: "relaxed-log-prob/backward", bound: 5},
	{name: "ConcreteLogProb", pass: "concrete-log-prob/forward", bound: 5},
	{name: "ConcreteLogProb", pass: "concrete-log-prob/backward", bound: 5},
	{name: "CategoricalLogProb", pass: "log-prob/forward"},
	{name: "CategoricalLogProb", pass: "log-prob/backward"},
	{name: "CategoricalEntropy", pass: "entropy/forward"},
	{name: "CategoricalEntropy", pass: "entropy/backward"},
	{name: "CategoricalKL", pass: "kl/forward"},
	{name: "CategoricalKL", pass: "kl/backward"},
	{name: "CategoricalKL, p uniform", pass: "kl-uniform/forward"},
	{name: "CategoricalKL, p uniform", pass: "kl-uniform/backward"},
	{name: "BernoulliKL", pass: "bernoulli-kl/forward"},
	{name: "BernoulliKL", pass: "bernoulli-kl/backward"},
}

// besideCopy are ops whose time is compared with that of copying an array, which reads
// one and writes one. times is half of how many arrays an op reads or writes, if each pass
// does so once.
var besideCopy = []opRow{
	{name: "CategoricalEntropy", pass: "entropy/forward", other: "copy/forward", times: 0.5, bound: 2},
	{name: "CategoricalEntropy", pass: "entropy/backward", other: "copy/forward", times: 1.5, bound: 2},
	{name: "CategoricalLogProb", pass: "log-prob/forward", other: "copy/forward", bound: 2},
	{name: "CategoricalLogProb", pass: "log-prob/backward", other: "copy/forward", times: 2.5, bound: 2},
	{name: "CategoricalKL", pass: "kl/forward", other: "copy/forward", bound: 2},
	{name: "CategoricalKL", pass: "kl/backward", other: "copy/forward", times: 2.5, bound: 2},
	{name: "CategoricalKL, p uniform", pass: "kl-uniform/forward", other: "copy/forward", times: 0.5, bound: 2},
	{name: "CategoricalKL, p uniform", pass: "kl-uniform/backward", other: "copy/forward", times: 1.5, bound: 2},
	{name: "BernoulliKL", pass: "bernoulli-kl/forward", other: "copy/forward", times: 1.5, bound: 2},
	{name: "BernoulliKL", pass: "bernoulli-kl/backward", other: "copy/forward", times: 3.5, bound: 2},
}

// writeOps prints the tables of BenchmarkOps, if one thread was measured.
func (m measurements) writeOps(w io.Writer) error {
	if m[subject{1, "default", "graph", "copy/forward", opShapes[0]}] == nil {
		return nil
	}
	for _, table := range []struct {
		title, theirs string
		rows          []opRow
	}{
		{"Estimators beside `WithHard`", "WithHard", estimatorRows},
		{"Other ops beside PyTorch", "PyTorch", besideTorch},
		{"Other ops beside copying their arrays", "copy", besideCopy},
	} {
		fmt.Fprintf(w, "\n### %s, one thread, in a graph\n\n| float32 | %s | ours | ratio | target | reached |\n|---|--:|--:|--:|--:|---|\n",
			table.title, table.theirs)
		for _, row := range table.rows {
			for _, shape := range opShapes {
				if err := m.writeOp(w, row, shape); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (m measurements) writeOp(w io.Writer, row opRow, shape string) error {
	theirs := subject{1, "torch", "", row.pass, shape}
	if row.other != "" {
		theirs = subject{1, "default", "graph", row.other, shape}
	}
	ours, err := m.medians(subject{1, "default", "graph", row.pass, shape})
	if err != nil {
		return err
	}
	others, err := m.medians(theirs)
	if err != nil {
		return err
	}
	own, other := median(ours), median(others)
	if row.times != 0 {
		other *= row.times
	}
	ratio, sign, met := other/own, "≥", other/own >= row.bound
	if row.other != "" {
		ratio, sign, met = own/other, "≤", own/other <= row.bound
	}
	target, reached := fmt.Sprintf("%s %.3g×", sign, row.bound), "met"
	switch {
	case row.bound == 0:
		target, reached = "–", "–"
	case !met:
		reached = fmt.Sprintf("missed by %.0f %%", 100*math.Abs(ratio/row.bound-1))
	}
	_, pass, _ := strings.Cut(row.pass, "/")
	_, err = fmt.Fprintf(w, "| %s,%s %s | %.2f | %.2f | %.2f | %s | %s |\n", row.name,
		passNames.Replace("/"+pass), strings.ReplaceAll(shape, "x", "×"), other, own, ratio, target, reached)
	return err
}
