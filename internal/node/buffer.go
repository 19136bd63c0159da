package node

import (
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/kernel"
	"github.com/gumbel-go/gumbel/internal/layout"
)

// A buffer is memory that a node reuses for its result in every run, because
// clearing and faulting in new memory costs as much as half of the arithmetic.
// Each run returns it under a new tensor: Gorgonia may take a tensor apart.
type buffer[T kernel.Float] struct{ data []T }

// of returns n elements, with the contents of the last run.
func (b *buffer[T]) of(n int) []T {
	if len(b.data) != n {
		b.data = make([]T, n)
	}
	return b.data
}

func (b *buffer[T]) ofShape(shape tensor.Shape) []T { return b.of(layout.Size(shape)) }
