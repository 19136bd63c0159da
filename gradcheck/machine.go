package gradcheck

import (
	"errors"

	"gonum.org/v1/gonum/diff/fd"
	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/vm"
)

// numeric returns the central difference of each checked element of each input,
// and the runs at the point itself, before and after.
func (c *config) numeric(p *point) (want [][]float64, at []run, err error) {
	build := c.build
	if c.surrogate != nil {
		build = c.surrogate
	}
	gr, err := c.newGraph(build)
	if err != nil {
		return nil, nil, err
	}
	if err := gr.bind(p); err != nil {
		return nil, nil, err
	}
	f := &function{gr: gr}
	gr.read(gr.cost, &f.cost)
	if f.m, err = vm.New(gr.g, c.machine...); err != nil {
		return nil, nil, err
	}
	defer f.m.Close()

	at = []run{{name: byHand + ", first run", cost: f.value()}}
	if f.err == nil {
		f.err = errors.Join(gr.checkUntouched(p), sameCosts(at))
	}
	for i, in := range p.inputs {
		want = append(want, f.differences(gr.leaves[i], in, c.step))
	}
	at = append(at, run{name: byHand + ", last run", cost: f.value()})
	if f.err == nil {
		f.err = sameCosts(at)
	}
	return want, at, f.err
}

// function is the cost as a function of the inputs. After an error it is 0.
type function struct {
	gr   *graph
	m    G.VM
	cost G.Value
	err  error
}

func (f *function) value() float64 {
	if f.err != nil {
		return 0
	}
	if f.err = f.gr.run(f.m); f.err != nil {
		return 0
	}
	defer f.m.Reset()
	return f.cost.Data().(float64)
}

// differences returns the central difference of each checked element.
func (f *function) differences(l leaf, in *input, step float64) []float64 {
	all := make([]float64, len(in.checked))
	for k, e := range in.checked {
		all[k] = fd.Derivative(func(x float64) float64 {
			l.set(e, x)
			return f.value()
		}, in.values[e], &fd.Settings{Formula: fd.Central, Step: step})
		l.set(e, in.values[e])
	}
	return all
}

// tape runs a TapeMachine twice: for the dual values, which it has on the CPU
// alone, and for the nodes of gorgonia.Grad.
func (c *config) tape(gr *graph, p *point) ([]run, error) {
	if err := gr.bind(p); err != nil {
		return nil, err
	}
	nodes, err := G.Grad(gr.cost, gr.wrt...)
	if err != nil {
		return nil, err
	}
	values := make([]G.Value, len(nodes))
	for i, n := range nodes {
		gr.read(n, &values[i])
	}
	var cost G.Value
	gr.read(gr.cost, &cost)
	opts := c.machine
	if !G.CUDA {
		opts = append(opts[:len(opts):len(opts)], G.BindDualValues(gr.wrt...))
	}
	m, err := vm.New(gr.g, opts...)
	if err != nil {
		return nil, err
	}
	defer m.Close()

	var runs []run
	if !G.CUDA {
		first, err := gr.differentiate(m, p, &cost, gr.dualValue)
		if err != nil {
			return nil, err
		}
		first.name = onTape + ", dual values"
		runs = append(runs, first)
		m.Reset()
	}
	second, err := gr.differentiate(m, p, &cost, func(i int) (G.Value, error) { return values[i], nil })
	second.name = onTape + ", second run"
	return append(runs, second), err
}

// runLisp runs a LispMachine, which can run only once, on its own graph,
// because it refuses the nodes of gorgonia.Grad.
func (c *config) runLisp(p *point) (run, error) {
	gr, err := c.newGraph(c.build)
	if err != nil {
		return run{}, err
	}
	if err := gr.bind(p); err != nil {
		return run{}, err
	}
	if err := gr.checkRoots(); err != nil {
		return run{}, err
	}
	m := G.NewLispMachine(gr.g, c.machine...)
	defer m.Close()
	r, err := gr.differentiate(m, p, nil, gr.dualValue)
	r.name = onLisp
	return r, err
}

func (gr *graph) dualValue(i int) (G.Value, error) { return gr.wrt[i].Grad() }

// differentiate runs a machine once. The cost is what a Read of it has left, or
// the value of its node.
func (gr *graph) differentiate(m G.VM, p *point, cost *G.Value, gradient func(i int) (G.Value, error)) (run, error) {
	if err := gr.run(m); err != nil {
		return run{}, err
	}
	if err := gr.checkUntouched(p); err != nil {
		return run{}, err
	}
	gradients, err := gr.gradients(p, gradient)
	if err != nil {
		return run{}, err
	}
	value := gr.cost.Value()
	if cost != nil {
		value = *cost
	}
	return run{cost: value.Data().(float64), gradients: gradients}, nil
}
