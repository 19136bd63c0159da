package node

import (
	"strings"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// SymDiff adds a node for each gradient to the graph.
func (f *forward[T]) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	if f.spec.PassesGradient {
		return append(G.Nodes{grad}, make(G.Nodes, len(in)-1)...), nil
	}
	if f.differentiable == nil {
		return f.base.SymDiff(in, out, grad)
	}
	f.receive(in)
	if f.preparer != nil {
		var err error
		if grad, err = f.addBackward(".prepare", prepare, f.shape, in, out, grad); err != nil {
			return nil, err
		}
	}
	grads := make(G.Nodes, len(in))
	for gradient := range f.spec.gradients() {
		receivers := f.spec.receivers(gradient)
		n, err := f.addBackward(".grad."+f.spec.names(receivers), gradient, in[receivers[0]].Shape(), in, out, grad)
		if err != nil {
			return nil, err
		}
		for _, i := range receivers {
			grads[i] = n
		}
	}
	return grads, nil
}

// receive notes which nodes receive gradients.
func (f *forward[T]) receive(in G.Nodes) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wrt == nil {
		f.wrt = make([]G.Nodes, f.spec.gradients())
	}
	for i, input := range f.spec.Inputs {
		if k := input.Gradient; k != NoGradient {
			f.wrt[k] = append(f.wrt[k], in[i])
		}
	}
}

func (s *Spec) names(inputs []int) string {
	var names []string
	for _, i := range inputs {
		names = append(names, s.Inputs[i].Name)
	}
	return strings.Join(names, "+")
}

// prepare is the gradient number of the node that prepares for all gradients.
const prepare = -1

func (f *forward[T]) addBackward(suffix string, gradient int, shape tensor.Shape, in G.Nodes, out, grad *G.Node) (*G.Node, error) {
	b := &backward[T]{forward: f, gradient: gradient}
	children := append(G.Nodes{}, in...)
	if b.usesSaved() {
		// It identifies the run, and forward runs first. Nobody reads its
		// elements, because later nodes may overwrite them.
		children = append(children, out)
	}
	children = append(children, grad)
	b.base = newBase(f.pkg, f.name+suffix, f.dtype, shape, children)
	return apply(b, children)
}

// backward computes one gradient of a forward op, or prepares for all of them.
// Its children are those of the forward op, the output if it uses what forward
// saved, and the gradient of the output.
type backward[T kernel.Float] struct {
	base
	forward  *forward[T]
	gradient int
	dst      buffer[T]
}

// usesSaved reports whether the node needs what forward saved.
func (b *backward[T]) usesSaved() bool {
	f := b.forward
	return f.saves(always) > 0 && (f.preparer == nil || b.gradient == prepare)
}

func always(int) bool { return true }

func (b *backward[T]) wanted() bool { return b.gradient == prepare || b.forward.wanted(b.gradient) }

func (b *backward[T]) Do(values ...G.Value) (G.Value, error) {
	f, dst := b.forward, b.dst.ofShape(b.shape)
	if !b.wanted() {
		return layout.Value(b.shape, dst), nil
	}
	inputs := len(f.inputs)
	a, err := f.read(values[:inputs])
	if err != nil {
		return nil, err
	}
	grad, err := read[T](&f.base, "the gradient of the output", values[len(values)-1], f.shape)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var saved []T
	if b.usesSaved() {
		if saved, err = f.savedBy(values[inputs], a); err != nil {
			return nil, err
		}
	}
	if b.gradient == prepare {
		f.preparer.Prepare(dst, saved, grad)
	} else if err := f.differentiable.Backward(a, b.gradient, dst, saved, grad); err != nil {
		return nil, f.explain(f.spec, err)
	}
	return layout.Value(b.shape, dst), nil
}

// savedBy returns what forward saved in the run that returned out, a run with
// these inputs.
func (f *forward[T]) savedBy(out G.Value, a Args[T]) ([]T, error) {
	if out != nil && f.output == out {
		return f.saved.data, nil
	}
	saved := make([]T, f.saves(always))
	if len(saved) == 0 {
		return nil, nil
	}
	return saved, f.explain(f.spec, f.op.Forward(a, make([]T, layout.Size(f.shape)), saved))
}
