// Package gradcheck holds the gradients of a float64 graph against central finite
// differences of its cost. It is for tests.
package gradcheck

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/diff/fd"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/vm"
)

// Tolerance is the most by which an analytic derivative may differ from the numeric
// one, relative to the larger of 1 and the numeric one.
const Tolerance = 1e-6

// Input is a leaf of the graph under check.
type Input struct {
	Name  string
	Shape tensor.Shape // empty for a scalar
	Data  []float64    // row-major; an infinite element stays as it is, and its gradient must be exactly 0
	Fixed bool         // held constant: its gradient is neither asked for nor checked
}

// Build makes a scalar cost from inputs, which come in the order of the list given to
// Check. A graph that draws random numbers also returns rewind, called before each of
// its runs, that puts its source back to where it stood after Build; otherwise nil.
// Build is called once for each machine, and must then draw the same numbers.
type Build func(g *G.ExprGraph, in G.Nodes) (cost *G.Node, rewind func() error, err error)

// Check differentiates the cost of build with respect to every input that is not fixed, on
// a TapeMachine (two runs: the gradients that BindDualValues leaves for a solver, and then
// the value of the nodes that Grad returns) and on a LispMachine. Built for CUDA, it takes
// the second run alone: the rest is not to be had there. It returns an error
// for the worst derivative that finite differences do not confirm, and when the cost
// itself differs from run to run or from machine to machine.
//
// The finite differences are taken of build's cost, or of surrogate's where that is not
// nil: a straight-through op is held against the smooth function whose gradient it borrows.
func Check(build, surrogate Build, inputs []Input) error {
	if surrogate == nil {
		surrogate = build
	}
	p, err := newPoint(inputs)
	if err != nil {
		return fmt.Errorf("gradcheck: Check: %w", err)
	}
	want, err := numeric(surrogate, p)
	if err != nil {
		return fmt.Errorf("gradcheck: Check: finite differences: %w", err)
	}
	runs, err := tape(build, p)
	if err != nil {
		return fmt.Errorf("gradcheck: Check: tape machine: %w", err)
	}
	if !G.CUDA {
		last, err := lisp(build, p)
		if err != nil {
			return fmt.Errorf("gradcheck: Check: lisp machine: %w", err)
		}
		runs = append(runs, last)
	}
	for _, r := range runs {
		if !near(r.cost, runs[0].cost) {
			return fmt.Errorf("gradcheck: Check: %s: the cost is %v, and was %v in the first run: rewind the source", r.name, r.cost, runs[0].cost)
		}
	}
	for _, r := range runs {
		if err := r.compare(p, want); err != nil {
			return fmt.Errorf("gradcheck: Check: %s: %w", r.name, err)
		}
	}
	return nil
}

// coordinate is one number that the cost is differentiated by.
type coordinate struct{ input, element int }

// point is where the gradient is checked.
type point struct {
	inputs []Input
	free   []coordinate
}

func newPoint(inputs []Input) (*point, error) {
	p := &point{inputs: inputs}
	for i, in := range inputs {
		if n := in.Shape.TotalSize(); n != len(in.Data) {
			return nil, fmt.Errorf("input %q: %d values for shape %v: give %d", in.Name, len(in.Data), in.Shape, n)
		}
		for e, v := range in.Data {
			if !in.Fixed && !math.IsInf(v, 0) {
				p.free = append(p.free, coordinate{i, e})
			}
		}
	}
	if len(p.free) == 0 {
		return nil, errors.New("no input to differentiate by: give one that is not fixed")
	}
	return p, nil
}

// at returns the free coordinates of values, one slice for each input.
func (p *point) at(values [][]float64) []float64 {
	x := make([]float64, len(p.free))
	for i, c := range p.free {
		x[i] = values[c.input][c.element]
	}
	return x
}

// values returns the data of every input, freshly allocated, with the free coordinates at x.
func (p *point) values(x []float64) [][]float64 {
	vs := p.origin()
	for i, c := range p.free {
		vs[c.input][c.element] = x[i]
	}
	return vs
}

func (p *point) origin() [][]float64 {
	vs := make([][]float64, len(p.inputs))
	for i, in := range p.inputs {
		vs[i] = slices.Clone(in.Data)
	}
	return vs
}

// numeric returns the derivative of the cost by each free coordinate.
func numeric(build Build, p *point) ([]float64, error) {
	gr, err := newGraph(build, p)
	if err != nil {
		return nil, err
	}
	read := gr.readCost()
	m, err := vm.New(gr.g)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	cost := func(x []float64) float64 {
		if err != nil {
			return 0
		}
		if err = gr.run(m, p.values(x)); err != nil {
			return 0
		}
		defer m.Reset()
		return read()
	}
	want := fd.Gradient(nil, cost, p.at(p.origin()), &fd.Settings{Formula: fd.Central})
	return want, err
}

// run is what one run of one machine gave.
type run struct {
	name      string
	cost      float64
	gradients [][]float64 // one for each input; nil for a fixed one
}

func (r run) compare(p *point, want []float64) error {
	if err := r.masked(p); err != nil {
		return err
	}
	worst, at := 0.0, -1
	for i, got := range p.at(r.gradients) {
		miss := math.Abs(got-want[i]) / math.Max(1, math.Abs(want[i]))
		if math.IsNaN(miss) {
			miss = math.Inf(1)
		}
		if miss > worst {
			worst, at = miss, i
		}
	}
	if worst <= Tolerance {
		return nil
	}
	c := p.free[at]
	return fmt.Errorf("the derivative by %s[%d] is %v, by finite differences %v",
		p.inputs[c.input].Name, c.element, r.gradients[c.input][c.element], want[at])
}

// masked checks that an infinite element has no gradient.
func (r run) masked(p *point) error {
	for i, in := range p.inputs {
		for e, v := range in.Data {
			if !in.Fixed && math.IsInf(v, 0) && r.gradients[i][e] != 0 {
				return fmt.Errorf("the derivative by %s[%d], which is %v, is %v and not 0", in.Name, e, v, r.gradients[i][e])
			}
		}
	}
	return nil
}

// near reports whether a and b are one number but for the order of a sum.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12*math.Max(1, math.Abs(b)) }
