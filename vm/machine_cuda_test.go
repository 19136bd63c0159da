//go:build cuda

package vm

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/chewxy/hm"
	"gorgonia.org/cu"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

const n = 8

// vector is a graph with an input of n ones.
func vector() *G.Node {
	return G.NewVector(G.NewGraph(), tensor.Float32, G.WithShape(n), G.WithName("x"), G.WithInit(G.Ones()))
}

// onDeviceMachine opens a machine that computes a square on the device.
func onDeviceMachine(t *testing.T) (m *Machine, y *G.Value) {
	t.Helper()
	y = new(G.Value)
	x := vector()
	G.Read(G.Must(G.Square(x)), y)
	m, err := New(x.Graph())
	if err != nil {
		t.Fatal(err)
	}
	if len(m.engines) != 1 {
		t.Fatalf("%d engines", len(m.engines))
	}
	return m, y
}

func wantErrors(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %q in it", err, part)
		}
	}
}

func wantDeviceError(t *testing.T, err error) {
	t.Helper()
	if device := (*DeviceError)(nil); !errors.As(err, &device) || device.Err == nil {
		t.Errorf("%v is no DeviceError with a cause", err)
	}
}

// A bad input or graph is not the device's fault.
func TestNoDeviceError(t *testing.T) {
	g := G.NewGraph()
	x := G.NewScalar(g, tensor.Float64, G.WithName("x"))
	G.Must(G.Square(x))
	m, err := New(g)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	_, refused := New(g, G.BindDualValues())
	for _, err := range []error{m.RunAll(), refused} {
		if device := (*DeviceError)(nil); err == nil || errors.As(err, &device) {
			t.Errorf("%v is a DeviceError", err)
		}
	}
}

// shorten makes the time limits short for a test.
func shorten(t *testing.T) {
	open, close := openLimit, closeLimit
	openLimit, closeLimit = 200*time.Millisecond, 200*time.Millisecond
	t.Cleanup(func() { openLimit, closeLimit = open, close })
}

// Closing hangs if an engine's goroutine has not started, so half of the machines are
// closed at once.
func TestManyMachines(t *testing.T) {
	for i := range 20 {
		m, y := onDeviceMachine(t)
		if i%2 == 0 {
			if err := m.RunAll(); err != nil {
				t.Fatal(err)
			}
			if got := (*y).Data().([]float32)[n-1]; got != 1 {
				t.Errorf("1² is %v", got)
			}
		}
		for range 2 {
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// duplicate is an op that copies its input through scratch memory. With fails
// it makes the driver fail.
type duplicate struct {
	id, size int
	fails    bool
}

func (o *duplicate) Arity() int                                     { return 1 }
func (o *duplicate) Type() hm.Type                                  { a := hm.TypeVariable('a'); return hm.NewFnType(a, a) }
func (o *duplicate) InferShape(...G.DimSizer) (tensor.Shape, error) { return tensor.Shape{o.size}, nil }
func (o *duplicate) Do(...G.Value) (G.Value, error)                 { return nil, errors.New("not on the CPU") }
func (o *duplicate) ReturnsPtr() bool                               { return true }
func (o *duplicate) CallsExtern() bool                              { return true }
func (o *duplicate) OverwritesInput() int                           { return -1 }
func (o *duplicate) WriteHash(h hash.Hash)                          { fmt.Fprint(h, o.String()) }
func (o *duplicate) String() string                                 { return fmt.Sprint("Duplicate", o.id) }
func (o *duplicate) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

func (o *duplicate) CUDADo(extern G.External, dev G.Device, prealloc G.Value, in ...G.Value) (G.Value, error) {
	e := &extern.(G.CUDAMachine).Engines()[int(dev)]
	out, size := prealloc.Uintptr(), int64(o.size)
	scratch, err := extern.Get(dev, 4*size)
	if err != nil {
		return nil, err
	}
	defer extern.Put(dev, scratch, 4*size)
	e.Context().Memcpy(cu.DevicePtr(scratch.Uintptr()), cu.DevicePtr(in[0].Uintptr()), 4*size)
	e.Context().Memcpy(cu.DevicePtr(out), cu.DevicePtr(scratch.Uintptr()), 4*size)
	if o.fails {
		params := []unsafe.Pointer{unsafe.Pointer(&out), unsafe.Pointer(&size)}
		e.Context().LaunchKernel(e.Functions()["elemunaryop.square_f32"], 0, 1, 1, 1, 1, 1, 0, cu.NoStream, params)
	}
	return prealloc, e.DoWork()
}

func TestDriverFailure(t *testing.T) {
	o := &duplicate{size: n}
	x := vector()
	var y G.Value
	G.Read(G.Must(G.ApplyOp(o, x)), &y)
	m, err := New(x.Graph())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	m.Reset()
	o.fails = true
	err = m.RunAll()
	wantErrors(t, err, "device failed", "open a new one", "Duplicate0")
	wantDeviceError(t, err)
	if !errors.Is(err, cu.InvalidValue) {
		t.Errorf("%v does not unwrap to the driver's error", err)
	}
	m.Reset()
	o.fails = false
	err = m.RunAll()
	wantErrors(t, err, "failed in an earlier run", cu.InvalidValue.Error(), "open a new one")
	wantDeviceError(t, err)
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	again, err := New(x.Graph())
	if err != nil {
		t.Fatal(err)
	}
	if err := again.RunAll(); err != nil {
		t.Error(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// New returns the error of creating the handle of cuBLAS, which Gorgonia drops.
func TestBLASError(t *testing.T) {
	if name, err := cu.Device(0).Name(); err != nil || name != "CPU stand-in" {
		t.Skip("destroys a context that is in use, which a device may not survive")
	}
	m, _ := onDeviceMachine(t)
	context := m.engines[0].Context().CUDAContext()
	if err := context.Destroy(); err != nil {
		t.Fatal(err)
	}
	wantErrors(t, m.createBLAS(), "the handle of cuBLAS", "NotInitialized")
	wantErrors(t, m.Close(), "Failed to unload module")
}

// An engine whose goroutine has ended, as it does after an error, does not make
// Close wait for ever.
func TestCloseOfDeadEngine(t *testing.T) {
	shorten(t)
	m, _ := onDeviceMachine(t)
	m.engines[0].Context().Do(func() error { return errors.New("of cuBLAS") })
	err := m.Close()
	wantErrors(t, err, "vm: Close", "no answer")
	wantDeviceError(t, err)
	if err := m.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestNoMemory(t *testing.T) {
	shorten(t)
	g := G.NewGraph()
	x := G.NewMatrix(g, tensor.Float32, G.WithShape(1<<21, 1<<21), G.WithName("x"))
	G.Must(G.Square(x))
	_, err := New(g)
	wantErrors(t, err, "vm: New", "no answer", "too little free memory")
	wantDeviceError(t, err)
}

func TestRefusedOptions(t *testing.T) {
	wrapped := func(o G.VMOpt) G.VMOpt { return o }
	for name, o := range map[string]G.VMOpt{
		"BindDualValues": G.BindDualValues(),
		"WithNaNWatch":   G.WithNaNWatch(),
		"WithInfWatch":   wrapped(G.WithInfWatch()),
		"TraceExec":      G.TraceExec(),
	} {
		x := vector()
		G.Must(G.Square(x))
		_, err := New(x.Graph(), G.EvalMode(), o)
		wantErrors(t, err, name+" does not work on CUDA")
	}
	x := vector()
	y := G.Must(G.Square(x))
	prog, locs, err := G.CompileFunction(x.Graph(), G.Nodes{x}, G.Nodes{y})
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(x.Graph(), G.WithPrecompiled(prog, locs))
	wantErrors(t, err, "WithPrecompiled does not work on CUDA")
}

// Without a node on the device, all options work.
func TestOptionsOnHost(t *testing.T) {
	x := vector()
	G.Must(G.Sum(x))
	m, err := New(x.Graph(), G.TraceExec())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.RunAll(); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func TestReadWithoutDevice(t *testing.T) {
	x := vector()
	var sum G.Value
	G.Read(G.Must(G.Sum(x)), &sum)
	_, err := New(x.Graph())
	wantErrors(t, err, "the graph has a Read but no node on the device")
}

func TestInputDtype(t *testing.T) {
	g := G.NewGraph()
	x := G.NewScalar(g, tensor.Float64, G.WithName("x"))
	G.Must(G.Square(x))
	m, err := New(g)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	wantErrors(t, m.RunAll(), "No value bound")
	m.Reset()
	if err := G.Let(x, float32(1)); err != nil {
		t.Fatal(err)
	}
	wantErrors(t, m.RunAll(), "x holds float32, want float64")
}

func TestInputLayout(t *testing.T) {
	g := G.NewGraph()
	x := G.NewMatrix(g, tensor.Float32, G.WithShape(2, 3), G.WithName("x"))
	var y G.Value
	G.Read(G.Must(G.Square(x)), &y)
	m, err := New(g)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	pending := tensor.New(tensor.WithShape(3, 2), tensor.WithBacking([]float32{1, 2, 3, 4, 5, 6}))
	if err := pending.T(); err != nil {
		t.Fatal(err)
	}
	if err := G.Let(x, pending); err != nil {
		t.Fatal(err)
	}
	wantErrors(t, m.RunAll(), "x is not contiguous in row-major order")
	if err := G.Let(x, pending.Materialize()); err != nil {
		t.Fatal(err)
	}
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(y.Data()), "[1 9 25 4 16 36]"; got != want {
		t.Errorf("squares %v, want %v", got, want)
	}
}

// Chains of arrays of many sizes, all read in the end, need more of the arena
// than Gorgonia reserves, and free most of it on the way.
func TestArena(t *testing.T) {
	const length, kept = 60, 20
	sizes := []int{1, 2, 7, 33, 100, 1000}
	g := G.NewGraph()
	nodes := make(G.Nodes, len(sizes))
	wanted := make([]float32, len(sizes))
	for i, size := range sizes {
		wanted[i] = float32(10 + i)
		value := tensor.New(tensor.WithShape(size), tensor.Of(tensor.Float32))
		if err := value.Memset(wanted[i]); err != nil {
			t.Fatal(err)
		}
		nodes[i] = G.NewVector(g, tensor.Float32, G.WithShape(size), G.WithName(fmt.Sprint("x", i)), G.WithValue(value))
	}
	var read G.Nodes
	for step := range length {
		for i, size := range sizes {
			nodes[i] = G.Must(G.ApplyOp(&duplicate{id: step*len(sizes) + i, size: size}, nodes[i]))
			if step%kept == 0 {
				read = append(read, nodes[i])
			}
		}
	}
	read = append(read, nodes...)
	values := make([]G.Value, len(read))
	for i, node := range read {
		G.Read(node, &values[i])
	}
	m, err := New(g)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for run := range 5 {
		if err := m.RunAll(); err != nil {
			t.Fatalf("run %d: %v", run, err)
		}
		for i, v := range values {
			for _, got := range v.(*tensor.Dense).Float32s() {
				if want := wanted[i%len(sizes)]; got != want {
					t.Fatalf("run %d: array %d has %v, want %v", run, i, got, want)
				}
			}
		}
		m.Reset()
	}
}

func TestEnlarge(t *testing.T) {
	x := vector()
	G.Must(G.Square(x))
	program, _, err := G.Compile(x.Graph())
	if err != nil {
		t.Fatal(err)
	}
	before := program.GPUMemReq()[0]
	enlarge(program, 1000)
	if got := program.GPUMemReq()[0]; got != before+1000 {
		t.Errorf("%d bytes became %d", before, got)
	}
}

// chain squares an input the given number of times, on the device.
func chain(times int) (g *G.ExprGraph, y *G.Value) {
	x := vector()
	end := x
	for range times {
		end = G.Must(G.Square(end))
	}
	y = new(G.Value)
	G.Read(end, y)
	return x.Graph(), y
}

func TestLongChains(t *testing.T) {
	most := queueLimit / builtinCalls
	g, _ := chain(most + 1)
	_, err := New(g)
	wantErrors(t, err, "more than 21 of Gorgonia's own elementwise nodes in a row")

	g, y := chain(most - 1) // with the copy of x to the device
	m, err := New(g)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for range 20 {
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		if got := (*y).Data().([]float32)[0]; got != 1 {
			t.Fatalf("1 squared over and over is %v", got)
		}
		m.Reset()
	}
}

func TestReshapeOfUsedNode(t *testing.T) {
	x := vector()
	square := G.Must(G.Square(x))
	G.Must(G.Exp(G.Must(G.Reshape(square, tensor.Shape{2, n / 2}))))
	m, err := New(x.Graph())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	G.Must(G.Exp(square))
	_, err = New(x.Graph())
	wantErrors(t, err, "Reshape", "another node")

	// The same holds for an input: all nodes on the device use one copy of it.
	b := vector()
	w := G.NewMatrix(b.Graph(), tensor.Float32, G.WithShape(n, n), G.WithName("w"))
	h := G.Must(G.BroadcastAdd(w, b, nil, []byte{0}))
	G.Must(G.Add(G.Must(G.Tanh(G.Must(G.Sum(h, 0)))), b))
	_, err = New(b.Graph())
	wantErrors(t, err, "after a Reshape or a broadcast")
}

func TestOperands(t *testing.T) {
	x := vector()
	G.Must(G.Mul(x, x))
	_, err := New(x.Graph())
	wantErrors(t, err, "a product of two vectors")

	x = vector()
	G.Must(G.Gt(x, x, false))
	_, err = New(x.Graph())
	wantErrors(t, err, "is of bool", "retSame")
}
