// Losses and their gradients, as internal/kernel computes them on the CPU: the binary
// cross-entropy of logits, elementwise, and the Kullback-Leibler divergence between the
// distributions that logits define.
#include "teams.cuh"

// Binary cross-entropy

// The two forms, for x > 0 and for other x, avoid cancellation for a target z in
// [0, 1], and no exponential overflows.
template <typename T>
__device__ T cross_entropy(T x, T z) {
  if (x > 0) return x * (1 - z) + log1p(exp(-x));
  return -x * z + log1p(exp(x));
}

// cross_entropy_slope is sigmoid(x) - z.
template <typename T>
__device__ T cross_entropy_slope(T x, T z) {
  const T e = exp(-fabs(x));
  if (x > 0) return (1 - z) - e / (1 + e);
  return e / (1 + e) - z;
}

template <typename T>
__device__ void check_pair(T logit, T target, int* status) {
  if (!isfinite(logit) || !isfinite(target)) *status = 1;
}

template <typename T>
__device__ void bce(T* out, const T* logits, const T* targets, Int n, int* status) {
  const Int i = global_thread();
  if (i >= n) return;
  const T x = logits[i], z = targets[i];
  check_pair(x, z, status);
  out[i] = cross_entropy(x, z);
}

template <typename T>
__device__ void grad_bce_logits(T* out, const T* logits, const T* targets, const T* grad, Int n, int* status) {
  const Int i = global_thread();
  if (i >= n) return;
  const T x = logits[i], z = targets[i];
  check_pair(x, z, status);
  out[i] = cross_entropy_slope(x, z) * grad[i];
}

template <typename T>
__device__ void grad_bce_targets(T* out, const T* logits, const T* targets, const T* grad, Int n, int* status) {
  const Int i = global_thread();
  if (i >= n) return;
  const T x = logits[i];
  check_pair(x, targets[i], status);
  out[i] = -x * grad[i];
}

#define BCE_KERNELS(T, name)                                                                                          \
  extern "C" __global__ void bce_##name(T* out, const T* logits, const T* targets, Int n, int* status) {              \
    bce(out, logits, targets, n, status);                                                                             \
  }                                                                                                                   \
  extern "C" __global__ void grad_bce_logits_##name(T* out, const T* logits, const T* targets, const T* grad, Int n,  \
                                                    int* status) {                                                    \
    grad_bce_logits(out, logits, targets, grad, n, status);                                                           \
  }                                                                                                                   \
  extern "C" __global__ void grad_bce_targets_##name(T* out, const T* logits, const T* targets, const T* grad, Int n, \
                                                     int* status) {                                                   \
    grad_bce_targets(out, logits, targets, grad, n, status);                                                          \
  }

BCE_KERNELS(float, f32)
BCE_KERNELS(double, f64)

// Kullback-Leibler divergence

// KL is the divergence of softmax(q) from softmax(p).
template <typename T>
struct KL {
  const LogSoftmax<T> q, p;

  __device__ KL(const Team& team, const Sizes& s, const T* q_, const T* p_, int* status)
      : q(team, s, q_, 0), p(team, s, p_, 1) {
    bool bad = q.bad || p.bad;
    // The divergence is infinite if q allows a class that p masks.
#pragma unroll 1
    for (int k = 0; k < team.count; k++) bad = bad || (isinf(p(k)) && !isinf(q(k)));
    if (bad) *status = 1;
  }

  // value is at least 0, as the exact one is: rounding could make it negative.
  __device__ double value(const Team& team) const {
    double sum = 0;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) {
      const double lq = q(k), y = exp(lq);
      if (y != 0) sum += y * (lq - p(k));
    }
    return fmax(team.sum(sum), 0.0);
  }
};

template <typename T>
struct GradKLQ : KL<T> {
  const double divergence;

  __device__ GradKLQ(const Team& team, const Sizes& s, const T* q, const T* p, int* status)
      : KL<T>(team, s, q, p, status), divergence(this->value(team)) {}

  __device__ double gradient(int k, double grad) const {
    const double lq = this->q(k), y = exp(lq);
    return y == 0 ? 0 : grad * y * (lq - this->p(k) - divergence);
  }
};

template <typename T>
struct GradKLP : KL<T> {
  using KL<T>::KL;

  __device__ double gradient(int k, double grad) const { return grad * (exp(this->p(k)) - exp(this->q(k))); }
};

VALUE_KERNELS(kl, KL)
GRADIENT_KERNELS(grad_kl_q, GradKLQ)
GRADIENT_KERNELS(grad_kl_p, GradKLP)

// Entropy

template <typename T>
struct Entropy {
  const LogSoftmax<T> p;

  __device__ Entropy(const Team& team, const Sizes& s, const T* logits, const T*, int* status) : p(team, s, logits, 0) {
    if (p.bad) *status = 1;
  }

  __device__ double value(const Team& team) const {
    double sum = 0;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) {
      const double lp = p(k), y = exp(lp);
      if (y != 0) sum -= y * lp;
    }
    return team.sum(sum);
  }
};

template <typename T>
struct GradEntropy : Entropy<T> {
  const double entropy;

  __device__ GradEntropy(const Team& team, const Sizes& s, const T* logits, const T* p, int* status)
      : Entropy<T>(team, s, logits, p, status), entropy(this->value(team)) {}

  __device__ double gradient(int k, double grad) const {
    const double lp = this->p(k);
    return isinf(lp) ? 0 : -grad * exp(lp) * (lp + entropy);
  }
};

VALUE_KERNELS(entropy, Entropy)
GRADIENT_KERNELS(grad_entropy, GradEntropy)

// Log-probability

// LogProb is the log-probability of a value under softmax(logits).
template <typename T>
struct LogProb {
  const LogSoftmax<T> p;
  const T* value_;  // of the thread's first class
  Int step;

  __device__ LogProb(const Team& team, const Sizes& s, const T* logits, const T* value, int* status)
      : p(team, s, logits, 0), value_(value + team.first), step(team.step) {
    bool bad = p.bad;
    // The log-probability is infinite if the value of a masked class is not 0.
#pragma unroll 1
    for (int k = 0; k < team.count; k++) {
      const T v = value_[k * step];
      bad = bad || !isfinite(v) || (v != 0 && isinf(p(k)));
    }
    if (bad) *status = 1;
  }

  __device__ double value(const Team& team) const {
    double sum = 0;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) {
      const double v = value_[k * step];
      if (v != 0) sum += v * p(k);
    }
    return team.sum(sum);
  }
};

template <typename T>
struct GradLogProbLogits : LogProb<T> {
  double total;

  __device__ GradLogProbLogits(const Team& team, const Sizes& s, const T* logits, const T* value, int* status)
      : LogProb<T>(team, s, logits, value, status), total(0) {
#pragma unroll 1
    for (int k = 0; k < team.count; k++) total += this->value_[k * this->step];
    total = team.sum(total);
  }

  __device__ double gradient(int k, double grad) const {
    const double lp = this->p(k);
    return isinf(lp) ? 0 : grad * (this->value_[k * this->step] - total * exp(lp));
  }
};

template <typename T>
struct GradLogProbValue : LogProb<T> {
  using LogProb<T>::LogProb;

  __device__ double gradient(int k, double grad) const {
    const double lp = this->p(k);
    return isinf(lp) ? 0 : grad * lp;
  }
};

VALUE_KERNELS(log_prob, LogProb)
GRADIENT_KERNELS(grad_log_prob_logits, GradLogProbLogits)
GRADIENT_KERNELS(grad_log_prob_value, GradLogProbValue)

// Density of samples in log space

// Concrete is the logarithm of the density. With r = logits - tau * value over the m
// classes that are not masked, and s = softmax(r), it is log Gamma(m) + (m-1) log tau +
// the sum of log s.
template <typename T>
struct Concrete {
  const T* logits;  // of the thread's first class
  const T* value_;
  const Int step;
  const double tau;
  double classes, top, shift;

  __device__ Concrete(const Team& team, const Sizes&, const T* logits_, const T* value, int* status, const T* tau_)
      : logits(logits_ + team.first), value_(value + team.first), step(team.step), tau(*tau_), classes(0), top(-INFINITY) {
    bool bad = !(tau > 0 && tau < INFINITY);
#pragma unroll 1
    for (int k = 0; k < team.count; k++) {
      if (masked(k) && value_[k * step] == -INFINITY) continue;
      // Differences have to be finite, too. score is NaN or infinite if an input is.
      if (!isfinite(2 * score(k))) bad = true;
      top = fmax(top, score(k));
      classes++;
    }
    classes = team.sum(classes);
    top = team.maximum(top);
    if (bad || (team.active && classes == 0)) *status = 1;
    double sum = 0;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) sum += masked(k) ? 0 : exp(score(k) - top);
    shift = log(team.sum(sum));
  }

  __device__ bool masked(int k) const { return logits[k * step] == -INFINITY; }
  __device__ double score(int k) const { return logits[k * step] - tau * value_[k * step]; }
  __device__ double logarithm(int k) const { return score(k) - top - shift; }
  __device__ double slope(int k) const { return masked(k) ? 0 : 1 - classes * exp(logarithm(k)); }

  __device__ double value(const Team& team) const {
    double sum = 0;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) sum += masked(k) ? 0 : logarithm(k);
    return lgamma(classes) + (classes - 1) * log(tau) + team.sum(sum);
  }
};

template <typename T>
struct GradConcreteLogits : Concrete<T> {
  using Concrete<T>::Concrete;

  __device__ double gradient(int k, double grad) const { return grad * this->slope(k); }
};

template <typename T>
struct GradConcreteValue : Concrete<T> {
  using Concrete<T>::Concrete;

  __device__ double gradient(int k, double grad) const { return -this->tau * grad * this->slope(k); }
};

template <typename T>
struct GradConcreteTau : Concrete<T> {
  using Concrete<T>::Concrete;

  __device__ double value(const Team& team) const {
    double sum = 0;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) sum += this->masked(k) ? 0 : this->value_[k * this->step] * this->slope(k);
    return this->tau * team.sum(sum) - (this->classes - 1);
  }
};

TEMPERED_VALUE_KERNELS(concrete, Concrete)
TEMPERED_GRADIENT_KERNELS(grad_concrete_logits, GradConcreteLogits)
TEMPERED_GRADIENT_KERNELS(grad_concrete_value, GradConcreteValue)
TAU_SHARE_KERNELS(grad_concrete_tau, GradConcreteTau)

// Copies, of a node that stops the gradient

template <typename T>
__device__ void copy(T* out, const T* x, Int n) {
  const Int i = global_thread();
  if (i < n) out[i] = x[i];
}

extern "C" __global__ void copy_f32(float* out, const float* x, Int n) { copy(out, x, n); }
extern "C" __global__ void copy_f64(double* out, const double* x, Int n) { copy(out, x, n); }
