package ops

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// An Estimator says which gradient a hard sample passes to its logits: see
// WithEstimator. Estimators are comparable. The zero Estimator is
// StraightThroughGumbel.
type Estimator struct {
	kind    estimatorKind
	samples int     // of GumbelRao
	gap     float64 // of GappedStraightThrough
}

type estimatorKind int

const (
	straightThroughGumbel estimatorKind = iota
	straightThroughSoftmax
	reinMax
	gumbelRao
	gapped
	adaptiveGap
)

// In what follows, l are the logits, D is the one-hot sample and d its class, g is the
// gradient that reaches the sample, and J(q)g = q∘(g − ⟨q, g⟩).

// StraightThroughGumbel is the estimator of WithHard, the gradient of the soft sample
// of the same noise:
//
//	J(softmax((l + noise)/tau))g / tau
//
// Source: Jang, Gu and Poole, Categorical Reparameterization with Gumbel-Softmax (ICLR
// 2017), section 2.2.
func StraightThroughGumbel() Estimator { return Estimator{} }

// StraightThroughSoftmax is the gradient of softmax(l/tau), whichever class is sampled:
//
//	J(softmax(l/tau))g / tau
//
// At tau 1 it is the straight-through estimator of torch's
// OneHotCategoricalStraightThrough and of Dreamer. It has less variance than
// StraightThroughGumbel, and is unbiased for a linear loss at tau 1.
//
// Source: Bengio, Léonard and Courville, Estimating or Propagating Gradients Through
// Stochastic Neurons for Conditional Computation (2013), section 4.
func StraightThroughSoftmax() Estimator { return Estimator{kind: straightThroughSoftmax} }

// ReinMax is accurate to the second order:
//
//	2J(½(softmax(l/tau) + D))g − ½J(softmax(l))g
//
// At tau 1 it is unbiased for a quadratic loss, and equals ZGR and the limit of
// GumbelRao for tau to 0. The paper uses a tau of 1.1 to 1.5 for the VAE. It is for
// tau of at least 1, and tau has no gradient. The logits must be logits and not probabilities.
//
// Source: Liu, Dong, Liu, Yu and Gao, Bridging Discrete and Backpropagation:
// Straight-Through and Beyond (NeurIPS 2023), algorithm 2.
func ReinMax() Estimator { return Estimator{kind: reinMax} }

// GumbelRao is StraightThroughGumbel, averaged over noise φ that is drawn again on the
// condition that d is sampled, so many times:
//
//	mean of J(softmax(φ/tau))g / tau
//
// It has the mean of StraightThroughGumbel and less variance, which allows a lower tau,
// at samples times the cost. The samples are drawn in the backward pass, one after
// another, from the node's source. The number must be at least 1; 10 to 100 are usual.
// tau has no gradient.
//
// Source: Paulus, Maddison and Krause, Rao-Blackwellizing the Straight-Through
// Gumbel-Softmax Gradient Estimator (ICLR 2021).
func GumbelRao(samples int) Estimator { return Estimator{kind: gumbelRao, samples: samples} }

// GappedStraightThrough is StraightThroughSoftmax of logits l′ that are moved until the
// sampled class leads all others by a gap, without a gradient through the move:
//
//	J(softmax(l′/tau))g / tau,  l′ = max l at d, min(lᵢ, max l − gap) elsewhere
//
// The gap must be positive and finite; 1 is the paper's. tau has no gradient.
//
// Source: Fan, Xie, Wang et al., Training Discrete Deep Generative Models via Gapped
// Straight-Through Estimator (ICML 2022).
func GappedStraightThrough(gap float64) Estimator { return Estimator{kind: gapped, gap: gap} }

// AdaptiveGap is GappedStraightThrough with a gap of −log(1−p)/p, where p is the
// probability of the sampled class, at most 1−1e-5: the paper's GST-p.
func AdaptiveGap() Estimator { return Estimator{kind: adaptiveGap} }

// estimatorNames are the specs without numbers.
var estimatorNames = []string{
	straightThroughGumbel: "gumbel", straightThroughSoftmax: "softmax", reinMax: "reinmax",
	gumbelRao: "rao", gapped: "gapped", adaptiveGap: "gapped(adaptive)",
}

// String returns the spec that ParseEstimator reads.
func (e Estimator) String() string {
	name := estimatorNames[e.kind]
	switch e.kind {
	case gumbelRao:
		return fmt.Sprintf("%s(%d)", name, e.samples)
	case gapped:
		return name + "(" + strconv.FormatFloat(e.gap, 'g', -1, 64) + ")"
	}
	return name
}

// ParseEstimator reads an estimator written as text, for flags and files: gumbel,
// softmax, reinmax, rao(samples), gapped(gap) or gapped(adaptive), such as rao(10) and
// gapped(1). Spaces around the spec and its number are allowed.
func ParseEstimator(spec string) (Estimator, error) {
	e, err := parseEstimator(strings.TrimSpace(spec))
	if err == nil {
		err = e.check()
	}
	if err != nil {
		return Estimator{}, fmt.Errorf("ops: ParseEstimator(%q): %w", spec, err)
	}
	return e, nil
}

func parseEstimator(spec string) (Estimator, error) {
	name, argument, found := strings.Cut(spec, "(")
	argument, closed := strings.CutSuffix(argument, ")")
	if found && !closed {
		return Estimator{}, fmt.Errorf("%q has no closing bracket", spec)
	}
	name, argument = strings.TrimSpace(name), strings.TrimSpace(argument)
	switch {
	case !found && name == "gumbel":
		return StraightThroughGumbel(), nil
	case !found && name == "softmax":
		return StraightThroughSoftmax(), nil
	case !found && name == "reinmax":
		return ReinMax(), nil
	case found && name == "rao":
		samples, err := strconv.Atoi(argument)
		if err != nil {
			return Estimator{}, fmt.Errorf("the number of samples is %q, want a whole number", argument)
		}
		return GumbelRao(samples), nil
	case found && name == "gapped" && argument == "adaptive":
		return AdaptiveGap(), nil
	case found && name == "gapped":
		gap, err := strconv.ParseFloat(argument, 64)
		if err != nil {
			return Estimator{}, fmt.Errorf("the gap is %q, want a number or adaptive", argument)
		}
		return GappedStraightThrough(gap), nil
	}
	return Estimator{}, fmt.Errorf("no such estimator, want gumbel, softmax, reinmax, rao(samples), gapped(gap) or gapped(adaptive)")
}

// check returns an error if a number of the estimator is out of range.
func (e Estimator) check() error {
	switch {
	case e.kind == gumbelRao && e.samples < 1:
		return fmt.Errorf("the number of samples is %d, want at least 1", e.samples)
	case e.kind == gapped && (!(e.gap > 0) || math.IsInf(e.gap, 1)):
		return fmt.Errorf("the gap is %v, want a positive, finite number", e.gap)
	}
	return nil
}

// hasGradTau reports whether the estimator has a gradient to tau.
func (e Estimator) hasGradTau() bool {
	return e.kind == straightThroughGumbel || e.kind == straightThroughSoftmax
}
