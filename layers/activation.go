package layers

import (
	"fmt"

	"github.com/gumbel-go/gumbel/internal/kernel"
)

// Activation is the elementwise function at the end of a Linear layer.
type Activation int

const (
	Identity = Activation(kernel.Identity) // z
	ReLU     = Activation(kernel.ReLU)     // max(0, z); its derivative at 0 is 0, as in PyTorch
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

// Check returns an error unless a is one of the constants.
func (a Activation) Check() error {
	if a < Identity || a > Sigmoid {
		return fmt.Errorf("the activation is %v, want Identity, ReLU, Tanh or Sigmoid", a)
	}
	return nil
}
