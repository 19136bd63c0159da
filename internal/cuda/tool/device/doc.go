// Package device runs launches through the bindings alone, without Gorgonia, for the
// tests of the kernels:
//
//	d := device.Open(t)
//	out := device.Alloc[float32](d, n)
//	d.Run(plan.BCE(plan.Float32, out, device.Upload(d, logits), …))
//	got := device.Download[float32](d, out, n)
//
// It loads all modules that the test's package registers. Calls of package cu go
// through Device.Do, which makes them on the OS thread of the context. Arrays
// live to the end of the test, which fails if a kernel has written beyond one, as
// far as the driver can tell: the stand-in can.
package device
