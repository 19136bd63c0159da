// Relaxed Bernoulli samples, their log density, hard concrete gates and their gradients, as
// internal/kernel computes them on the CPU: bernoulli.go, relaxeddensity.go and
// hardconcrete.go there have the formulas. A thread has one element, and computes in
// double.
#include "input.cuh"

// An Element is an input with what is given for it.
template <typename T>
struct Element {
  Int index;  // in the draw
  double logit;  // of the distribution
  T sum;         // the logit and the noise
  double tau;
  double grad;
  bool noiseless;
  double gap;  // 0 if it depends on the probability
  double gamma, zeta;  // the ends that a gate is stretched to
  Int samples;
  Stream stream;  // of an estimator's noise

  __device__ double sampled() const { return sum > 0 ? 1 : 0; }

  // side is the logit of the sampled outcome.
  __device__ double side() const { return sum > 0 ? logit : -logit; }

  // tempered is the sum divided by tau, and infinite only if the sum is.
  __device__ double tempered() const { return finite(static_cast<double>(sum) / tau, isinf(sum)); }
  // softmax is the logit divided by tau, without noise.
  __device__ double softmax() const { return finite(logit / tau, isinf(logit)); }
  // In a run without noise, a gate has the temperature 1.
  __device__ double gate_tau() const { return noiseless ? 1 : tau; }
  __device__ double gate_logit() const { return finite(static_cast<double>(sum) / gate_tau(), isinf(sum)); }

  static __device__ double finite(double y, bool infinite) {
    return infinite ? y : clamp<T>(y);
  }
};

__device__ inline double sigmoid(double y) {
  const double e = exp(-fabs(y));
  return y > 0 ? 1 / (1 + e) : e / (1 + e);
}

// slope is that of sigmoid.
__device__ inline double slope(double y) {
  const double e = exp(-fabs(y));
  return e / ((1 + e) * (1 + e));
}

__device__ inline double softplus(double x) { return fmax(x, 0.0) + log1p(exp(-fabs(x))); }

// logistic returns the standard logistic noise of a random word.
template <typename T>
__device__ T logistic(unsigned b) {
  return exponential<T>(~b) - exponential<T>(b);
}

template <typename T>
__device__ double soft(const Element<T>& e) {
  return sigmoid(e.tempered());
}

template <typename T>
__device__ double hard(const Element<T>& e) {
  return e.sampled();
}

template <typename T>
__device__ double logit(const Element<T>& e) {
  return e.tempered();
}

// stretched is the gate before it is clamped. The sigmoid of -|y| loses no digits.
template <typename T>
__device__ double stretched(const Element<T>& e) {
  const double y = e.gate_logit(), part = (e.zeta - e.gamma) * sigmoid(-fabs(y));
  return y > 0 ? e.zeta - part : e.gamma + part;
}

template <typename T>
__device__ double gate(const Element<T>& e) {
  return fmin(fmax(stretched(e), 0.0), 1.0);
}

// between reports whether the gate, as rounded, is neither 0 nor 1.
template <typename T>
__device__ bool between(const Element<T>& e) {
  const T z = static_cast<T>(stretched(e));
  return z > 0 && z < 1;
}

// The gradients to the logit. A certain outcome has none, whatever gradient reaches it.

template <typename T>
__device__ double grad_soft(const Element<T>& e) {
  return isinf(e.sum) ? 0 : slope(e.tempered()) * e.grad / e.tau;
}

template <typename T>
__device__ double grad_logit(const Element<T>& e) {
  return isinf(e.sum) ? 0 : e.grad / e.tau;
}

template <typename T>
__device__ double grad_gate(const Element<T>& e) {
  return between(e) ? (e.zeta - e.gamma) * slope(e.gate_logit()) * e.grad / e.gate_tau() : 0;
}

template <typename T>
__device__ double grad_softmax(const Element<T>& e) {
  return isinf(e.logit) ? 0 : slope(e.softmax()) * e.grad / e.tau;
}

template <typename T>
__device__ double grad_reinmax(const Element<T>& e) {
  if (isinf(e.logit)) return 0;
  const double y = e.side() / e.tau;
  return (0.5 * sigmoid(-y) * (1 + sigmoid(y)) - 0.5 * slope(e.logit)) * e.grad;
}

template <typename T>
__device__ double grad_gapped(const Element<T>& e) {
  if (isinf(e.logit)) return 0;
  double gap = e.gap;
  if (gap == 0) {
    const double p = fmin(sigmoid(e.side()), 1 - 1e-5);
    gap = p == 0 ? 1 : -log1p(-p) / p;
  }
  return slope(fmax(e.side(), gap) / e.tau) * e.grad / e.tau;
}

// Without noise, there is nothing to average over.
template <typename T>
__device__ double grad_rao(const Element<T>& e) {
  if (e.noiseless) return grad_softmax(e);
  if (isinf(e.logit)) return 0;
  double sum = 0;
#pragma unroll 1
  for (Int i = 0; i < e.samples; i++) {
    const double noise = logistic<T>(e.stream.sub(static_cast<Word64>(i)).word(e.index));
    sum += slope(softplus(noise + softplus(e.side())) / e.tau);
  }
  return sum / (static_cast<double>(e.samples) * e.tau) * e.grad;
}

// The shares of the gradient to tau, times -tau.

template <typename T>
__device__ double tau_soft(const Element<T>& e) {
  const double y = e.tempered();
  return isinf(e.sum) ? 0 : y * slope(y) * e.grad;
}

template <typename T>
__device__ double tau_logit(const Element<T>& e) {
  return isinf(e.sum) ? 0 : e.tempered() * e.grad;
}

template <typename T>
__device__ double tau_softmax(const Element<T>& e) {
  const double y = e.softmax();
  return isinf(e.logit) ? 0 : y * slope(y) * e.grad;
}

template <typename T>
__device__ double tau_gate(const Element<T>& e) {
  const double y = e.gate_logit();
  return between(e) && !e.noiseless ? y * (e.zeta - e.gamma) * slope(y) * e.grad : 0;
}

#define RELAXED_KERNEL(name, T, type, Out)                                                                         \
  extern "C" __global__ void relaxed_##name##_##type(                                                              \
      Out* out, const T* logits, const T* noise, const T* tau, const Int* draw, const T* grad, double gap,         \
      double gamma, double zeta, Int samples, Word64 key, Word64 further, Int n, int* status) {                    \
    const Int i = global_thread();                                                                                 \
    if (i >= n) return;                                                                                            \
    const bool noiseless = draw != nullptr && *draw < 0;                                                           \
    const Word64 number = draw == nullptr ? 0 : static_cast<Word64>(draw[0]);                                      \
    const Int place = draw == nullptr ? i : draw[1] + i; /* in the draw */                                         \
    T added = 0;                                                                                                   \
    if (!noiseless && noise != nullptr) {                                                                          \
      added = noise[i];                                                                                            \
    } else if (!noiseless && draw != nullptr) {                                                                    \
      added = logistic<T>(Stream(key, number).word(place));                                                        \
    }                                                                                                              \
    const T sum = logits[i] + added, t = *tau;                                                                     \
    const bool certain = isinf(logits[i]) || isinf(added);                                                         \
    if (!(t > 0 && t < INFINITY) || isnan(sum) || (isinf(sum) && !certain)) *status = 1;                           \
    const double upstream = grad == nullptr ? 0 : grad[i];                                                         \
    const Stream stream(further, number);                                                                          \
    const Element<T> element = {place, logits[i], sum, t, upstream, noiseless, gap, gamma, zeta, samples, stream}; \
    out[i] = static_cast<Out>(name<T>(element));                                                                   \
  }

#define RELAXED_KERNELS(name)             \
  RELAXED_KERNEL(name, float, f32, float) \
  RELAXED_KERNEL(name, double, f64, double)
#define TAU_KERNELS(name)                  \
  RELAXED_KERNEL(name, float, f32, double) \
  RELAXED_KERNEL(name, double, f64, double)

RELAXED_KERNELS(soft)
RELAXED_KERNELS(hard)
RELAXED_KERNELS(logit)
RELAXED_KERNELS(gate)
RELAXED_KERNELS(grad_soft)
RELAXED_KERNELS(grad_logit)
RELAXED_KERNELS(grad_gate)
RELAXED_KERNELS(grad_softmax)
RELAXED_KERNELS(grad_reinmax)
RELAXED_KERNELS(grad_gapped)
RELAXED_KERNELS(grad_rao)
TAU_KERNELS(tau_soft)
TAU_KERNELS(tau_logit)
TAU_KERNELS(tau_softmax)
TAU_KERNELS(tau_gate)

// An Opening is an element of the probability that a gate is not 0.
struct Opening {
  double logit;
  double shift;
  double grad;

  // shifted is infinite only if the logit is.
  __device__ double shifted() const { return Element<double>::finite(logit - shift, isinf(logit)); }
};

__device__ inline double open(const Opening& o) { return sigmoid(o.shifted()); }

__device__ inline double grad_open(const Opening& o) { return isinf(o.logit) ? 0 : slope(o.shifted()) * o.grad; }

// A share of the gradient to tau, times -tau.
__device__ inline double tau_open(const Opening& o) { return o.shift * grad_open(o); }

#define OPEN_KERNEL(name, T, type, Out)                                                                      \
  extern "C" __global__ void relaxed_##name##_##type(Out* out, const T* logits, const T* tau, const T* grad, \
                                                     double bound, Int n, int* status) {                     \
    const Int i = global_thread();                                                                           \
    if (i >= n) return;                                                                                      \
    const double logit = logits[i], t = *tau;                                                                \
    if (!(t > 0 && t < INFINITY) || isnan(logit)) *status = 1;                                               \
    const double shift = Element<double>::finite(t * bound, false);                                          \
    out[i] = static_cast<Out>(name(Opening{logit, shift, grad == nullptr ? 0 : grad[i]}));                   \
  }

OPEN_KERNEL(open, float, f32, float)
OPEN_KERNEL(open, double, f64, double)
OPEN_KERNEL(grad_open, float, f32, float)
OPEN_KERNEL(grad_open, double, f64, double)
OPEN_KERNEL(tau_open, float, f32, double)
OPEN_KERNEL(tau_open, double, f64, double)

// The log density of samples in logit space, and its gradients

// A Sampled is a logit and a value that was sampled from it.
template <typename T>
struct Sampled {
  double u;  // logit - tau*value
  double value, tau, grad;
};

template <typename T>
__device__ double density(const Sampled<T>& s) {
  const double size = fabs(s.u);
  return Element<T>::finite(log(s.tau) - size - 2 * log1p(exp(-size)), false);
}

template <typename T>
__device__ double grad_density_logits(const Sampled<T>& s) {
  return -tanh(s.u / 2) * s.grad;
}

template <typename T>
__device__ double grad_density_value(const Sampled<T>& s) {
  return s.tau * tanh(s.u / 2) * s.grad;
}

// The share of the gradient to tau, times -tau.
template <typename T>
__device__ double tau_density(const Sampled<T>& s) {
  return -(1 + s.tau * (s.value * tanh(s.u / 2))) * s.grad;
}

#define DENSITY_KERNEL(name, T, type, Out)                                                                    \
  extern "C" __global__ void relaxed_##name##_##type(Out* out, const T* logits, const T* value, const T* tau, \
                                                     const T* grad, Int n, int* status) {                     \
    const Int i = global_thread();                                                                            \
    if (i >= n) return;                                                                                       \
    const double a = logits[i], y = value[i], t = *tau;                                                       \
    if (!(t > 0 && t < INFINITY) || !isfinite(a) || !isfinite(y)) *status = 1;                                \
    const double u = Element<T>::finite(fma(-t, y, a), false);                                                \
    const Sampled<T> sampled = {u, y, t, grad == nullptr ? 0 : grad[i]};                                      \
    out[i] = static_cast<Out>(name(sampled));                                                                 \
  }

#define DENSITY_KERNELS(name)             \
  DENSITY_KERNEL(name, float, f32, float) \
  DENSITY_KERNEL(name, double, f64, double)

DENSITY_KERNELS(density)
DENSITY_KERNELS(grad_density_logits)
DENSITY_KERNELS(grad_density_value)
DENSITY_KERNEL(tau_density, float, f32, double)
DENSITY_KERNEL(tau_density, double, f64, double)
