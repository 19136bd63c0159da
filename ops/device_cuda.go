//go:build cuda

package ops

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

// deviceGradient is what a device wants of an op with gradients.
type deviceGradient interface {
	// gradLaunches write to out the gradient to input which, given the
	// addresses of the inputs and of the gradient to the output.
	gradLaunches(p *plan.Plan, which int, out plan.Pointer, in []plan.Pointer, grad plan.Pointer) []plan.Launch
}

// placed is the op as the machine shall run it. Tests put onCPU in its place.
var placed = onDevice

// onDevice makes an op run on the device.
func onDevice(o operation, children G.Nodes) (G.Op, error) {
	shapes := []tensor.Shape{o.common().shape}
	for _, child := range children {
		shapes = append(shapes, child.Shape())
	}
	for _, shape := range shapes {
		if layout.Size(shape) == 0 {
			return nil, o.common().errorf("an array of shape %v, without elements: Gorgonia's CUDA machine panics at those; leave the node out", shape)
		}
	}
	if d, ok := o.(*draw); ok {
		return &deviceDraw{d}, nil
	}
	return &device{o, children}, nil
}

// device is an op that a tape machine runs on the GPU. It alone has a CUDADo:
// Gorgonia sends every op with that method there, an op that embeds another
// included.
type device struct {
	operation
	children G.Nodes
}

// CallsExtern spares a flush before each op: it comes with its own.
func (d *device) CallsExtern() bool { return true }

// CUDADo is forward on the device. The machine has set no output aside, for
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
	out, err := call.Output(b.dt, b.shape)
	if err != nil {
		return nil, b.errorf("%w", err)
	}
	addresses := make([]plan.Pointer, len(in))
	for i, v := range in {
		addresses[i] = cuda.Address(v)
	}
	refused, err := call.Run(func(p *plan.Plan) []plan.Launch { return d.launches(p, cuda.Address(out), addresses) })
	if err != nil {
		return nil, b.errorf("%w", err)
	}
	if refused {
		return nil, d.refusal(in)
	}
	return out, nil
}

// checkInputs checks the values that the user has bound, which the machine
// copies to the device as their bytes lie.
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

// refusal words the error about an input that a kernel has refused: it does
// the work again on the CPU, which says what is wrong.
func (d *device) refusal(in []G.Value) error {
	host := make([]G.Value, len(in))
	for i, v := range in {
		host[i] = onHost(v, d.children[i].Shape())
	}
	if _, err := d.Do(host...); err != nil {
		return err
	}
	return d.common().errorf("the device refuses an input that the CPU takes")
}

// onHost copies a value from the device. Its own shape does not count: a
// Reshape node changes the shape of the value that it is given.
func onHost(v G.Value, shape tensor.Shape) G.Value {
	switch data := v.Data().(type) {
	case []float32:
		return layout.Value(shape, append([]float32(nil), data...))
	case []float64:
		return layout.Value(shape, append([]float64(nil), data...))
	case []int64: // of a draw
		return tensor.New(tensor.FromScalar(data[0]))
	}
	return v
}

// deviceDraw is a draw whose number goes to the device, as the first of many:
// Gorgonia sets aside 2.5 times the bytes of all values, but no value takes less
// than 32 bytes. In a graph of little else than scalars, the bytes to spare make
// up for that.
type deviceDraw struct{ *draw }

var drawShape = tensor.Shape{256}

func (d *deviceDraw) Type() hm.Type {
	return hm.NewFnType(d.inputs[0], G.TensorType{Dims: 1, Of: d.dt})
}

func (d *deviceDraw) InferShape(...G.DimSizer) (tensor.Shape, error) { return drawShape.Clone(), nil }
func (d *deviceDraw) CallsExtern() bool                              { return true }

// CUDADo begins a draw and copies its number to the device.
func (d *deviceDraw) CUDADo(extern G.External, dev G.Device, _ G.Value, _ ...G.Value) (G.Value, error) {
	call, err := cuda.Begin(extern, dev)
	if err != nil {
		return nil, d.errorf("%w", err)
	}
	out, err := call.Output(d.dt, drawShape)
	if err != nil {
		return nil, d.errorf("%w", err)
	}
	if err := call.Store(out, d.next()); err != nil {
		return nil, d.errorf("%w", err)
	}
	return out, nil
}

// launches makes draw an operation; deviceDraw needs none.
func (d *draw) launches(*plan.Plan, plan.Pointer, []plan.Pointer) []plan.Launch { return nil }
