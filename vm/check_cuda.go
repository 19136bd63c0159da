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

// onDevice tells whether a graph has anything to do on the device.
func onDevice(g *G.ExprGraph) bool { return slices.ContainsFunc(g.AllNodes(), isOnDevice) }

// reads tells whether a graph has a Read.
func reads(g *G.ExprGraph) bool {
	return slices.ContainsFunc(g.AllNodes(), func(n *G.Node) bool { return opName(n) == "gorgonia.readOp" })
}

// opName is the type of a node's op, as Gorgonia's unexported ones are known.
func opName(n *G.Node) string { return strings.TrimPrefix(fmt.Sprintf("%T", n.Op()), "*") }

func children(n *G.Node) G.Nodes {
	var all G.Nodes
	for _, c := range graph.NodesOf(n.Graph().From(n.ID())) {
		all = append(all, c.(*G.Node))
	}
	return all
}

// deviceInputs are the variables that nodes on the device take.
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
	"BindDualValues":  "it leaves zeros for the gradients of tensors: use ReadGradients",
	"WithPrecompiled": "CompileFunction reserves no memory on the device: leave it out, and New compiles the graph",
	"WithNaNWatch":    "it looks at values before the device has computed them: leave it out",
	"WithInfWatch":    "it looks at values before the device has computed them: leave it out",
	"TraceExec":       "it copies values before the device has computed them: use Read",
}

// checkOptions refuses options by the names of the functions that made them,
// which is all that can be seen of an option.
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

// Gorgonia queues calls to the driver. At the 64th a second thread begins to
// make them, with no lock between the two: calls are lost.
const (
	queueLimit   = 63
	builtinCalls = 3 // a copy, a launch, a wait
)

// checkGraph refuses what the machine would compute wrongly, or not at all.
func checkGraph(g *G.ExprGraph) error {
	nodes, err := G.Sort(g)
	if err != nil {
		return err
	}
	slices.Reverse(nodes) // into the order in which the machine runs them
	for _, check := range []func(G.Nodes) error{checkOperands, checkReshapes, checkQueue} {
		if err := check(nodes); err != nil {
			return err
		}
	}
	return nil
}

// checkOperands refuses what Gorgonia's own nodes have no kernel for.
func checkOperands(nodes G.Nodes) error {
	for _, n := range nodes {
		op := opName(n)
		switch op {
		case "gorgonia.elemBinOp", "gorgonia.elemUnaryOp", "gorgonia.linAlgBinOp":
		default:
			continue
		}
		if op == "gorgonia.linAlgBinOp" && n.IsScalar() {
			return fmt.Errorf("%v is a product of two vectors, for which Gorgonia has no kernel: Sum their HadamardProd", n)
		}
		for _, of := range append(children(n), n) {
			if dt := of.Dtype(); dt != tensor.Float32 && dt != tensor.Float64 {
				return fmt.Errorf("%v is of %v: on the device Gorgonia's own nodes are of float32 and float64 alone; a comparison is if its retSame is true", of, dt)
			}
		}
	}
	return nil
}

// checkReshapes refuses a Reshape, which broadcasting has in it, of what other
// nodes take too. Its result is the same memory, under another shape, and is
// freed as if it were not. All nodes on the device have one copy of a value that
// comes from the host; where that is of less than the smallest block, its memory
// is of no use to another value.
func checkReshapes(nodes G.Nodes) error {
	reshaped := map[*G.Node]bool{} // on the host, its copy reshaped
	for _, n := range nodes {
		if !isOnDevice(n) {
			continue
		}
		for _, c := range children(n) {
			if reshaped[c] {
				return fmt.Errorf("%v takes %v after a Reshape or a broadcast of that, whose result is the same memory on the device: give one of the two a copy of it", n, c)
			}
		}
		if opName(n) != "gorgonia.reshapeOp" {
			continue
		}
		c := children(n)[0]
		if isOnDevice(c) && c.Graph().To(c.ID()).Len() > 1 {
			return fmt.Errorf("a Reshape or a broadcast of %v changes that value itself on the device, and another node takes it too: compute it twice", c)
		}
		reshaped[c] = !isOnDevice(c) && n.Shape().TotalSize()*int(n.Dtype().Size()) >= kernels.LeastBlock
	}
	return nil
}

// checkQueue counts calls between the nodes that empty the queue.
func checkQueue(nodes G.Nodes) error {
	queue, moved := 0, map[*G.Node]bool{}
	for _, n := range nodes {
		on := isOnDevice(n)
		emptied := false
		for _, c := range children(n) {
			if isOnDevice(c) == on || moved[c] {
				continue
			}
			moved[c] = true
			queue++
			emptied = !on
		}
		switch op := opName(n); {
		case op == "gorgonia.readOp", emptied:
			queue = 0
		case !on, op == "gorgonia.reshapeOp":
		case op == "gorgonia.linAlgBinOp", !strings.HasPrefix(op, "gorgonia."):
			queue = 0
		default:
			queue += builtinCalls
		}
		if queue > queueLimit {
			return fmt.Errorf("there are more than %d of Gorgonia's own elementwise nodes in a row, up to %v, which overruns its queue of calls to the driver: Read one in between", queueLimit/builtinCalls, n)
		}
	}
	return nil
}
