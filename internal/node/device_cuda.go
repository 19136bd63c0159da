//go:build cuda

package node

import (
	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/cuda"
	"github.com/gumbel-go/gumbel/internal/layout"
	"github.com/gumbel-go/gumbel/internal/plan"
)

// operation is an op of this package.
type operation interface {
	G.SDOp
	common() *base
	// launches are the kernels that write to out what Do returns, given the
	// addresses of the inputs on the device.
	launches(p *plan.Plan, out plan.Pointer, in []plan.Pointer) []plan.Launch
}

func (b *base) common() *base { return b }

// place wraps an op so that it runs on the device.
var place = onDevice

// OnCPU calls f; the nodes that f builds run on the CPU. It is for tests that
// compare the two.
func OnCPU(f func()) {
	place = func(o operation, _ G.Nodes) (G.Op, error) { return o, nil }
	defer func() { place = onDevice }()
	f()
}

func onDevice(o operation, children G.Nodes) (G.Op, error) {
	shapes := []tensor.Shape{o.common().shape}
	for _, child := range children {
		shapes = append(shapes, child.Shape())
	}
	for _, shape := range shapes {
		if layout.Size(shape) == 0 {
			return nil, o.common().errorf("shape %v is empty, and Gorgonia's CUDA machine panics on empty arrays: leave the node out", shape)
		}
	}
	if d, ok := o.(*draw); ok {
		return &deviceDraw{d}, nil
	}
	return &device{o, children}, nil
}

// device is an op that a tape machine runs on the GPU. Only device and deviceDraw
// have a CUDADo, and no op embeds them: Gorgonia sends every op with that method
// to the GPU, also an op that inherits it.
type device struct {
	operation
	children G.Nodes
}

// CallsExtern is true to prevent a flush before each op: CUDADo flushes.
func (d *device) CallsExtern() bool { return true }

// CUDADo is forward on the device. The machine has allocated no output, because
// ReturnsPtr is false.
func (d *device) CUDADo(extern G.External, dev G.Device, _ G.Value, in ...G.Value) (G.Value, error) {
	b := d.common()
	call, err := cuda.Begin(extern, dev)
	if err != nil {
		return nil, b.errorf("%w", err)
	}
	if err := d.checkInputs(); err != nil {
		return nil, err
	}
	out, err := call.Output(b.dtype, b.shape)
	if err != nil {
		return nil, b.errorf("%w", err)
	}
	addresses := make([]plan.Pointer, len(in))
	for i, v := range in {
		addresses[i] = cuda.Address(v)
	}
	rejected, err := call.Run(func(p *plan.Plan) []plan.Launch { return d.launches(p, cuda.Address(out), addresses) })
	if err != nil {
		return nil, b.errorf("%w", err)
	}
	if rejected {
		return d.rerun(call, out, in)
	}
	return out, nil
}

// checkInputs checks the values that the user has bound, whose bytes the machine
// copies to the device as they are.
func (d *device) checkInputs() error {
	for _, child := range d.children {
		if child.Op() != nil {
			continue
		}
		if err := layout.CheckRaw(child); err != nil {
			return d.common().errorf("%w", err)
		}
	}
	return nil
}

// rerun runs the op again on the CPU, because a kernel has rejected an input. The CPU
// returns the error or, where only the kernel does not know the result, as with an
// infinite gradient, the result.
func (d *device) rerun(call *cuda.Call, out G.Value, in []G.Value) (G.Value, error) {
	host := make([]G.Value, len(in))
	for i, v := range in {
		host[i] = onHost(v, d.children[i].Shape())
	}
	result, err := d.Do(host...)
	if err != nil {
		return nil, err
	}
	if err := call.Upload(out, result); err != nil {
		return nil, d.common().errorf("%w", err)
	}
	return out, nil
}

// onHost copies a value from the device. It ignores the value's shape, because a
// Reshape node changes the shape of the value that it is given.
func onHost(v G.Value, shape tensor.Shape) G.Value {
	switch data := v.Data().(type) {
	case []float32:
		return layout.Value(shape, append([]float32(nil), data...))
	case []float64:
		return layout.Value(shape, append([]float64(nil), data...))
	case []int64: // of a draw
		return position{data[0], data[1]}.value()
	}
	return v
}

// deviceDraw is a draw whose position goes to the device, as the first elements of a
// large array. Gorgonia reserves 2.5 times the bytes of all values, but no value
// takes less than 32 bytes: in a graph of little else than scalars, the unused
// bytes of this array make up the difference.
type deviceDraw struct{ *draw }

var drawShape = tensor.Shape{256}

func (d *deviceDraw) Type() hm.Type {
	return hm.NewFnType(d.inputs[0], G.TensorType{Dims: 1, Of: d.dtype})
}

func (d *deviceDraw) InferShape(...G.DimSizer) (tensor.Shape, error) { return drawShape.Clone(), nil }
func (d *deviceDraw) CallsExtern() bool                              { return true }

// CUDADo starts a draw and copies its position to the device.
func (d *deviceDraw) CUDADo(extern G.External, dev G.Device, _ G.Value, _ ...G.Value) (G.Value, error) {
	call, err := cuda.Begin(extern, dev)
	if err != nil {
		return nil, d.errorf("%w", err)
	}
	out, err := call.Output(d.dtype, drawShape)
	if err != nil {
		return nil, d.errorf("%w", err)
	}
	p, err := d.next()
	if err != nil {
		return nil, err
	}
	if err := call.Store(out, p.number, p.first); err != nil {
		return nil, d.errorf("%w", err)
	}
	return out, nil
}

// launches makes draw an operation; deviceDraw needs none.
func (d *draw) launches(*plan.Plan, plan.Pointer, []plan.Pointer) []plan.Launch { return nil }

func (f *forward[T]) launches(p *plan.Plan, out plan.Pointer, in []plan.Pointer) []plan.Launch {
	return f.op.Plan(Device{p, f.spec, in}, out)
}

func (b *backward[T]) launches(p *plan.Plan, dst plan.Pointer, in []plan.Pointer) []plan.Launch {
	f, grad := b.forward, in[len(in)-1]
	d := Device{p, f.spec, in[:len(f.inputs)]}
	switch {
	case !b.wanted():
		return []plan.Launch{plan.Zero(plan.FloatOf[T](), dst, layout.Size(b.shape))}
	case b.gradient == prepare:
		return f.preparer.PlanPrepare(d, dst, grad)
	}
	return f.differentiable.PlanBackward(d, b.gradient, dst, grad)
}
