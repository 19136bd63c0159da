package anneal

import "math"

// Jang returns the schedule of the Gumbel-softmax paper, updated every n steps:
//
//	s(t) = max(0.5, exp(−rate·t))
//
// Source: Jang, Gu & Poole, "Categorical Reparameterization with
// Gumbel-Softmax" (2017), section 4.2, with rate 1e-5 or 1e-4 and n 500 or
// 1000; section 4.3 has rate 3e-5 and n 2000.
func Jang(rate float64, n int) Schedule {
	return Exponential(1, rate).AtLeast(0.5).Every(n)
}

// Wav2Vec2 returns the schedule of wav2vec 2.0's base model, with one step per update:
//
//	s(t) = max(2·0.999995^t, 0.5)
//
// Source: Baevski, Zhou, Mohamed & Auli, "wav2vec 2.0: A Framework for
// Self-Supervised Learning of Speech Representations" (2020), section 4.2, and
// fairseq, gumbel_vector_quantizer.py.
func Wav2Vec2() Schedule {
	// math.Pow multiplies its rounding error by the exponent; this does not.
	return Exponential(2, -math.Log(0.999995)).AtLeast(0.5)
}

// DALLE returns the schedule of the discrete VAE of DALL-E, with one step per
// update: a cosine from 1 to 1/16 over 150,000 updates.
//
// Source: Ramesh et al., "Zero-Shot Text-to-Image Generation" (2021),
// appendix A.2.
func DALLE() Schedule {
	return Cosine(1, 1.0/16, 150_000)
}
