// Package gradcheck checks the gradients of a Gorgonia graph against finite
// differences, as torch.autograd.gradcheck does for PyTorch.
//
// A test hands Check a function that builds a graph:
//
//	func TestGradients(t *testing.T) {
//		if err := gradcheck.Check(func(g *G.ExprGraph, src *ops.Source) (*G.Node, G.Nodes, error) {
//			logits := G.NewMatrix(g, G.Float64, G.WithShape(2, 3), G.WithName("logits"), G.WithInit(G.Gaussian(0, 1)))
//			tau := G.NewScalar(g, G.Float64, G.WithName("tau"), G.WithValue(0.7))
//			y, err := ops.GumbelSoftmax(logits, tau, ops.WithSource(src))
//			if err != nil {
//				return nil, nil, err
//			}
//			return G.Must(G.Sum(G.Must(G.Square(y)))), G.Nodes{logits, tau}, nil
//		}); err != nil {
//			t.Error(err)
//		}
//	}
//
// If a derivative is wrong, the error is a [Mismatch], which names the machine,
// the input, the element, both values and the tolerance.
//
// # What is checked
//
// Check builds the graph three times: for finite differences, for a TapeMachine
// and for a LispMachine. Each machine is opened once. The gradients are
//
//   - those that the TapeMachine's first run leaves in the dual values, which
//     gorgonia.BindDualValues provides for a solver;
//   - the values of the nodes that gorgonia.Grad returns, in the second run of
//     the same machine, which finds state that an op kept from the first run;
//   - those of the LispMachine.
//
// Each of them is compared with the central difference
//
//	(cost(x+h) − cost(x−h)) / 2h
//
// and may differ from it by the tolerance times max(1, |central difference|).
// An element that is infinite, such as the logit of a masked class, has no
// central difference: its gradient must be exactly 0. It is also an error if a
// run changes the value of an input, if a gradient has another shape than its
// input, or if the cost is not the same in every run.
//
// # Random graphs
//
// Finite differences need a cost that depends on the inputs alone. Check makes
// the source of random numbers from a fixed seed and rewinds it before each
// run, so build must give it to every random node, with ops.WithSource. The
// inputs to differentiate by may be initialised at random, because Check copies
// their values from the first graph into the others. All other data must be the
// same in every call of build.
//
// A straight-through sample has jumps, so its gradient is not its derivative.
// Compare it with the smooth function whose gradient it borrows: see
// [WithSurrogate].
//
// # Precision
//
// Graphs must be float64; float32 is too coarse for finite differences. A
// derivative cannot be checked where the cost has a kink within a step of the
// input, as ReLU has at 0: choose other values. Very large or very small inputs
// need another step: see [WithStep].
//
// # Large models
//
// Each element costs two runs of the forward graph. [WithMaxElements] limits
// the number of elements per input.
//
// # Machines
//
// The LispMachine backpropagates from every node that no other node uses. It
// takes only graphs in which the cost is the only such node; for others use
// [WithoutLispMachine].
//
// Built with the tag cuda, Check takes the TapeMachine's second run alone,
// because Gorgonia's dual values and LispMachine do not work on a GPU.
//
// Check returns the panics of build and of Gorgonia as errors. It cannot do
// that for an op that panics while a machine runs, because machines run ops on
// another goroutine.
//
// # Coming from PyTorch
//
//	torch.autograd.gradcheck         here
//	eps                              WithStep
//	atol, rtol                       WithTolerance
//	fast_mode                        WithMaxElements
//	nondet_tol                       not needed: the source is rewound
//	raise_exception                  Check returns an error
//	module.eval()                    WithEvalMode
//	inputs with requires_grad        the nodes that build returns as wrt
package gradcheck

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/ops"
)

// A Build makes a graph in g. It returns the scalar float64 cost and the inputs
// to differentiate it by: float64 variables that hold a value, such as those
// made with gorgonia.WithValue or gorgonia.WithInit. Every random node must
// draw from src.
//
// Check calls it once per machine. Each call must build the same graph and list
// the same inputs in the same order. It may panic, as gorgonia.Must does: Check
// then returns the panic as an error.
type Build func(g *G.ExprGraph, src *ops.Source) (cost *G.Node, wrt G.Nodes, err error)

// Check returns nil if finite differences confirm the gradients of build's cost
// on every machine. If they do not, the error is a *[Mismatch] for the worst
// element, which errors.As finds. Any other error says why the graph cannot be
// checked. The package documentation has the details.
func Check(build Build, opts ...Option) error {
	if err := check(build, opts); err != nil {
		return fmt.Errorf("gradcheck: Check: %w", err)
	}
	return nil
}

const (
	onTape = "tape machine"
	onLisp = "lisp machine"
	byHand = "finite differences"
)

func check(build Build, opts []Option) error {
	c, err := newConfig(build, opts)
	if err != nil {
		return err
	}
	var (
		gr   *graph
		p    *point
		want [][]float64
		runs []run
	)
	if err := attempt(onTape, func() (err error) {
		if gr, err = c.newGraph(build); err == nil {
			p, err = newPoint(gr, c.maxElements)
		}
		return err
	}); err != nil {
		return err
	}
	if err := attempt(byHand, func() (err error) {
		want, runs, err = c.numeric(p)
		return err
	}); err != nil {
		return err
	}
	if c.surrogate != nil {
		runs = nil // of another cost
	}
	if err := attempt(onTape, func() error {
		r, err := c.tape(gr, p)
		runs = append(runs, r...)
		return err
	}); err != nil {
		return err
	}
	if c.lisp {
		if err := attempt(onLisp, func() error {
			r, err := c.runLisp(p)
			runs = append(runs, r)
			return err
		}); err != nil {
			return err
		}
	}
	if err := sameCosts(runs); err != nil {
		return err
	}
	for _, r := range runs {
		if m := r.mismatch(p, want, c.tolerance); m != nil {
			return m
		}
	}
	return nil
}

// attempt calls f and returns its error, or its panic, with the stage's name.
func attempt(stage string, f func() error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case runtime.Error: // a bug: show where it is
			err = fmt.Errorf("%s: panic: %w\n%s", stage, r, debug.Stack())
		case error:
			err = fmt.Errorf("%s: %w", stage, r)
		default:
			err = fmt.Errorf("%s: panic: %v", stage, r)
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", stage, err)
	}
	return nil
}

// sameCosts checks that the cost is finite and the same in all runs but for the
// order of a sum.
func sameCosts(runs []run) error {
	first := runs[0]
	for _, r := range runs {
		if math.IsNaN(r.cost) || math.IsInf(r.cost, 0) {
			return fmt.Errorf("%s: the cost is %v, want a finite number", r.name, r.cost)
		}
		if math.Abs(r.cost-first.cost) > 1e-12*math.Max(1, math.Abs(first.cost)) {
			return fmt.Errorf("%s: the cost is %v, but %v in %s: %w", r.name, r.cost, first.cost, first.name, errVaries)
		}
	}
	return nil
}

var errVaries = errors.New("give the source to every random node with ops.WithSource, and use the same data in every call of build")
