// Gradients of the estimators of hard samples, and samples in log space, as
// internal/kernel computes them on the CPU: estimator.go and logspace.go there have the
// formulas. A team of threads has one distribution, as in teams.cuh, and computes in
// double.
#include "input.cuh"
#include "teams.cuh"

// Parameters are those of all kernels here. What a kernel does not need may be null.
template <typename T>
struct Parameters {
  T* out;
  double* sums;  // in place of out, for the gradient to tau
  const T* logits;
  const T* hard;   // the one-hot sample
  const T* noise;  // of the sample
  const T* tau;
  const Int* draw;
  const T* grad;
  double gap;  // 0 if it depends on the probability
  Int samples;
  Word64 key;
  int* status;

  __device__ bool noiseless() const { return draw != nullptr && *draw < 0; }
};

// A Member is a thread's part in a distribution.
template <typename T>
struct Member {
  const Team& team;
  const Parameters<T>& args;
  const double tau;

  __device__ Member(const Team& team_, const Parameters<T>& args_) : team(team_), args(args_), tau(*args_.tau) {
    if (!(tau > 0 && tau < INFINITY)) *args.status = 1;
  }

  // index returns the index in the array of the thread's k-th class.
  __device__ Int index(int k) const { return team.first + k * team.step; }

  __device__ double logit(int k) const { return args.logits[index(k)]; }
  __device__ bool masked(int k) const { return logit(k) == -INFINITY; }
  __device__ bool chosen(int k) const { return args.hard[index(k)] == 1; }

  // grad is 0 for a masked class, whatever gradient reaches it.
  __device__ double grad(int k) const { return masked(k) ? 0 : args.grad[index(k)]; }

  // sum returns the sum over the distribution of f(k).
  template <typename F>
  __device__ double sum(F f) const {
    double total = 0;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) total += f(k);
    return team.sum(total);
  }

  // of_chosen returns f(k) of the class that is chosen.
  template <typename F>
  __device__ double of_chosen(F f) const {
    return sum([&](int k) { return chosen(k) ? f(k) : 0; });
  }

  template <typename F>
  __device__ double greatest(F f) const {
    double top = -INFINITY;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) top = fmax(top, static_cast<double>(f(k)));
    return team.maximum(top);
  }

  // put writes f(k) for each class, and 0 where it is masked.
  template <typename F>
  __device__ void put(F f) const {
#pragma unroll 1
    for (int k = 0; k < team.count; k++) args.out[index(k)] = masked(k) ? T(0) : static_cast<T>(f(k));
  }
};

// Probabilities are the softmax of the logits at a temperature.
template <typename T>
struct Probabilities {
  const Member<T>& member;
  const double top, tau, total;

  __device__ Probabilities(const Member<T>& m, double tau_)
      : member(m),
        top(m.greatest([&](int k) { return m.logit(k); })),
        tau(tau_),
        total(m.sum([&](int k) { return weight(k); })) {}

  // weight is the probability times the total, and 1 for the greatest logit.
  __device__ double weight(int k) const { return exp((member.logit(k) - top) / tau); }
  __device__ double operator()(int k) const { return weight(k) / total; }
  __device__ double logarithm(int k) const { return member.logit(k) - top - log(total); }
  __device__ double mean() const {
    return member.sum([&](int k) { return (*this)(k)*member.grad(k); });
  }
};

template <typename T>
__device__ void grad_reinmax(const Member<T>& m) {
  const Probabilities<T> soft(m, m.tau), probs(m, 1);
  const double mean = (soft.mean() + m.of_chosen([&](int k) { return m.grad(k); })) / 2, mean_p = probs.mean();
  m.put([&](int k) {
    const double q = soft(k) + (m.chosen(k) ? 1 : 0);
    return q * (m.grad(k) - mean) - probs(k) * (m.grad(k) - mean_p) / 2;
  });
}

template <typename T>
__device__ void grad_gapped(const Member<T>& m) {
  const Probabilities<T> soft(m, m.tau);
  double gap = m.args.gap;
  if (gap == 0) {
    const Probabilities<T> probs(m, 1);
    const double p = fmin(m.of_chosen([&](int k) { return probs(k); }), 1 - 1e-5);
    gap = p == 0 ? 1 : -log1p(-p) / p;
  }
  const double most = exp(-gap / m.tau);
  const auto moved = [&](int k) { return m.chosen(k) ? 1 : fmin(soft.weight(k), most); };
  const double total = m.sum(moved);
  const double mean = m.sum([&](int k) { return moved(k) * m.grad(k); }) / total;
  m.put([&](int k) { return moved(k) * (m.grad(k) - mean) / (total * m.tau); });
}

// Without noise, there is nothing to average over, and the sample is the softmax.
template <typename T>
__device__ void grad_rao(const Member<T>& m) {
  if (m.args.noiseless()) {
    const Probabilities<T> soft(m, m.tau);
    const double mean = soft.mean();
    m.put([&](int k) { return soft(k) * (m.grad(k) - mean) / m.tau; });
    return;
  }
  const Probabilities<T> probs(m, 1);
  const Stream stream(m.args.key, static_cast<Word64>(*m.args.draw));
  m.put([](int) { return 0; });
#pragma unroll 1
  for (Int i = 0; i < m.args.samples; i++) {
    const Stream sub = stream.sub(static_cast<Word64>(i));
    const auto noise = [&](int k) { return static_cast<double>(exponential<T>(sub.word(m.args.draw[1] + m.index(k)))); };
    const double e = m.of_chosen(noise), log_e = log(e);
    // e^((phi - phi_d)/tau), 1 for the chosen class d.
    const auto weight = [&](int k) {
      if (m.chosen(k)) return 1.0;
      return exp(fmin(probs.logarithm(k) + log_e - log(noise(k) + probs(k) * e), 0.0) / m.tau);
    };
    const double total = m.sum(weight);
    const double mean = m.sum([&](int k) { return weight(k) * m.grad(k); }) / total;
    m.put([&](int k) {
      const double share = weight(k) * (m.grad(k) - mean) / (total * m.tau * static_cast<double>(m.args.samples));
      return m.args.out[m.index(k)] + static_cast<T>(share);
    });
  }
}

// A LogSample is the logarithm of a soft sample.
template <typename T>
struct LogSample {
  const Member<T>& member;
  double top, shift;

  explicit __device__ LogSample(const Member<T>& m) : member(m) {
    bool bad = false;
#pragma unroll 1
    for (int k = 0; k < m.team.count; k++) {
      const Int i = m.index(k);
      const T rounded = m.args.logits[i] + noise(k);
      if (!(rounded < INFINITY)) bad = true;
    }
    top = m.greatest([&](int k) { return sum(k); });
    if (m.team.active && top == -INFINITY) bad = true;
    if (bad) *m.args.status = 1;
    shift = log(m.sum([&](int k) { return exp((sum(k) - top) / m.tau); }));
  }

  __device__ T noise(int k) const {
    const bool none = member.args.noise == nullptr || member.args.noiseless();
    return none ? T(0) : member.args.noise[member.index(k)];
  }
  __device__ double sum(int k) const { return member.logit(k) + noise(k); }
  __device__ bool masked(int k) const { return sum(k) == -INFINITY; }

  // No class that is not masked is lower than the least number.
  __device__ double operator()(int k) const {
    return masked(k) ? -INFINITY : clamp<T>((sum(k) - top) / member.tau - shift);
  }

  // grad returns the sum of the gradient that counts.
  __device__ double grad() const {
    return member.sum([&](int k) { return masked(k) ? 0 : static_cast<double>(member.args.grad[member.index(k)]); });
  }

  // centred is the gradient to the logit times tau.
  __device__ double centred(int k, double total) const {
    return masked(k) ? 0 : member.args.grad[member.index(k)] - exp((*this)(k)) * total;
  }
};

template <typename T>
__device__ void log_soft(const Member<T>& m) {
  const LogSample<T> y(m);
#pragma unroll 1
  for (int k = 0; k < m.team.count; k++) m.args.out[m.index(k)] = static_cast<T>(y(k));
}

template <typename T>
__device__ void grad_log(const Member<T>& m) {
  const LogSample<T> y(m);
  const double total = y.grad();
  m.put([&](int k) { return y.centred(k, total) / m.tau; });
}

// grad_log_tau leaves the gradient to tau of each distribution, times -tau, in sums.
template <typename T>
__device__ void grad_log_tau(const Member<T>& m) {
  const LogSample<T> y(m);
  const double total = y.grad();
  const double sum = m.sum([&](int k) { return y.masked(k) ? 0 : y(k) * y.centred(k, total); });
  if (m.team.leader) m.args.sums[m.team.row] = sum;
}

#define ESTIMATOR_KERNEL(name, T, type)                                                                            \
  extern "C" __global__ void __launch_bounds__(kMaxTeam)                                                           \
      name##_##type(T* out, double* sums, const T* logits, const T* hard, const T* noise, const T* tau,            \
                    const Int* draw, const T* grad, double gap, Int samples, Word64 key, Int rows, Int classes,    \
                    Int inner, Int width, int* status) {                                                           \
    const Team team({rows, classes, inner, width, 0});                                                             \
    const Parameters<T> args = {out, sums, logits, hard, noise, tau, draw, grad, gap, samples, key, status};       \
    name(Member<T>(team, args));                                                                                   \
  }

#define ESTIMATOR_KERNELS(name)        \
  ESTIMATOR_KERNEL(name, float, f32)   \
  ESTIMATOR_KERNEL(name, double, f64)

ESTIMATOR_KERNELS(grad_reinmax)
ESTIMATOR_KERNELS(grad_gapped)
ESTIMATOR_KERNELS(grad_rao)
ESTIMATOR_KERNELS(log_soft)
ESTIMATOR_KERNELS(grad_log)
ESTIMATOR_KERNELS(grad_log_tau)
