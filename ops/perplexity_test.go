package ops_test

import (
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
)

// There is one perplexity, or one per block of the last axis.
func TestPerplexityShapes(t *testing.T) {
	for _, test := range []struct {
		shape   tensor.Shape
		options []ops.DistributionOption
		want    tensor.Shape
	}{
		{tensor.Shape{5}, nil, tensor.Shape{}},
		{tensor.Shape{2, 3, 5}, nil, tensor.Shape{}},
		{tensor.Shape{2, 5, 3}, []ops.DistributionOption{ops.WithAxis(1)}, tensor.Shape{}},
		{tensor.Shape{6}, []ops.DistributionOption{ops.WithClasses(2)}, tensor.Shape{3}},
		{tensor.Shape{4, 6}, []ops.DistributionOption{ops.WithClasses(2)}, tensor.Shape{3}},
		{tensor.Shape{2, 3, 4, 6}, []ops.DistributionOption{ops.WithClasses(3)}, tensor.Shape{2}},
		{tensor.Shape{4, 6}, []ops.DistributionOption{ops.WithClasses(6)}, tensor.Shape{1}},
	} {
		logits := G.NewTensor(G.NewGraph(), tensor.Float32, len(test.shape), G.WithShape(test.shape...), G.WithName("logits"))
		n, err := ops.Perplexity(logits, test.options...)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(n.Shape(), test.want) || n.IsScalar() != (len(test.want) == 0) {
			t.Errorf("logits of shape %v: the perplexity has shape %v, want %v", test.shape, n.Shape(), test.want)
		}
	}
}
