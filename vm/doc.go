// Package vm opens, runs and closes Gorgonia's tape machine: on the CPU or,
// with the build tag cuda, on an NVIDIA GPU. A program that opens its machines
// with [New] and reads its gradients with [ReadGradients] runs in both builds.
//
// A [Machine] is a gorgonia.VM that differs from NewTapeMachine's in four ways:
//
//   - New, RunAll and Close return errors where Gorgonia panics: for a graph
//     that does not compile, a device that does not answer, or a kernel that
//     does not load. An error of RunAll unwraps to the error of the node that
//     failed, and a failure of the GPU or its driver is a [DeviceError].
//   - New returns an error if two nodes have the same hash, because Gorgonia would
//     compute only one of them.
//   - With the tag cuda, machines are opened and closed on one OS thread, at
//     times when Gorgonia's engine does not hang, and within a time limit.
//   - With the tag cuda, New and RunAll return an error for graphs and inputs
//     that Gorgonia would compute wrongly.
//
// # Limits with the tag cuda
//
// Where nodes run:
//
//	the nodes of packages ops and layers        on the device
//	Gorgonia's elementwise nodes and products   on the device
//	Gorgonia's sums, means and other nodes      on the CPU, with copies in between
//
// New returns an error for these. All but the last two concern only graphs with
// a node on the device:
//
//	BindDualValues                     the gradients of tensors would be 0: use ReadGradients
//	WithPrecompiled                    CompileFunction reserves no memory on the device
//	WithNaNWatch, WithInfWatch,        they read values before the device has computed them
//	TraceExec
//	Reshape or broadcasting of a       it changes the shape of the node's value itself, and
//	node that other nodes also use     frees its memory too early
//	products of two vectors            Gorgonia has no kernel: use Sum and HadamardProd
//	Gorgonia's nodes of other dtypes   Gorgonia has kernels for float32 and float64 only; a
//	                                   comparison has one if retSame is true
//	more than about 20 of Gorgonia's   they overrun the queue of calls to the driver: put a
//	elementwise nodes in a row         node of package ops or a Read in between. The sum of the
//	                                   gradients to a node with over 20 uses is such a row too
//	Read in a graph with no node on    Gorgonia panics
//	the device
//	a graph that does not compile      as without the tag
//
// RunAll returns an error for an input that is not row-major in memory, such as
// a tensor after T(), or that has another dtype or shape than its node. The
// constructors of package ops return an error for an empty array, because
// Gorgonia panics on one.
//
// The package cannot detect, or cannot change, the rest:
//
//   - Read values with gorgonia.Read: the memory behind a node's Value may be on
//     the device, and the next run reuses it.
//   - LispMachine does not run on CUDA: the nodes of package ops return an error
//     there.
//   - New recognises the options above by their names, and so not inside a
//     function of your own.
//   - After a DeviceError the machine cannot be used again: close it and open
//     another.
//   - Weights and batches are copied to the device in each run.
//   - The first machine of a process waits for the driver to compile the
//     kernels. The driver keeps the result on disk.
//   - A closed machine leaks its compiled program, and each launch of one of
//     Gorgonia's elementwise nodes leaks about 50 bytes of C memory: keep
//     machines and run them often.
//   - A binary built with the tag exits at startup with one sentence on a
//     machine without an NVIDIA driver or GPU: ship a build without the tag as
//     well.
//   - Device 0 is used. On a machine with several GPUs, choose it with
//     CUDA_VISIBLE_DEVICES.
package vm
