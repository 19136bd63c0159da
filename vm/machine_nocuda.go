//go:build !cuda

package vm

import G "gorgonia.org/gorgonia"

// device is the CPU.
type device struct{ vm G.VM } // nil once closed

func open(g *G.ExprGraph, opts []G.VMOpt) (m *Machine, err error) {
	defer recoverError(&err)
	return &Machine{device: device{G.NewTapeMachine(g, opts...)}}, nil
}

func (d *device) prepare() error      { return nil }
func (d *device) failure(error) error { return nil }
func (d *device) reset()              { d.vm.Reset() }
func (d *device) close() error        { return d.vm.Close() }
