package vm

import (
	"errors"
	"fmt"

	G "gorgonia.org/gorgonia"
)

// Machine is a tape machine. Like the graph that it was made for, it is for one
// goroutine at a time. Close it when it has done its work.
type Machine struct {
	device
	broken error // why the device can be used no more
}

var _ G.VM = (*Machine)(nil)

// New compiles a graph and opens a machine for it, with the options of
// NewTapeMachine. All nodes must be in the graph by then: gradients, Reads and
// ReadGradients.
func New(g *G.ExprGraph, opts ...G.VMOpt) (*Machine, error) {
	if g == nil {
		return nil, errors.New("vm: the graph is nil")
	}
	m, err := open(g, opts)
	if err != nil {
		return nil, fmt.Errorf("vm: New: %w", err)
	}
	return m, nil
}

// panicked makes an error of a panic, in which Gorgonia's errors come.
func panicked(err *error) {
	switch p := recover().(type) {
	case nil:
	case error:
		*err = p
	default:
		*err = fmt.Errorf("%v", p)
	}
}

// RunAll runs the graph once. Reset must come before the next run.
//
// After an error of a node, such as a bad input, the machine can be reset and
// run again. After an error of the CUDA driver it cannot: then RunAll returns
// errors alone, and another machine must be opened.
func (m *Machine) RunAll() error {
	switch {
	case m.vm == nil:
		return errors.New("vm: RunAll: the machine is closed")
	case m.broken != nil:
		return fmt.Errorf("vm: RunAll: the device failed in an earlier run (%w): close this machine and open a new one", m.broken)
	}
	if err := m.prepare(); err != nil {
		return fmt.Errorf("vm: RunAll: %w", err)
	}
	err := m.vm.RunAll()
	if err == nil {
		return nil
	}
	if m.broken = m.failure(err); m.broken != nil {
		return fmt.Errorf("vm: RunAll: the device failed: close this machine and open a new one: %w", err)
	}
	return err
}

// Reset makes the machine ready for the next run.
func (m *Machine) Reset() {
	if m.vm != nil {
		m.reset()
	}
}

// Close frees what the machine holds on the device. It may be called twice.
func (m *Machine) Close() error {
	if m.vm == nil {
		return nil
	}
	err := m.close()
	m.vm = nil
	if err != nil {
		return fmt.Errorf("vm: Close: %w; its memory on the device is free when the program ends", err)
	}
	return nil
}
