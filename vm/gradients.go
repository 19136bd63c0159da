package vm

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	G "gorgonia.org/gorgonia"
)

const modulePath = "github.com/gumbel-go/gumbel"

// Gradients holds the gradients of a cost by the learnables of a graph, for a
// solver. It replaces gorgonia.BindDualValues, whose gradients are 0 on CUDA.
type Gradients struct{ all []G.ValueGrad }

// ReadGradients makes the machines of a graph keep the gradients to its
// learnables. Call it after gorgonia.Grad or gorgonia.Backpropagate and before
// New. The learnables are variables of one graph.
//
// Unlike those of BindDualValues, the gradients are those of the last run
// alone: they do not add up over runs, even if no solver sets them to zero.
func ReadGradients(learnables ...*G.Node) (*Gradients, error) {
	r := &Gradients{}
	for i, n := range learnables {
		if err := checkLearnable(n); err != nil {
			return nil, fmt.Errorf("vm: ReadGradients: learnable %d: %w", i, err)
		}
		p := &gradient{learnable: n}
		if ownsValue(n) {
			p.node = n.Deriv()
		} else {
			G.Read(n.Deriv(), &p.value)
		}
		r.all = append(r.all, p)
	}
	return r, nil
}

func checkLearnable(n *G.Node) error {
	switch {
	case n == nil:
		return errors.New("is nil")
	case !n.IsVar():
		return fmt.Errorf("%v is not a variable", n)
	case n.Deriv() == nil:
		return fmt.Errorf("%s has no gradient: pass it to gorgonia.Grad or gorgonia.Backpropagate first", n.Name())
	}
	return nil
}

// ownsValue reports whether a solver may change the value of the learnable's
// gradient node, so that no copy is needed. It may if the value is on the host
// and nothing else uses its memory. Ops of this module ensure the latter;
// Gorgonia's may return one of their inputs, even one of the graph's.
func ownsValue(n *G.Node) bool {
	grad := n.Deriv()
	t := reflect.TypeOf(grad.Op())
	ours := t != nil && t.Kind() == reflect.Pointer && strings.HasPrefix(t.Elem().PkgPath(), modulePath+"/")
	return !G.CUDA && ours && len(grad.DerivOf()) == 1
}

// ValueGrads returns the learnables with their gradients, in the order of
// ReadGradients, for a solver: solver.Adam, or any of Gorgonia's except AdamW,
// which needs nodes. They stay valid from run to run.
func (r *Gradients) ValueGrads() []G.ValueGrad { return append([]G.ValueGrad(nil), r.all...) }

// gradient is a learnable with its gradient.
type gradient struct {
	learnable *G.Node
	node      *G.Node // holds the gradient; nil: value does
	value     G.Value
}

func (p *gradient) Name() string   { return p.learnable.Name() }
func (p *gradient) Value() G.Value { return p.learnable.Value() }

// FreshGradient tells solver.Adam that each run overwrites the gradient, so that
// it need not be set to zero.
func (p *gradient) FreshGradient() bool { return true }

func (p *gradient) Grad() (G.Value, error) {
	v := p.value
	if p.node != nil {
		v = p.node.Value()
	}
	if v == nil {
		return nil, fmt.Errorf("vm: the gradient of %s is not computed yet: run the machine first", p.Name())
	}
	return v, nil
}
