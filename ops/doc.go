// Package ops has the graph nodes of differentiable discrete sampling: Gumbel
// noise, Gumbel-softmax and relaxed Bernoulli samples, hard concrete gates,
// straight-through samples with a choice of estimators, exact categorical samples, and
// the losses that go with them.
//
// The nodes run on Gorgonia's TapeMachine and LispMachine, in float32 and float64.
// A constructor returns an error for everything that is known when the graph is
// built. A run returns an InputError, and never panics or returns NaN, for a
// temperature that is not positive and finite, a logit that is NaN or +Inf, and a
// distribution whose logits are all -Inf. A logit of -Inf masks its class: its
// sample and its gradient are exactly 0.
//
// Random nodes draw in each run of a machine. The forward and backward passes of a
// run use the same draw, and nodes draw independently of each other. A draw depends
// on the seed of its Source, the order in which the nodes were built from the
// source, the number of the draw, and the row-major index of the element. It does
// not depend on threads, the split of a batch, the processor or the device.
//
// A node reuses the memory of its value and of its gradients: the next run
// overwrites them. gorgonia.Read and gorgonia.BindDualValues copy. The machines of a
// graph share its ops, so a graph is for one goroutine at a time.
//
// With the build tag cuda, the nodes run on the GPU, in a TapeMachine that package vm
// opens: its documentation lists the limits.
package ops
