package main

import (
	"fmt"
	"math"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/ops"
	"github.com/gumbel-go/gumbel/vm"
)

// The graphs of this file evaluate a model. Each has a fixed batch size, as
// Gorgonia requires, and shares the weights of the training graph.

// machine runs a graph any number of times: with the tag cuda, on the GPU.
type machine struct{ vm *vm.Machine }

func newMachine(g *G.ExprGraph) (machine, error) {
	m, err := vm.New(g)
	return machine{m}, err
}

func (m machine) run() error {
	defer m.vm.Reset() // without Reset, the next run would do nothing
	return m.vm.RunAll()
}

func (m machine) close() { m.vm.Close() }

// result is the value of a node in the last run. The next run overwrites it.
type result struct{ value G.Value }

func read(n *G.Node) *result {
	r := &result{}
	G.Read(n, &r.value)
	return r
}

func (r *result) floats() []float32 { return r.value.Data().([]float32) }

// floats returns the elements of a dense float32 tensor, not a copy.
func floats(v G.Value) ([]float32, error) {
	d, ok := v.(*tensor.Dense)
	if !ok {
		return nil, fmt.Errorf("value is a %T, want a dense tensor", v)
	}
	f, ok := d.Data().([]float32)
	if !ok {
		return nil, fmt.Errorf("tensor of %v, want float32", d.Dtype())
	}
	return f, nil
}

// input adds a float32 matrix to a graph. It returns the matrix's memory too: the
// next run reads what is written there.
func input(g *G.ExprGraph, name string, rows, columns int) (*G.Node, []float32) {
	data := make([]float32, rows*columns)
	value := tensor.New(tensor.WithShape(rows, columns), tensor.WithBacking(data))
	return G.NewMatrix(g, tensor.Float32, G.WithShape(rows, columns), G.WithName(name), G.WithValue(value)), data
}

// constant adds a matrix whose elements are all v to a graph.
func constant(g *G.ExprGraph, name string, shape tensor.Shape, v float32) *G.Node {
	n, data := input(g, name, shape[0], shape[1])
	for i := range data {
		data[i] = v
	}
	return n
}

// encoderGraph computes q(z|x) for a batch of images.
type encoderGraph struct {
	machine
	x          []float32
	logits, kl *result
	settings   *settings
}

func newEncoderGraph(p *parameters, batch int) (*encoderGraph, error) {
	g := G.NewGraph()
	x, data := input(g, "x", batch, pixels)
	net, err := newEncoder(g, p.settings, G.Zeroes())
	if err != nil {
		return nil, err
	}
	if err := share(net, p.encoder); err != nil {
		return nil, err
	}
	logits, err := forward(net, x)
	if err != nil {
		return nil, err
	}
	kl, err := ops.CategoricalKL(logits, nil, ops.WithClasses(p.settings.Classes))
	if err != nil {
		return nil, err
	}
	e := &encoderGraph{x: data, logits: read(logits), kl: read(kl), settings: p.settings}
	e.machine, err = newMachine(g)
	return e, err
}

// encode runs the batch of images that starts at first.
func (e *encoderGraph) encode(im *images, first int) error {
	scale(e.x, im.pixels[first*pixels:first*pixels+len(e.x)])
	return e.run()
}

// likelyCodes returns the most likely class of each latent, for the first images.
func (e *encoderGraph) likelyCodes(im *images) ([][]int, error) {
	if err := e.encode(im, 0); err != nil {
		return nil, err
	}
	var codes [][]int
	for image := range slices.Chunk(e.logits.floats(), e.settings.Latents*e.settings.Classes) {
		var code []int
		for block := range slices.Chunk(image, e.settings.Classes) {
			code = append(code, slices.Index(block, slices.Max(block)))
		}
		codes = append(codes, code)
	}
	return codes, nil
}

// decoderGraph samples codes from logits and reconstructs images from them.
type decoderGraph struct {
	machine
	logits, x      []float32
	sample, losses *result // z, and −log p of each pixel
}

// sampler adds samples of the distributions with the given logits to their graph.
type sampler func(logits *G.Node) (*G.Node, error)

func softSamples(s *settings, source *ops.Source, tau float64) sampler {
	return func(logits *G.Node) (*G.Node, error) {
		t := G.NewScalar(logits.Graph(), tensor.Float32, G.WithName("tau"), G.WithValue(float32(tau)))
		return ops.GumbelSoftmax(logits, t, ops.WithClasses(s.Classes), ops.WithSource(source))
	}
}

func discreteSamples(s *settings, source *ops.Source) sampler {
	return func(logits *G.Node) (*G.Node, error) {
		return ops.Categorical(logits, ops.WithClasses(s.Classes), ops.WithSource(source))
	}
}

func newDecoderGraph(p *parameters, batch int, draw sampler) (*decoderGraph, error) {
	g := G.NewGraph()
	logits, logitsData := input(g, "logits", batch, p.settings.Latents*p.settings.Classes)
	x, xData := input(g, "x", batch, pixels)
	z, err := draw(logits)
	if err != nil {
		return nil, err
	}
	made, err := decodeWith(p, z)
	if err != nil {
		return nil, err
	}
	losses, err := ops.BCEWithLogits(made, x)
	if err != nil {
		return nil, err
	}
	d := &decoderGraph{logits: logitsData, x: xData, sample: read(z), losses: read(losses)}
	d.machine, err = newMachine(g)
	return d, err
}

// decodeWith adds a decoder with the weights of p to the graph of z.
func decodeWith(p *parameters, z *G.Node) (*G.Node, error) {
	net, err := newDecoder(z.Graph(), p.settings, G.Zeroes())
	if err != nil {
		return nil, err
	}
	if err := share(net, p.decoder); err != nil {
		return nil, err
	}
	return forward(net, z)
}

// decode runs the batch of images that starts at first, with its logits.
func (d *decoderGraph) decode(logits []float32, im *images, first int) error {
	copy(d.logits, logits)
	scale(d.x, im.pixels[first*pixels:first*pixels+len(d.x)])
	return d.run()
}

// generator decodes codes into pictures.
type generator struct {
	machine
	latents, classes int
	z                []float32
	made             *result
}

const generatorBatch = 32

func newGenerator(p *parameters) (*generator, error) {
	g := G.NewGraph()
	z, data := input(g, "z", generatorBatch, p.settings.Latents*p.settings.Classes)
	made, err := decodeWith(p, z)
	if err != nil {
		return nil, err
	}
	d := &generator{latents: p.settings.Latents, classes: p.settings.Classes, z: data, made: read(made)}
	d.machine, err = newMachine(g)
	return d, err
}

// pictures returns the means of p(x|z), with values in [0, 1]. A code has one
// class per latent.
func (d *generator) pictures(codes [][]int) ([][]float32, error) {
	var made [][]float32
	for some := range slices.Chunk(codes, generatorBatch) {
		clear(d.z)
		for row, code := range some {
			for l, class := range code {
				d.z[(row*d.latents+l)*d.classes+class] = 1
			}
		}
		if err := d.run(); err != nil {
			return nil, err
		}
		for row := range some {
			made = append(made, sigmoid(d.made.floats()[row*pixels:(row+1)*pixels]))
		}
	}
	return made, nil
}

func sigmoid(logits []float32) []float32 {
	p := make([]float32, len(logits))
	for i, l := range logits {
		p[i] = float32(1 / (1 + math.Exp(-float64(l))))
	}
	return p
}
