// Package gumbel is the front page of a library for differentiable discrete
// sampling with Gorgonia (https://gorgonia.org). It has no code. The packages are
//
//   - [github.com/gumbel-go/gumbel/ops]: graph nodes: Gumbel noise, Gumbel-softmax
//     and straight-through samples, exact categorical samples, losses;
//   - [github.com/gumbel-go/gumbel/layers]: layers of a model: linear, sequential,
//     categorical latent;
//   - [github.com/gumbel-go/gumbel/anneal]: schedules of a temperature, and the
//     node that follows one;
//   - [github.com/gumbel-go/gumbel/solver]: an Adam solver that can be saved and
//     resumed;
//   - [github.com/gumbel-go/gumbel/mpi]: training on several processes and machines;
//   - [github.com/gumbel-go/gumbel/gradcheck]: a check of a graph's gradients
//     against finite differences, for tests;
//   - [github.com/gumbel-go/gumbel/vm]: Gorgonia's tape machine, on the CPU or, with
//     the build tag cuda, on a GPU.
//
// A sample is a node of a graph:
//
//	src := ops.NewSource(42)
//	y, err := ops.GumbelSoftmax(logits, tau, ops.WithSource(src))
//
// The README of the repository has complete programs, and examples/vae-categorical
// trains a categorical variational autoencoder on MNIST.
package gumbel
