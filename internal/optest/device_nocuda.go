//go:build !cuda

package optest

import (
	"testing"

	"gorgonia.org/tensor"
)

// testDevice needs a device.
func (Row) testDevice(*testing.T, tensor.Dtype) {}
