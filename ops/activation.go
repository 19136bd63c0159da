package ops

import (
	"fmt"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

// Activation is the elementwise function at the end of a Linear node.
type Activation int

const (
	Identity = Activation(kernel.Identity) // z
	ReLU     = Activation(kernel.ReLU)     // max(0, z); its derivative at 0 is 0, as PyTorch has it
	Tanh     = Activation(kernel.Tanh)     // tanh z
	Sigmoid  = Activation(kernel.Sigmoid)  // 1/(1 + e^−z)
)

// String returns the name of the constant.
func (a Activation) String() string {
	switch a {
	case Identity:
		return "Identity"
	case ReLU:
		return "ReLU"
	case Tanh:
		return "Tanh"
	case Sigmoid:
		return "Sigmoid"
	}
	return fmt.Sprintf("Activation(%d)", int(a))
}

// Check returns an error where a is none of the constants.
func (a Activation) Check() error {
	if a < Identity || a > Sigmoid {
		return fmt.Errorf("%v is no activation: use Identity, ReLU, Tanh or Sigmoid", a)
	}
	return nil
}
