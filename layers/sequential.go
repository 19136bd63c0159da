package layers

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	G "gorgonia.org/gorgonia"
)

// Sequential applies layers one after the other, the first one first. It takes
// any Layer, golgi's too, and is one itself.
type Sequential struct {
	name   string
	layers []Layer
}

// NewSequential chains the layers. A layer may stand in it more than once and
// then shares its weights. An empty name, no layers, and a nil layer are
// errors.
func NewSequential(name string, layers ...Layer) (*Sequential, error) {
	if name == "" {
		return nil, errors.New("layers: NewSequential: name is empty")
	}
	if len(layers) == 0 {
		return nil, fmt.Errorf("layers: NewSequential %q: no layers; give at least one", name)
	}
	for i, l := range layers {
		if isNil(l) {
			return nil, fmt.Errorf("layers: NewSequential %q: layer %d is nil; see the error of its constructor", name, i)
		}
	}
	return &Sequential{name: name, layers: slices.Clone(layers)}, nil
}

// isNil also finds the nil *Linear of a constructor whose error was dropped.
func isNil(l Layer) bool {
	v := reflect.ValueOf(l)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// Fwd applies every layer in turn. The error of a layer comes back with the
// layer's place and name.
func (s *Sequential) Fwd(x G.Input) G.Result {
	if x == nil {
		return G.Err(fmt.Errorf("layers: Sequential %q: Fwd: input is nil", s.name))
	}
	var y G.Result
	for i, l := range s.layers {
		y = l.Fwd(x)
		if err := G.CheckOne(y); err != nil {
			return G.Err(fmt.Errorf("layers: Sequential %q: Fwd: layer %d (%s): %w", s.name, i, l.Name(), err))
		}
		x = y
	}
	return y
}

// Model returns the learnable nodes of all layers in order, each node once.
func (s *Sequential) Model() G.Nodes {
	var model G.Nodes
	for _, l := range s.layers {
		for _, n := range l.Model() {
			if !slices.Contains(model, n) {
				model = append(model, n)
			}
		}
	}
	return model
}

// Name returns the name given to NewSequential.
func (s *Sequential) Name() string { return s.name }

// Describe does nothing; golgi's Layer asks for it.
func (s *Sequential) Describe() {}
