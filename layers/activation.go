package layers

import (
	"fmt"

	G "gorgonia.org/gorgonia"
)

// Activation is the elementwise function at the end of a Linear layer.
type Activation int

const (
	Identity Activation = iota // x
	ReLU                       // max(0, x); its derivative at 0 is 1, as Gorgonia has it
	Tanh                       // tanh x; Gorgonia's LispMachine fails, with an error, on its gradient at shape (1, 1)
	Sigmoid                    // 1/(1+exp(-x))
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

func (a Activation) apply(x *G.Node) (*G.Node, error) {
	switch a {
	case Identity:
		return x, nil
	case ReLU:
		return G.Rectify(x)
	case Tanh:
		return G.Tanh(x)
	case Sigmoid:
		return G.Sigmoid(x)
	}
	return nil, a.check()
}

func (a Activation) check() error {
	if a < Identity || a > Sigmoid {
		return fmt.Errorf("%v is no activation; use Identity, ReLU, Tanh or Sigmoid", a)
	}
	return nil
}
