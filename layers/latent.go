package layers

import (
	"errors"
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/ops"
)

// CategoricalLatent samples categorical latents from their logits by
// ops.GumbelSoftmax:
//
//	logits (batch, latents*classes)  ->  sample (batch, latents*classes)
//
// Each row holds the latents one after the other, each a block of classes. The
// layer learns nothing of its own: put a Linear in front of it.
type CategoricalLatent struct {
	name             string
	tau              *G.Node
	latents, classes int
	opts             []ops.Option

	logits, sample, kl *G.Node // of the last Fwd
}

// NewCategoricalLatent makes a layer of latents with classes each, sampled at
// the temperature tau, a scalar node of the graph and dtype of the logits. The
// options go to ops.GumbelSoftmax: WithHard, WithSource, WithNoise and
// WithDeterministicEval are of use here; the layer itself sets WithClasses. An
// empty name, a nil tau, and fewer than one latent or class are errors.
func NewCategoricalLatent(name string, tau *G.Node, latents, classes int, opts ...ops.Option) (*CategoricalLatent, error) {
	switch {
	case name == "":
		return nil, errors.New("layers: NewCategoricalLatent: name is empty")
	case tau == nil:
		return nil, fmt.Errorf("layers: NewCategoricalLatent %q: tau is nil; give a scalar node", name)
	case latents < 1 || classes < 1:
		return nil, fmt.Errorf("layers: NewCategoricalLatent %q: latents, classes are %d, %d; want at least 1", name, latents, classes)
	}
	return &CategoricalLatent{
		name:    name,
		tau:     tau,
		latents: latents,
		classes: classes,
		opts:    append(slices.Clone(opts), ops.WithClasses(classes)),
	}, nil
}

// Fwd returns the sample of the logits x, both of shape
// (batch, latents*classes). Each Fwd adds a sampling node of its own, with
// noise of its own. A nil input, one of another rank or width, an error that x
// carries, and what ops.GumbelSoftmax refuses, come back as the error of the
// result.
func (c *CategoricalLatent) Fwd(x G.Input) G.Result {
	logits, sample, err := c.fwd(x)
	if err != nil {
		return G.Err(fmt.Errorf("layers: CategoricalLatent %q: Fwd: %w", c.name, err))
	}
	c.logits, c.sample, c.kl = logits, sample, nil
	return sample
}

func (c *CategoricalLatent) fwd(x G.Input) (logits, sample *G.Node, err error) {
	if logits, err = matrixOf(x, c.latents*c.classes); err != nil {
		return nil, nil, err
	}
	sample, err = ops.GumbelSoftmax(logits, c.tau, c.opts...)
	return logits, sample, err
}

// Logits returns the input of the last Fwd, nil before the first.
func (c *CategoricalLatent) Logits() *G.Node { return c.logits }

// Sample returns the output of the last Fwd, nil before the first.
func (c *CategoricalLatent) Sample() *G.Node { return c.sample }

// KL returns the Kullback-Leibler divergence of each latent of the last Fwd
// from the uniform prior, in nats, of shape (batch, latents); see
// ops.CategoricalKL. Its node is built at the first call after Fwd, because a
// LispMachine takes no graph with an output that is not used. KL before Fwd is
// an error.
func (c *CategoricalLatent) KL() (*G.Node, error) {
	if c.logits == nil {
		return nil, fmt.Errorf("layers: CategoricalLatent %q: KL: no logits yet; call Fwd first", c.name)
	}
	if c.kl == nil {
		kl, err := ops.CategoricalKL(c.logits, nil, ops.WithClasses(c.classes))
		if err != nil {
			return nil, fmt.Errorf("layers: CategoricalLatent %q: KL: %w", c.name, err)
		}
		c.kl = kl
	}
	return c.kl, nil
}

// Model returns nil: the layer has nothing to learn.
func (c *CategoricalLatent) Model() G.Nodes { return nil }

// Name returns the name given to NewCategoricalLatent.
func (c *CategoricalLatent) Name() string { return c.name }

// Describe does nothing; golgi's Layer asks for it.
func (c *CategoricalLatent) Describe() {}
