package vm

import (
	"errors"
	"fmt"

	G "gorgonia.org/gorgonia"
)

// Machine is a tape machine. Like its graph, it is for one goroutine at a time.
// Close it after use.
type Machine struct {
	device
	broken error // why the device can no longer be used
}

var _ G.VM = (*Machine)(nil)

// New compiles a graph and opens a machine for it. It takes the options of
// gorgonia.NewTapeMachine. All nodes must be in the graph by then: gradients,
// Reads and ReadGradients.
//
// The error is a [DeviceError] if the CUDA device cannot be used. Two nodes with the same
// hash are an error, because Gorgonia would compute only one of them. With 32 bits, this
// happens by chance in about one of 10,000 graphs of 1,000 nodes.
func New(g *G.ExprGraph, opts ...G.VMOpt) (*Machine, error) {
	if g == nil {
		return nil, errors.New("vm: New: the graph is nil")
	}
	if err := checkHashes(g); err != nil {
		return nil, fmt.Errorf("vm: New: %w", err)
	}
	m, err := open(g, opts)
	if err != nil {
		return nil, fmt.Errorf("vm: New: %w", err)
	}
	return m, nil
}

// checkHashes rejects different nodes of one hash. The graph keeps them apart, but the
// compiler replaces one by the other.
func checkHashes(g *G.ExprGraph) error {
	nodes := map[uint32]*G.Node{}
	for _, n := range g.AllNodes() {
		if other, ok := nodes[n.Hashcode()]; ok {
			return fmt.Errorf("nodes %v and %v have the same hash by chance, and Gorgonia would compute only one of them: give an input another name, or build the graph again", other, n)
		}
		nodes[n.Hashcode()] = n
	}
	return nil
}

// recoverError turns a panic, by which Gorgonia reports errors, into *err.
func recoverError(err *error) {
	switch p := recover().(type) {
	case nil:
	case error:
		*err = p
	default:
		*err = fmt.Errorf("%v", p)
	}
}

// RunAll runs the graph once. Call Reset before the next run.
//
// If a node fails, because of a bad input for example, the error has Gorgonia's
// message, and errors.As finds the node's own error in it. The machine can then
// be reset and run again. If the CUDA device fails, the error is a
// [DeviceError], and so is that of every later run: close the machine and open
// another.
func (m *Machine) RunAll() error {
	switch {
	case m.vm == nil:
		return errors.New("vm: RunAll: the machine is closed")
	case m.broken != nil:
		return fmt.Errorf("vm: RunAll: %w", &DeviceError{"the device failed in an earlier run: close this machine and open a new one", m.broken})
	}
	if err := m.prepare(); err != nil {
		return fmt.Errorf("vm: RunAll: %w", err)
	}
	err := unwrappable(m.vm.RunAll())
	if err == nil {
		return nil
	}
	if m.broken = m.failure(err); m.broken != nil {
		return fmt.Errorf("vm: RunAll: %w", &DeviceError{"the device failed: close this machine and open a new one", causedBy{err, m.broken}})
	}
	return err
}

// Reset makes the machine ready for the next run.
func (m *Machine) Reset() {
	if m.vm != nil {
		m.reset()
	}
}

// Close frees what the machine holds on the device. Further calls do nothing.
//
// If the error is a [DeviceError], the device's memory stays taken until the
// program ends.
func (m *Machine) Close() error {
	if m.vm == nil {
		return nil
	}
	err := m.close()
	m.vm = nil
	if err != nil {
		return fmt.Errorf("vm: Close: %w", err)
	}
	return nil
}
