package layers

import (
	"errors"
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gumbel-go/gumbel/ops"
)

// CategoricalLatent samples categorical latents from their logits with
// ops.GumbelSoftmax:
//
//	logits (batch, latents*classes)  ->  sample (batch, latents*classes)
//
// Each row holds the latents one after the other, each a block of classes. The
// layer has nothing to learn: put a Linear in front of it.
type CategoricalLatent struct {
	name             string
	tau              *G.Node
	latents, classes int
	opts             []ops.GumbelSoftmaxOption

	logits, sample, kl *G.Node // of the last Fwd
}

// NewCategoricalLatent returns a layer of latents with the given number of
// classes each, sampled at the temperature tau, a scalar node of the graph and
// dtype of the logits. The options are those of ops.GumbelSoftmax, such as
// ops.WithEstimator; the layer sets WithClasses. An empty name, a nil tau, and fewer than one latent or class are
// errors.
func NewCategoricalLatent(name string, tau *G.Node, latents, classes int, opts ...ops.SampleOption) (*CategoricalLatent, error) {
	switch {
	case name == "":
		return nil, errors.New("layers: NewCategoricalLatent: the name is empty")
	case tau == nil:
		return nil, fmt.Errorf("layers: NewCategoricalLatent %q: tau is nil, want a scalar node", name)
	case latents < 1 || classes < 1:
		return nil, fmt.Errorf("layers: NewCategoricalLatent %q: latents, classes are %d, %d, want at least 1", name, latents, classes)
	}
	c := &CategoricalLatent{name: name, tau: tau, latents: latents, classes: classes}
	c.opts = append(c.opts, ops.WithClasses(classes))
	for _, o := range opts {
		c.opts = append(c.opts, o)
	}
	return c, nil
}

// Fwd returns the sample of the logits x, both of shape
// (batch, latents*classes). Each Fwd adds another sampling node, with
// independent noise. The result is an error if x is nil, carries an error, has
// another rank or width, or is rejected by ops.GumbelSoftmax.
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

// Logits returns the input of the last Fwd, or nil before the first.
func (c *CategoricalLatent) Logits() *G.Node { return c.logits }

// Sample returns the output of the last Fwd, or nil before the first.
func (c *CategoricalLatent) Sample() *G.Node { return c.sample }

// KL returns the Kullback-Leibler divergence of each latent of the last Fwd
// from the uniform prior, in nats, of shape (batch, latents): see
// ops.CategoricalKL. The first call after Fwd builds the node, because a
// LispMachine accepts no graph with an unused output. KL before Fwd is an error.
func (c *CategoricalLatent) KL() (*G.Node, error) {
	if c.logits == nil {
		return nil, fmt.Errorf("layers: CategoricalLatent %q: KL: no logits yet: call Fwd first", c.name)
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
