package gradcheck

import (
	"errors"
	"fmt"
	"math"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/internal/layout"
)

// point is where the gradients are checked: the values of the first graph.
type point struct{ inputs []*input }

// input is a node to differentiate by, apart from any graph.
type input struct {
	name     string
	shape    tensor.Shape
	values   []float64 // row-major
	checked  []int     // the elements that are compared with finite differences
	infinite []int     // the elements whose gradient must be 0
}

// newPoint copies the values of the graph's inputs. It checks at most most
// elements of each, or all if most is 0.
func newPoint(gr *graph, most int) (*point, error) {
	p := &point{}
	checked := 0
	for i, n := range gr.wrt {
		in := &input{name: nameOf(n, i), shape: n.Shape().Clone()}
		values, err := layout.Slice[float64](n.Value(), in.shape)
		if err != nil {
			return nil, fmt.Errorf("the input %s %w", in.name, err)
		}
		in.values = slices.Clone(values)
		if err := in.choose(most); err != nil {
			return nil, err
		}
		checked += len(in.checked)
		p.inputs = append(p.inputs, in)
	}
	if checked == 0 {
		return nil, errors.New("no input has a finite element to differentiate by")
	}
	return p, nil
}

// nameOf names input i by its node, if that has a name.
func nameOf(n *G.Node, i int) string {
	if nameless := (&G.Node{}).Name(); n.Name() == nameless {
		return fmt.Sprintf("number %d", i)
	}
	return n.Name()
}

// choose sorts the elements into finite ones, of which it takes at most most,
// and infinite ones.
func (in *input) choose(most int) error {
	var finite []int
	for e, v := range in.values {
		switch {
		case math.IsNaN(v):
			return fmt.Errorf("the input %s is NaN at %v, want a number", in.name, in.index(e))
		case math.IsInf(v, 0):
			in.infinite = append(in.infinite, e)
		default:
			finite = append(finite, e)
		}
	}
	in.checked = finite
	if n := len(finite); most > 0 && n > most {
		in.checked = make([]int, most)
		for k := range most {
			in.checked[k] = finite[spread(k, n, most)]
		}
	}
	return nil
}

// spread picks element k of m out of n. It cuts [0, n) into m parts and takes
// one element of each, at a place that changes from part to part: a fixed
// stride could stay in one column of a matrix.
func spread(k, n, m int) int {
	const golden = 0.6180339887498949 // its multiples fill [0, 1) evenly
	from, to := k*n/m, (k+1)*n/m
	_, place := math.Modf(float64(k) * golden)
	return from + int(place*float64(to-from))
}

// index returns the coordinates of element e.
func (in *input) index(e int) []int {
	at := make([]int, len(in.shape))
	for axis := len(at) - 1; axis >= 0; axis-- {
		at[axis] = e % in.shape[axis]
		e /= in.shape[axis]
	}
	return at
}
