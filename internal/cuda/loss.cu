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

// Perplexity of mean distributions: distribution number r is in block r mod blocks

// perplexity_of is at least 1 and at most the number of classes, as the exact one is.
__device__ inline double perplexity_of(double entropy, Int classes) {
  return fmin(fmax(exp(entropy), 1.0), static_cast<double>(classes));
}

// PerplexityAlone is that of a distribution which is the mean, because its block has no
// other.
template <typename T>
struct PerplexityAlone : Entropy<T> {
  const Int classes;

  __device__ PerplexityAlone(const Team& team, const Sizes& s, const T* logits, const T* p, int* status)
      : Entropy<T>(team, s, logits, p, status), classes(s.classes) {}

  __device__ double value(const Team& team) const { return perplexity_of(Entropy<T>::value(team), classes); }
};

template <typename T>
struct GradPerplexityAlone : GradEntropy<T> {
  using GradEntropy<T>::GradEntropy;

  __device__ double gradient(int k, double grad) const {
    return GradEntropy<T>::gradient(k, grad * exp(this->entropy));
  }
};

VALUE_KERNELS(perplexity_alone, PerplexityAlone)
GRADIENT_KERNELS(grad_perplexity_alone, GradPerplexityAlone)

// sum_softmax sets sums to those of the probabilities of each part of each block. A team
// takes the distributions of a part one after another, so that no two threads add to one
// sum, and the order of the terms is fixed.
template <typename T>
__device__ void sum_softmax(double* sums, const T* logits, const Sizes& s, Int blocks, Int each, Int parts, int* status) {
  const Int number = Team::number(s), part = number / blocks;
  const Int first = part < parts ? part * each * blocks + number % blocks : s.rows;
  double* const sum = sums + number * s.classes + threadIdx.x % s.width;
#pragma unroll 1
  for (Int i = 0; i < each; i++) {
    const Team team(s, first + i * blocks);
    const LogSoftmax<T> p(team, s, logits, 0);
    if (p.bad) *status = 1;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) sum[k * s.width] = (i == 0 ? 0 : sum[k * s.width]) + exp(p(k));
  }
}

// perplexity sets out to the perplexity of each block, given the sums of its parts. If
// out is null, it replaces the sums of the first part by the gradient to the mean
// probabilities, without the constant that the gradient to the logits cancels. A thread
// adds every so many parts of every width-th class.
template <typename T>
__device__ void perplexity(T* out, double* sums, const T* grad, Int classes, Int batch, Int parts, Int width, int* status) {
  DYNAMIC_SHARED(bytes);
  double* const shares = reinterpret_cast<double*>(bytes);
  const Int block = blockIdx.x, blocks = gridDim.x, column = threadIdx.x % width;
  const bool leader = threadIdx.x < width;
  double* const mean = sums + block * classes;
  double entropy = 0;
  for (Int first = 0; first < classes; first += width) {
    const Int c = first + column;
    double share = 0;
    if (c < classes) {
      for (Int part = threadIdx.x / width; part < parts; part += blockDim.x / width) {
        share += sums[(part * blocks + block) * classes + c];
      }
    }
    shares[threadIdx.x] = share;
    __syncthreads();
    for (int half = blockDim.x / 2; half >= width; half /= 2) {
      if (threadIdx.x < half) shares[threadIdx.x] += shares[threadIdx.x + half];
      __syncthreads();
    }
    if (leader && c < classes) {
      const double p = shares[column] / batch;
      mean[c] = p;
      if (p != 0) entropy -= p * log(p);
    }
    __syncthreads();  // the next classes are written to shares
  }
  entropy = across_block(Total<double>{entropy}).sum;
  const double value = perplexity_of(entropy, classes);
  if (out != nullptr) {
    if (threadIdx.x == 0) out[block] = static_cast<T>(value);
    return;
  }
  const double g = grad[block];
  if (!isfinite(g)) *status = 1;
  for (Int c = threadIdx.x; leader && c < classes; c += width) {
    mean[c] = mean[c] == 0 ? 0 : -g / batch * value * (log(mean[c]) + entropy);
  }
}

// grad_perplexity sets out to the gradient to the logits, given that to the mean
// probabilities, which is finite even where these are 0.
template <typename T>
__device__ void grad_perplexity(T* out, const T* logits, const double* grad, const Sizes& s, Int blocks, int* status) {
  const Team team(s);
  const LogSoftmax<T> p(team, s, logits, 0);
  if (p.bad) *status = 1;
  const double* const g = grad + team.row % blocks * s.classes + threadIdx.x % s.width;
  double mean = 0;
#pragma unroll 1
  for (int k = 0; k < team.count; k++) mean += exp(p(k)) * g[k * s.width];
  mean = team.sum(mean);
#pragma unroll 1
  for (int k = 0; k < team.count; k++) {
    out[team.first + k * team.step] = static_cast<T>(exp(p(k)) * (g[k * s.width] - mean));
  }
}

#define PERPLEXITY_KERNELS(T, name)                                                                                \
  extern "C" __global__ void __launch_bounds__(kMaxTeam)                                                           \
      sum_softmax_##name(double* sums, const T* logits, Int rows, Int classes, Int inner, Int width, Int slots,    \
                         Int blocks, Int each, Int parts, int* status) {                                           \
    sum_softmax(sums, logits, {rows, classes, inner, width, slots}, blocks, each, parts, status);                  \
  }                                                                                                                \
  extern "C" __global__ void __launch_bounds__(kMaxTeam)                                                           \
      perplexity_##name(T* out, double* sums, const T* grad, Int classes, Int batch, Int parts, Int width,         \
                        int* status) {                                                                             \
    perplexity(out, sums, grad, classes, batch, parts, width, status);                                             \
  }                                                                                                                \
  extern "C" __global__ void __launch_bounds__(kMaxTeam)                                                           \
      grad_perplexity_##name(T* out, const T* logits, const double* grad, Int rows, Int classes, Int inner,        \
                             Int width, Int slots, Int blocks, int* status) {                                      \
    grad_perplexity(out, logits, grad, {rows, classes, inner, width, slots}, blocks, status);                      \
  }

PERPLEXITY_KERNELS(float, f32)
PERPLEXITY_KERNELS(double, f64)

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
    return clamp<T>(lgamma(classes) + (classes - 1) * log(tau) + team.sum(sum));
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
