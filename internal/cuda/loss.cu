// Losses and their gradients, as internal/kernel computes them on the CPU: the binary
// cross-entropy of logits and the divergence between Bernoulli distributions, elementwise,
// and functions of the distributions that logits define.
#include "coeff.cuh"
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

// Kullback-Leibler divergence between Bernoulli distributions, computed in double

// exp_tail is (e^x - 1 - x)/x^2 for x in [-2, 2].
__device__ inline double exp_tail(double x) {
  const double c[] = {kExpTailC0,  kExpTailC1,  kExpTailC2,  kExpTailC3,  kExpTailC4,  kExpTailC5,  kExpTailC6,  kExpTailC7,
                      kExpTailC8,  kExpTailC9,  kExpTailC10, kExpTailC11, kExpTailC12, kExpTailC13, kExpTailC14, kExpTailC15,
                      kExpTailC16, kExpTailC17, kExpTailC18, kExpTailC19, kExpTailC20, kExpTailC21};
  double p = 0;
#pragma unroll
  for (int i = sizeof(c) / sizeof(c[0]) - 1; i >= 0; i--) p = p * x + c[i];
  return p;
}

__device__ inline double bernoulli_kl(double a, double b, double) {
  if (a > 0) {
    a = -a;
    b = -b;
  }
  a = fmax(a, -746.0);  // there p is 0, and d has to be finite
  const double e = exp(a), q = 1 / (1 + e), p = e * q, d = b - a, u = q * d, v = p * d;
  if (fabs(d) < 2) return log1p(u * v * (q * exp_tail(u) + p * exp_tail(-v)));
  return fmax(b, 0.0) - v + log1p((exp(-fabs(b)) - e) * q);
}

__device__ inline double grad_bernoulli_kl_q(double a, double b, double grad) {
  const double e = exp(-fabs(a)), slope = e / ((1 + e) * (1 + e));
  return (slope == 0 ? 0 : slope * (a - b)) * grad;
}

__device__ inline double grad_bernoulli_kl_p(double a, double b, double grad) {
  const double high = fmax(a, b), low = fmin(a, b), h = exp(-fabs(high)), l = exp(-fabs(low));
  const double slope = -expm1(low - high) * (high > 0 ? 1 : h) * (low < 0 ? 1 : l) / ((1 + h) * (1 + l));
  return (a > b ? -slope : slope) * grad;
}

#define BERNOULLI_KL_KERNEL(name, T, type)                                                                               \
  extern "C" __global__ void name##_##type(T* out, const T* q, const T* p, const T* grad, Int n, int* status) {          \
    const Int i = global_thread();                                                                                       \
    if (i >= n) return;                                                                                                  \
    const T a = q[i], b = p == nullptr ? 0 : p[i];                                                                       \
    check_pair(a, b, status);                                                                                            \
    out[i] = static_cast<T>(name(a, b, grad == nullptr ? 0 : grad[i]));                                                  \
  }

#define BERNOULLI_KL_KERNELS(name)       \
  BERNOULLI_KL_KERNEL(name, float, f32)  \
  BERNOULLI_KL_KERNEL(name, double, f64)

BERNOULLI_KL_KERNELS(bernoulli_kl)
BERNOULLI_KL_KERNELS(grad_bernoulli_kl_q)
BERNOULLI_KL_KERNELS(grad_bernoulli_kl_p)

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

// Copies, of a node that stops the gradient

template <typename T>
__device__ void copy(T* out, const T* x, Int n) {
  const Int i = global_thread();
  if (i < n) out[i] = x[i];
}

extern "C" __global__ void copy_f32(float* out, const float* x, Int n) { copy(out, x, n); }
extern "C" __global__ void copy_f64(double* out, const double* x, Int n) { copy(out, x, n); }
