// Package ops holds the graph nodes of differentiable discrete sampling:
// Gumbel noise, Gumbel-softmax and straight-through samples, exact categorical
// samples, the losses that go with them, and a linear layer.
//
// The nodes run on Gorgonia's TapeMachine and LispMachine, for float32 and
// float64. A constructor returns an error for whatever can be known when the
// graph is built. What only a run can show comes as an error from RunAll, never
// as a panic or a NaN: a temperature that is not positive and finite, a logit
// that is NaN or +Inf, a distribution whose logits are all -Inf. A logit of
// -Inf masks its class: sample and gradient are exactly 0 there. Linear alone,
// which samples nothing, lets a NaN through.
//
// Random nodes draw anew in each run of a machine, the same for forward and
// backward of that run, and independently of each other. What they draw depends
// on the seed of their Source, the order in which they were built from it, the
// number of the draw and the element's row-major index; not on threads, batch
// splits, the processor or the device.
//
// Built with the tag cuda, the nodes run on the GPU, in a TapeMachine alone. Open
// it by package vm: left alone, Gorgonia's may hang, or give wrong values
// where it mixes up its memory. A LispMachine's run is then an error, and so is a
// node of an array without elements.
//
// Machines of one graph share its ops: run a graph on one goroutine at a time.
package ops
