package ops

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/node"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// An InputError is the error of a run about an element of an input. It is found
// by errors.As in the error of a machine that package vm has opened. Gorgonia's
// own machines return errors that do not unwrap.
type InputError struct {
	Op    string  // the constructor: "GumbelSoftmax"
	Input string  // "logits", "tau", …
	Index int     // of the element, in row-major order; of the first class if all classes of a distribution are masked
	Value float64 // of the element

	message string
}

func (e *InputError) Error() string { return e.message }

// add adds a node of this package to the graph of its inputs.
func add(s node.Spec, f32 node.Op[float32], f64 node.Op[float64]) (*G.Node, error) {
	s.Package = "ops"
	s.InputError = func(p *node.Problem) error {
		return &InputError{p.Op, p.Input, p.Index, p.Value, "ops: " + p.Error()}
	}
	return node.New(s, f32, f64)
}

// checkTempered checks the inputs of an op with a temperature, and of a density the value.
// name is that of the logits.
func checkTempered(op, name string, logits, tau *G.Node, value ...*G.Node) (tensor.Dtype, error) {
	dt, err := node.FloatType(logits, name)
	for _, v := range value {
		if err == nil {
			err = node.SameArray(v, "value", logits, name)
		}
	}
	if err == nil {
		err = node.Scalar(tau, "tau", logits, name)
	}
	if err != nil {
		return dt, fmt.Errorf("ops: %s: %w", op, err)
	}
	return dt, nil
}

// addNoise adds the inputs that a sampler draws with, and returns the stream of
// its noise, or nil if the noise is given. The logits are the first input of s.
// gradient is the number of the gradient that given noise receives.
func (c config) addNoise(s *node.Spec, logits *G.Node, gradient int) (*stream, error) {
	if c.noise == nil {
		return c.addStream(s), nil
	}
	if err := node.SameArray(c.noise, "noise", logits, s.Inputs[0].Name); err != nil {
		return nil, c.errorf("%w", err)
	}
	s.Inputs = append(s.Inputs, node.In("noise", c.noise, gradient))
	s.Draw = &node.Draw{Deterministic: c.deterministicEval}
	return nil, nil
}

// addStream makes a node draw from the next stream of its source.
func (c config) addStream(s *node.Spec) *stream {
	source := c.source
	if source == nil {
		source = defaultSource
	}
	n := source.get().newStream()
	s.Draw = &node.Draw{Next: n.next, Deterministic: c.deterministicEval}
	return n
}

// temperatureOf returns the temperature of a run.
func temperatureOf[T kernel.Float](a node.Args[T]) (float64, error) {
	tau := float64(a.In("tau")[0])
	if !(tau > 0) || math.IsInf(tau, 1) {
		return 0, &node.Problem{Input: "tau", Value: tau, Text: fmt.Sprintf("tau is %v, want a positive, finite temperature", tau)}
	}
	return tau, nil
}

// noiseOf returns the noise of a run. A nil stream means given noise or none.
func noiseOf[T kernel.Float](n *stream, a node.Args[T]) kernel.Noise[T] {
	switch {
	case a.Draw() < 0:
		return kernel.Noise[T]{}
	case n != nil:
		return kernel.Noise[T]{Stream: n.at(a.Draw(), a.First())}
	}
	return kernel.Noise[T]{Given: a.In("noise")}
}

// planSample returns a sample on a device, of the input called logits.
func planSample[T kernel.Float](d node.Device, out plan.Pointer, logits string, dims kernel.Dims, n *stream) plan.Sample {
	s := plan.Sample{
		Dims: dims, Float: plan.FloatOf[T](), Out: out, Status: d.Status(),
		Logits: d.In(logits), Draw: d.In("draw"), Noise: d.In("noise"),
	}
	if n != nil {
		s.Key = n.key()
	}
	return s
}
