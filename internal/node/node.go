// Package node is the one op that Gorgonia sees. An op of this library says what
// it computes, on slices and as launches on a device; this package adds the node
// to the graph, reads its inputs, and runs its forward and backward passes on
// every machine.
package node

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// An Op computes the value of a node. Its methods do not keep the slices that
// they are given.
type Op[T kernel.Float] interface {
	// Forward sets every element of out. If saved is not empty, Forward also
	// sets what Backward will want of the run: see Differentiable.
	Forward(a Args[T], out, saved []T) error

	// Plan returns the launches that set out on a device.
	Plan(d Device, out plan.Pointer) []plan.Launch
}

// A Differentiable op also computes gradients. They are numbered: an input says
// which one it receives.
type Differentiable[T kernel.Float] interface {
	Op[T]

	// Saves returns the number of elements that Forward saves for Backward,
	// given which gradients the graph wants. If it is 0 for every combination,
	// the gradients depend on the inputs alone.
	Saves(wanted func(gradient int) bool) int

	// Backward sets every element of dst, a gradient, from what Forward saved
	// and the gradient of the output.
	Backward(a Args[T], gradient int, dst, saved, grad []T) error

	// PlanBackward returns the launches that set dst on a device. Nothing is
	// saved there.
	PlanBackward(d Device, gradient int, dst, grad plan.Pointer) []plan.Launch
}

// A Preparer turns the gradient of the output, once per run, into an array that
// all of its gradients start from: Backward and PlanBackward receive that array
// as grad.
type Preparer[T kernel.Float] interface {
	Prepare(dst, saved, grad []T)
	PlanPrepare(d Device, dst, grad plan.Pointer) []plan.Launch
}

// A Spec describes a node.
type Spec struct {
	Package string // of the constructor, for errors
	Name    string
	Dtype   tensor.Dtype
	Shape   tensor.Shape // of the output
	Inputs  []Input
	Draw    *Draw   // of a random op; it becomes the last input
	Anchor  *G.Node // ties the draw to a graph if there are no other inputs

	// PassesGradient makes the gradient of the output the gradient of the first
	// input. The op is then not Differentiable.
	PassesGradient bool

	// Distributions says where the distributions lie in the arrays of a
	// kernel.InputError, and Arrays names these arrays. By default the arrays
	// are the inputs, and have the shape of the first.
	Distributions layout.Distributions
	Arrays        []string

	// InputError makes the error about an element of an input. It may be nil.
	InputError func(p *Problem) error
}

// An Input is a child of a node.
type Input struct {
	Name     string
	Node     *G.Node
	Gradient int // the number of its gradient; inputs that are added share one
}

// NoGradient is the number of a gradient that does not exist.
const NoGradient = -1

// In returns an Input.
func In(name string, n *G.Node, gradient int) Input { return Input{name, n, gradient} }

// New adds a node to the graph of its inputs. The op of its dtype computes it.
func New(s Spec, f32 Op[float32], f64 Op[float64]) (*G.Node, error) {
	anchor, err := s.anchor()
	if err != nil {
		return nil, err
	}
	if s.Draw != nil {
		d, err := newDraw(&s, anchor)
		if err != nil {
			return nil, err
		}
		s.Inputs = append(s.Inputs, Input{"draw", d, NoGradient})
	}
	if s.Dtype == tensor.Float32 {
		return add(&s, f32)
	}
	return add(&s, f64)
}

func add[T kernel.Float](s *Spec, o Op[T]) (*G.Node, error) {
	f := &forward[T]{base: newBase(s.Package, s.Name, s.Dtype, s.Shape, s.children()), spec: s, op: o}
	f.differentiable, _ = o.(Differentiable[T])
	f.preparer, _ = o.(Preparer[T])
	return apply(f, s.children())
}

// anchor returns an input that is in the graph of the node. Constants are in no
// graph until a node takes them.
func (s *Spec) anchor() (*G.Node, error) {
	var first *Input
	for i, in := range s.Inputs {
		switch g := in.Node.Graph(); {
		case g == nil:
		case first == nil:
			first = &s.Inputs[i]
		case g != first.Node.Graph():
			return nil, fmt.Errorf("%s: %s: %s is in another graph than %s: build both in one", s.Package, s.Name, in.Name, first.Name)
		}
	}
	switch {
	case s.Anchor != nil:
		return s.Anchor, nil
	case first == nil:
		return nil, fmt.Errorf("%s: %s: %s is a constant, which is in no graph: make it an input of a graph, such as with gorgonia.NewTensor and WithValue", s.Package, s.Name, s.Inputs[0].Name)
	}
	return first.Node, nil
}

func (s *Spec) children() G.Nodes {
	all := make(G.Nodes, len(s.Inputs))
	for i, in := range s.Inputs {
		all[i] = in.Node
	}
	return all
}

// gradients returns how many gradients the inputs receive.
func (s *Spec) gradients() int {
	n := 0
	for _, in := range s.Inputs {
		n = max(n, in.Gradient+1)
	}
	return n
}

// receivers returns the places of the inputs that receive a gradient.
func (s *Spec) receivers(gradient int) (all []int) {
	for i, in := range s.Inputs {
		if in.Gradient == gradient {
			all = append(all, i)
		}
	}
	return all
}

// Args are the inputs of a run.
type Args[T kernel.Float] struct {
	spec   *Spec
	values [][]T // nil for a draw
	draw   position
}

// In returns the elements of an input, or nil if the op has no input of that
// name.
func (a Args[T]) In(name string) []T {
	for i, in := range a.spec.Inputs {
		if in.Name == name {
			return a.values[i]
		}
	}
	return nil
}

// Draw returns the number of the run's draw. It is negative in a run without
// noise, and 0 for an op that has no draw among its inputs.
func (a Args[T]) Draw() int64 { return a.draw.number }

// First returns the index of the array's first element in the run's draw.
func (a Args[T]) First() uint64 { return uint64(a.draw.first) }

// A Device holds the addresses of the inputs of a run on a device.
type Device struct {
	*plan.Plan
	spec      *Spec
	addresses []plan.Pointer
}

// In returns the address of an input, or 0 if the op has no input of that name.
func (d Device) In(name string) plan.Pointer {
	for i, in := range d.spec.Inputs {
		if in.Name == name {
			return d.addresses[i]
		}
	}
	return 0
}

// Size returns the number of elements of the op's output.
func (d Device) Size() int { return layout.Size(d.spec.Shape) }
