//go:build !cuda

package ops

import G "gorgonia.org/gorgonia"

// operation is an op of this package.
type operation = G.SDOp

// deviceGradient is what a device wants of an op with gradients.
type deviceGradient any

// placed is the op as the machine shall run it.
func placed(o operation, _ G.Nodes) (G.Op, error) { return o, nil }
