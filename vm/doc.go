// Package vm runs Gorgonia's tape machine in either build: on the CPU
// without the tag cuda, on a GPU with it. A program that opens its machines
// here and reads its gradients by ReadGradients needs no other change.
//
// A Machine is a gorgonia.VM that differs from NewTapeMachine's in that
//
//   - opening, running and closing return errors: a graph that does not
//     compile, a device that is not there, a kernel that does not load;
//   - on CUDA, opening and closing keep to one OS thread and to the moments at
//     which Gorgonia's engine does not hang, and have a time limit;
//   - on CUDA, what Gorgonia would compute wrongly without a word is refused,
//     as far as it can be told from the graph and its inputs.
//
// # What Gorgonia's CUDA machine cannot do
//
// New refuses, for graphs that have anything to do on the device:
//
//   - BindDualValues, which leaves zeros for the gradients of tensors: use
//     ReadGradients;
//   - WithPrecompiled, for CompileFunction reserves no memory on the device;
//   - WithNaNWatch, WithInfWatch and TraceExec, which look at values before
//     they are computed;
//   - Reshape, and broadcasting, which uses it, of what another node takes too:
//     it gives that value the new shape, and lets its memory go while the
//     result is still in use;
//   - products of two vectors, and nodes of Gorgonia's own of other dtypes than
//     float32 and float64, for which it has no kernels;
//   - long stretches of Gorgonia's own elementwise nodes, over 20 or so, with
//     nothing between them that empties the queue of calls to the driver: any
//     node of package ops does, and so does a Read. The gradients to a node
//     that over 20 others take are such a stretch too, of their sums.
//
// It refuses a Read in a graph that has nothing to do on the device, at which
// Gorgonia panics.
//
// RunAll refuses inputs that do not lie in memory row by row, such as a tensor
// with a pending T(). Of what neither can tell:
//
//   - LispMachine does not run on CUDA: the nodes of package ops return an
//     error there.
//   - An option that is wrapped in a function of your own is not recognised.
//   - A machine with nodes on the device leaves its compiled program behind
//     when it is closed: keep machines and run them often, rather than opening
//     one for each batch.
//   - Each launch of Gorgonia's own elementwise nodes leaves some 50 bytes of C
//     memory behind: the bindings never free its parameters.
//
// Values are to be read by gorgonia.Read: what a node's Value returns may lie
// in memory of the device, which the next run uses again.
package vm
