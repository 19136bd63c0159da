package main

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gumbel-go/gumbel/anneal"
	"github.com/gumbel-go/gumbel/layers"
	"github.com/gumbel-go/gumbel/ops"
	"github.com/gumbel-go/gumbel/solver"
	"github.com/gumbel-go/gumbel/vm"
)

// trainer is a training run: the graph of the model and the progress so far.
type trainer struct {
	settings    settings
	batches     *batches
	source      *ops.Source
	temperature *anneal.Temperature
	rate        anneal.Schedule
	adam        *solver.Adam
	history     []record

	team *team
	rows int // that the graph takes
	machine
	x          []float32
	losses, kl *result // one per pixel, and one per latent
	learnables G.Nodes // of the encoder, then of the decoder
	gradients  *vm.Gradients
}

// newTrainer builds the graph of
//
//	−ELBO = (1/B) Σ BCE(decoder(z), x) + (1/B) Σ KL(softmax(logits) || uniform)
//
// with logits = encoder(x) and a Gumbel-softmax sample z, and of its gradients. The
// graph takes the rows of a batch that a rank of the team runs at a time.
func newTrainer(s settings, train *images, team *team) (*trainer, error) {
	if train.n < s.Batch {
		return nil, fmt.Errorf("-batch %d: must be at most %d, the number of training images", s.Batch, train.n)
	}
	tau, err := anneal.Parse(s.Tau)
	if err != nil {
		return nil, err
	}
	t := &trainer{
		settings: s,
		batches:  newBatches(train, s.Batch, s.Seed),
		source:   ops.NewSource(s.Seed),
		rate:     anneal.Exponential(s.LR, -math.Log(0.9)/1000).Every(1000),
		team:     team,
	}
	if t.rows, err = team.rows(s.Batch); err != nil {
		return nil, err
	}
	if t.adam, err = solver.NewAdam(); err != nil {
		return nil, err
	}
	g := G.NewGraph()
	if t.temperature, err = anneal.NewTemperature(g, tensor.Float32, tau); err != nil {
		return nil, err
	}
	losses, err := t.lossNodes(g)
	if err != nil {
		return nil, err
	}
	// The gradient of −ELBO by each loss is 1/B. With that as an input, the graph
	// needs neither the sums nor their gradients.
	var shares G.Nodes
	for i, n := range losses {
		shares = append(shares, constant(g, fmt.Sprint("share", i), n.Shape(), 1/float32(s.Batch)))
	}
	if _, err := G.Backpropagate(losses, shares, t.learnables); err != nil {
		return nil, err
	}
	if t.gradients, err = vm.ReadGradients(t.learnables...); err != nil {
		return nil, err
	}
	t.machine, err = newMachine(g)
	return t, err
}

// lossNodes builds the graph up to the losses of the pixels and of the latents.
func (t *trainer) lossNodes(g *G.ExprGraph) (G.Nodes, error) {
	s := &t.settings
	x, data := input(g, "x", t.rows, pixels)
	t.x = data
	init := layers.GlorotUniform(s.Seed)
	encoder, err := newEncoder(g, s, init)
	if err != nil {
		return nil, err
	}
	decoder, err := newDecoder(g, s, init)
	if err != nil {
		return nil, err
	}
	t.learnables = append(encoder.Model(), decoder.Model()...)
	options, err := s.sampleOptions()
	if err != nil {
		return nil, err
	}
	options = append(options, ops.WithSource(t.source))
	latent, err := layers.NewCategoricalLatent("latent", t.temperature.Node(), s.Latents, s.Classes, options...)
	if err != nil {
		return nil, err
	}
	model, err := layers.NewSequential("vae", encoder, latent, decoder)
	if err != nil {
		return nil, err
	}
	made, err := forward(model, x)
	if err != nil {
		return nil, err
	}
	losses, err := ops.BCEWithLogits(made, x)
	if err != nil {
		return nil, err
	}
	kl, err := latent.KL()
	if err != nil {
		return nil, err
	}
	t.losses, t.kl = read(losses), read(kl)
	return G.Nodes{losses, kl}, nil
}

// sampleOptions returns the options that say which samples to train with.
func (s *settings) sampleOptions() ([]ops.SampleOption, error) {
	switch {
	case s.Hard:
		return []ops.SampleOption{ops.WithHard()}, nil
	case s.Estimator != "":
		e, err := ops.ParseEstimator(s.Estimator)
		return []ops.SampleOption{ops.WithEstimator(e)}, err
	}
	return nil, nil
}

// step trains on one batch.
func (t *trainer) step() error {
	began, step := time.Now(), len(t.history)
	parts, err := t.runBatch(step)
	if err != nil {
		err = fmt.Errorf("step %d: %w: if training diverged, use a smaller -lr", step+1, err)
	}
	if err := t.team.Sum(parts, err); err != nil {
		return err
	}
	r := record{Tau: t.temperature.Value()}
	for i := 0; i < len(parts); i += 2 { // in the order of the pieces, on any rank
		r.Reconstruction += parts[i] / float64(t.settings.Batch)
		r.KL += parts[i+1] / float64(t.settings.Batch)
	}
	if v := r.nelbo(); math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("step %d: -ELBO is %v: use a smaller -lr", step+1, v)
	}
	model := t.gradients.ValueGrads()
	if t.team.pieces != nil {
		err = t.team.pieces.Sum(model)
	} else {
		err = t.team.SumGradients(model)
	}
	if err != nil {
		return err
	}
	if err := t.adam.SetLearningRate(t.rate(step)); err != nil {
		return err
	}
	if err := t.adam.Step(model); err != nil {
		return err
	}
	if err := t.temperature.Step(); err != nil {
		return err
	}
	r.Seconds = recent(t.history, 1).Seconds + time.Since(began).Seconds()
	t.history = append(t.history, r)
	return nil
}

// runBatch runs the graph on this rank's rows of the batch of a step. It returns the
// sums of both losses over these rows or, with pieces, over each piece in its place.
func (t *trainer) runBatch(step int) ([]float64, error) {
	if t.team.pieces == nil {
		parts := make([]float64, 2)
		lo, _ := t.team.Share(t.settings.Batch)
		return parts, t.runRows(step, lo, parts)
	}
	parts := make([]float64, 2*t.settings.Batch/t.rows)
	lo, hi := t.team.pieces.Mine()
	for i := lo; i < hi; i++ {
		if err := t.runRows(step, i*t.rows, parts[2*i:]); err != nil {
			return parts, err
		}
		if err := t.team.pieces.Add(t.gradients.ValueGrads()); err != nil {
			return parts, err
		}
	}
	return parts, nil
}

// runRows runs the graph on the rows of a batch from row on.
func (t *trainer) runRows(step, row int, losses []float64) error {
	t.batches.fill(t.x, step, row)
	t.source.Seek(uint64(step), uint64(row))
	if err := t.run(); err != nil {
		return err
	}
	losses[0], losses[1] = sum(t.losses.floats()), sum(t.kl.floats())
	return nil
}

// compare returns an error if the weights differ between ranks.
func (t *trainer) compare() error {
	weights, err := t.weights()
	if err != nil {
		return err
	}
	checksum, err := checksumOf(weights)
	if err != nil {
		return err
	}
	return t.team.mustAgree("the weights", checksum, "run all ranks on processors of one kind, with one version of the libraries")
}

// tau returns the temperature of the last step.
func (t *trainer) tau() float64 {
	if n := len(t.history); n > 0 {
		return t.history[n-1].Tau
	}
	return t.temperature.Value()
}

// weights returns the learnable tensors, not copies.
func (t *trainer) weights() ([]*tensor.Dense, error) {
	all := make([]*tensor.Dense, len(t.learnables))
	for i, n := range t.learnables {
		d, ok := n.Value().(*tensor.Dense)
		if !ok {
			return nil, fmt.Errorf("%s holds a %T", n.Name(), n.Value())
		}
		all[i] = d
	}
	return all, nil
}

// parameters returns the weights, to share them with other graphs.
func (t *trainer) parameters() (*parameters, error) {
	all, err := t.weights()
	if err != nil {
		return nil, err
	}
	half := len(all) / 2
	return &parameters{settings: &t.settings, encoder: all[:half], decoder: all[half:]}, nil
}

// checkpoint returns the current state of the run. It shares memory with the
// trainer: write it before the next step.
func (t *trainer) checkpoint(total int, images uint32) (*checkpoint, error) {
	c := &checkpoint{Settings: t.settings, Images: images, Total: total, Adam: t.adam, History: t.history}
	for _, n := range t.learnables {
		w, err := floats(n.Value())
		if err != nil {
			return nil, err
		}
		c.Weights = append(c.Weights, w)
	}
	var err error
	if c.Source, err = t.source.MarshalBinary(); err != nil {
		return nil, err
	}
	c.Temperature, err = t.temperature.MarshalJSON()
	return c, err
}

// restore sets a new trainer to the state of a checkpoint with the same settings.
func (t *trainer) restore(c *checkpoint) error {
	for i, n := range t.learnables {
		w, err := floats(n.Value())
		if err != nil {
			return err
		}
		copy(w, c.Weights[i])
	}
	t.adam, t.history = c.Adam, c.History
	if err := t.source.UnmarshalBinary(c.Source); err != nil {
		return err
	}
	if err := json.Unmarshal(c.Temperature, t.temperature); err != nil {
		return err
	}
	return nil
}
