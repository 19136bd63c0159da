package vm

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	G "gorgonia.org/gorgonia"
)

const modulePath = "github.com/gumbel-go/gumbel"

// Gradients are those of a graph's cost to its learnables, for a solver. They
// take the place of gorgonia.BindDualValues, which on CUDA gives zeros.
type Gradients struct{ all []G.ValueGrad }

// ReadGradients makes machines of the learnables' graph keep the gradients to
// them. Call it after gorgonia.Grad or gorgonia.Backpropagate and before
// New. The learnables are variables of one graph.
//
// In contrast to BindDualValues, the gradients are those of the last run alone,
// whether or not a solver has set them to zero.
func ReadGradients(learnables ...*G.Node) (*Gradients, error) {
	r := &Gradients{}
	for i, n := range learnables {
		if err := checkLearnable(n); err != nil {
			return nil, fmt.Errorf("vm: ReadGradients: learnable %d: %w", i, err)
		}
		p := &gradient{learnable: n}
		if lasting(n) {
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
		return fmt.Errorf("%s has no gradient: give it to gorgonia.Grad or gorgonia.Backpropagate first", n.Name())
	}
	return nil
}

// lasting tells whether a solver may work on the value of a gradient's node, for
// which nothing need be copied: it lies on the host, and nobody else reads that
// memory. Ops of this module see to the latter. Those of Gorgonia may return
// what they were given, even an input of the graph.
func lasting(n *G.Node) bool {
	grad := n.Deriv()
	t := reflect.TypeOf(grad.Op())
	ours := t != nil && t.Kind() == reflect.Pointer && strings.HasPrefix(t.Elem().PkgPath(), modulePath+"/")
	return !G.CUDA && ours && len(grad.DerivOf()) == 1
}

// ValueGrads are the learnables with their gradients, in the order in which
// they were given, for gorgonia.Solver. They stay valid from run to run.
//
// All of Gorgonia's solvers take them but AdamW, which wants nodes.
func (r *Gradients) ValueGrads() []G.ValueGrad { return append([]G.ValueGrad(nil), r.all...) }

// gradient is a learnable with its gradient: the value of a node, or a copy.
type gradient struct {
	learnable, node *G.Node
	value           G.Value
}

func (p *gradient) Name() string   { return p.learnable.Name() }
func (p *gradient) Value() G.Value { return p.learnable.Value() }

func (p *gradient) Grad() (G.Value, error) {
	v := p.value
	if p.node != nil {
		v = p.node.Value()
	}
	if v == nil {
		return nil, fmt.Errorf("vm: the gradient to %s is not computed yet: run the machine first", p.Name())
	}
	return v, nil
}
