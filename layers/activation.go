package layers

import "github.com/gumbel-go/gumbel/ops"

// Activation is the elementwise function at the end of a Linear layer.
type Activation = ops.Activation

const (
	Identity = ops.Identity // x
	ReLU     = ops.ReLU     // max(0, x); its derivative at 0 is 0, as PyTorch has it
	Tanh     = ops.Tanh     // tanh x
	Sigmoid  = ops.Sigmoid  // 1/(1+exp(-x))
)
