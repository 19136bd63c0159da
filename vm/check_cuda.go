//go:build cuda

package vm

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"gonum.org/v1/gonum/graph"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	kernels "github.com/gumbel-go/gumbel/internal/cuda"
)

func isOnDevice(n *G.Node) bool {
	_, ok := n.Op().(G.CUDADoer)
	return ok
}

// onDevice reports whether a graph has a node that runs on the device.
func onDevice(g *G.ExprGraph) bool { return slices.ContainsFunc(g.AllNodes(), isOnDevice) }

// reads reports whether a graph has a Read.
func reads(g *G.ExprGraph) bool {
	return slices.ContainsFunc(g.AllNodes(), func(n *G.Node) bool { return opName(n) == "gorgonia.readOp" })
}

// opName is the type of a node's op. Gorgonia's own types are unexported, so
// they are known by their names.
func opName(n *G.Node) string { return strings.TrimPrefix(fmt.Sprintf("%T", n.Op()), "*") }

func children(n *G.Node) G.Nodes {
	var all G.Nodes
	for _, c := range graph.NodesOf(n.Graph().From(n.ID())) {
		all = append(all, c.(*G.Node))
	}
	return all
}

// deviceInputs returns the variables that nodes on the device use.
func deviceInputs(g *G.ExprGraph) G.Nodes {
	var all G.Nodes
	for _, n := range g.AllNodes() {
		if !isOnDevice(n) {
			continue
		}
		for _, c := range children(n) {
			if c.IsVar() && !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
	}
	return all
}

var refused = map[string]string{
	"BindDualValues":  "the gradients of tensors would be 0: use ReadGradients",
	"WithPrecompiled": "CompileFunction reserves no memory on the device: leave it out, and New compiles the graph",
	"WithNaNWatch":    "it reads values before the device has computed them: leave it out",
	"WithInfWatch":    "it reads values before the device has computed them: leave it out",
	"TraceExec":       "it copies values before the device has computed them: use gorgonia.Read",
}

// checkOptions rejects options by the names of the functions that made them,
// because an option shows nothing else of itself.
func checkOptions(opts []G.VMOpt) error {
	for _, o := range opts {
		path := runtime.FuncForPC(reflect.ValueOf(o).Pointer()).Name() // ends in TraceExec.func1
		for _, part := range strings.Split(path, ".") {
			if why, ok := refused[part]; ok {
				return fmt.Errorf("%s does not work on CUDA: %s", part, why)
			}
		}
	}
	return nil
}

// Gorgonia queues calls to the driver. From the 64th on, a second thread makes
// calls too, without a lock, and calls are lost.
const (
	queueLimit   = 63
	builtinCalls = 3 // of an elementwise node: a copy, a launch, a wait
)

// checkGraph rejects what the machine would compute wrongly or cannot compute.
func checkGraph(g *G.ExprGraph) error {
	nodes, err := G.Sort(g)
	if err != nil {
		return err
	}
	slices.Reverse(nodes) // now in the order in which the machine runs them
	for _, check := range []func(G.Nodes) error{checkOperands, checkReshapes, checkQueue} {
		if err := check(nodes); err != nil {
			return err
		}
	}
	return nil
}

// checkOperands rejects operands for which Gorgonia's own nodes have no kernel.
func checkOperands(nodes G.Nodes) error {
	for _, n := range nodes {
		op := opName(n)
		switch op {
		case "gorgonia.elemBinOp", "gorgonia.elemUnaryOp", "gorgonia.linAlgBinOp":
		default:
			continue
		}
		if op == "gorgonia.linAlgBinOp" && n.IsScalar() {
			return fmt.Errorf("%v is a product of two vectors, for which Gorgonia has no kernel on the device: use the Sum of their HadamardProd", n)
		}
		for _, of := range append(children(n), n) {
			if dt := of.Dtype(); dt != tensor.Float32 && dt != tensor.Float64 {
				return fmt.Errorf("%v is of %v: on the device, Gorgonia's own nodes support only float32 and float64 (for a comparison, pass retSame = true)", of, dt)
			}
		}
	}
	return nil
}

// checkReshapes rejects a Reshape of a node that other nodes also use;
// broadcasting includes a Reshape. The result shares the node's memory under
// another shape, but Gorgonia frees that memory as if it were not shared. An
// input from the host has one copy on the device, which all nodes use. Freeing
// it does no harm if it is smaller than a block, because no other value fits.
func checkReshapes(nodes G.Nodes) error {
	reshaped := map[*G.Node]bool{} // inputs from the host whose copy was reshaped
	for _, n := range nodes {
		if !isOnDevice(n) {
			continue
		}
		for _, c := range children(n) {
			if reshaped[c] {
				return fmt.Errorf("%v uses %v after a Reshape or a broadcast of it, which shares its memory on the device: give one of the two a copy", n, c)
			}
		}
		if opName(n) != "gorgonia.reshapeOp" {
			continue
		}
		c := children(n)[0]
		if isOnDevice(c) && c.Graph().To(c.ID()).Len() > 1 {
			return fmt.Errorf("a Reshape or a broadcast of %v changes its value on the device, and another node also uses it: compute it twice", c)
		}
		reshaped[c] = !isOnDevice(c) && n.Shape().TotalSize()*int(n.Dtype().Size()) >= kernels.LeastBlock
	}
	return nil
}

// checkQueue counts the calls between nodes that empty the queue.
func checkQueue(nodes G.Nodes) error {
	queue, moved := 0, map[*G.Node]bool{}
	for _, n := range nodes {
		device := isOnDevice(n)
		emptied := false
		for _, c := range children(n) {
			if isOnDevice(c) == device || moved[c] {
				continue
			}
			moved[c] = true
			queue++
			emptied = !device
		}
		switch op := opName(n); {
		case op == "gorgonia.readOp", emptied:
			queue = 0
		case !device, op == "gorgonia.reshapeOp":
		case op == "gorgonia.linAlgBinOp", !strings.HasPrefix(op, "gorgonia."):
			queue = 0
		default:
			queue += builtinCalls
		}
		if queue > queueLimit {
			return fmt.Errorf("more than %d of Gorgonia's own elementwise nodes in a row, up to %v, overrun its queue of calls to the driver: Read one in between", queueLimit/builtinCalls, n)
		}
	}
	return nil
}
