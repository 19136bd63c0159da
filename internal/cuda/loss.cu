// Losses and their gradients, as internal/kernel has them for the CPU: the binary
// cross-entropy of logits, element by element, and the Kullback-Leibler
// divergence of distributions that logits give.
#include "gather.cuh"

// Binary cross-entropy

// The forms for x > 0 and for the rest are such that nothing cancels for a target
// z in [0, 1], and that no exponential overflows.
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

// Kullback-Leibler divergence. Its loops are kept rolled: they are short, and an
// exponential is long.

// The most threads of a team, which loss.go knows too.
const int kMaxTeam = 1024;

// Sizes says where the distributions lie, as kernel.Dims does, and how threads
// share them: a team of width threads, a power of two, has one, each thread every
// width-th class of it. A team wider than a warp is the whole block.
struct Sizes {
  Int rows, classes, inner, width;
  Int slots;  // the classes of a thread if shared memory holds them, else 0
};

struct Sum {
  double value;

  __device__ void meet(Sum other) { value += other.value; }
  __device__ Sum from(int bits) const { return {__shfl_xor_sync(kWarp, value, bits)}; }
};

struct Greatest {
  double value;

  __device__ void meet(Greatest other) { value = fmax(value, other.value); }
  __device__ Greatest from(int bits) const { return {__shfl_xor_sync(kWarp, value, bits)}; }
};

// A Team is what a thread knows of its team. One without a distribution, in the
// last block, has no classes but meets the others at their barriers.
struct Team {
  Int row;    // the number of the distribution
  Int first;  // the thread's first class in the array
  Int step;   // from there to its next class
  int count;  // how many it has
  int width;
  bool works;  // the team has a distribution
  bool leads;  // and this is its first thread

  explicit __device__ Team(const Sizes& s) : width(static_cast<int>(s.width)) {
    const int thread = threadIdx.x, lane = thread % width, classes = static_cast<int>(s.classes);
    row = static_cast<Int>(blockIdx.x) * (blockDim.x / width) + thread / width;
    works = row < s.rows;
    leads = works && lane == 0;
    const Int outer = row / s.inner;
    first = (outer * s.classes + lane) * s.inner + (row - outer * s.inner);
    step = width * s.inner;
    count = works && lane < classes ? (classes - lane - 1) / width + 1 : 0;
  }

  // combine gives the whole team what its threads have, as a Sum or the Greatest.
  template <typename V>
  __device__ double combine(double v) const {
    return (width <= 32 ? across_lanes(V{v}, width) : across_block(V{v})).value;
  }
};

// LogSoftmax is the logarithm of the softmax of a distribution's logits, -Inf
// where they are. A null array stands for the uniform distribution.
template <typename T>
struct LogSoftmax {
  const T* values;  // of the thread's own classes, wherever these lie now
  Int step;
  double top, shift;
  bool bad;  // a logit of the thread's is NaN, or one of the team's +Inf, or all masked

  // room is the thread's first slot in shared memory, null if there is none: only
  // the thread itself reads its slots, so they need no barrier.
  __device__ LogSoftmax(const Team& team, const Sizes& s, const T* array, T* room) : values(array), bad(false) {
    top = 0;
    shift = log(static_cast<double>(s.classes));
    if (array == nullptr) return;
    load(team, array, room);
    top = team.combine<Greatest>(top);
    bad = bad || (team.works && isinf(top));  // +Inf, or all are masked
    double sum = 0;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) sum += exp(values[k * step] - top);
    shift = log(team.combine<Sum>(sum));
  }

  // load finds the thread's own greatest logit, and brings its classes to the room.
  __device__ void load(const Team& team, const T* array, T* room) {
    top = -INFINITY;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) {
      const T v = array[team.first + k * team.step];
      if (isnan(v)) bad = true;  // which fmax passes over
      top = fmax(top, static_cast<double>(v));
      if (room != nullptr) room[k * blockDim.x] = v;
    }
    values = room != nullptr ? room : array + team.first;
    step = room != nullptr ? blockDim.x : team.step;
  }

  // Of the thread's k-th class.
  __device__ double operator()(int k) const {
    if (values == nullptr) return -shift;
    return (values[k * step] - top) - shift;
  }
};

// Divergence has what a thread needs of its team's q and p.
template <typename T>
struct Divergence {
  const LogSoftmax<T> q, p;

  __device__ Divergence(const Team& team, const Sizes& s, const T* of_q, const T* of_p, T* room, int* status)
      : q(team, s, of_q, room), p(team, s, of_p, room == nullptr ? nullptr : room + s.slots * blockDim.x) {
    bool bad = q.bad || p.bad;
    // Infinite where q allows a class that p does not.
#pragma unroll 1
    for (int k = 0; k < team.count; k++) bad = bad || (isinf(p(k)) && !isinf(q(k)));
    if (bad) *status = 1;
  }

  // value is at least 0, as the exact one is: rounding alone could make it less.
  __device__ double value(const Team& team) const {
    double sum = 0;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) {
      const double lq = q(k), y = exp(lq);
      if (y != 0) sum += y * (lq - p(k));
    }
    return fmax(team.combine<Sum>(sum), 0.0);
  }
};

// own_room is the first slot of the thread.
template <typename T>
__device__ T* own_room(const Sizes& s) {
  DYNAMIC_SHARED(slots);
  return s.slots == 0 ? nullptr : reinterpret_cast<T*>(slots) + threadIdx.x;
}

template <typename T>
__device__ void kl(T* out, const T* q, const T* p, const Sizes& s, int* status) {
  const Team team(s);
  const Divergence<T> d(team, s, q, p, own_room<T>(s), status);
  const double value = d.value(team);
  if (team.leads) out[team.row] = static_cast<T>(value);
}

template <typename T>
__device__ void grad_kl_q(T* out, const T* q, const T* p, const T* grad, const Sizes& s, int* status) {
  const Team team(s);
  const Divergence<T> d(team, s, q, p, own_room<T>(s), status);
  const double value = d.value(team);
  const double g = team.works ? grad[team.row] : 0;
#pragma unroll 1
  for (int k = 0; k < team.count; k++) {
    const double lq = d.q(k), y = exp(lq);
    out[team.first + k * team.step] = y == 0 ? T(0) : static_cast<T>(g * y * (lq - d.p(k) - value));
  }
}

template <typename T>
__device__ void grad_kl_p(T* out, const T* q, const T* p, const T* grad, const Sizes& s, int* status) {
  const Team team(s);
  const Divergence<T> d(team, s, q, p, own_room<T>(s), status);
  const double g = team.works ? grad[team.row] : 0;
#pragma unroll 1
  for (int k = 0; k < team.count; k++) {
    out[team.first + k * team.step] = static_cast<T>(g * (exp(d.p(k)) - exp(d.q(k))));
  }
}

#define LOSS_KERNELS(T, name)                                                                                         \
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
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(kMaxTeam)                                                              \
      kl_##name(T* out, const T* q, const T* p, Int rows, Int classes, Int inner, Int width, Int slots, int* status) { \
    kl(out, q, p, Sizes{rows, classes, inner, width, slots}, status);                                                 \
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(kMaxTeam)                                                              \
      grad_kl_q_##name(T* out, const T* q, const T* p, const T* grad, Int rows, Int classes, Int inner, Int width,    \
                       Int slots, int* status) {                                                                      \
    grad_kl_q(out, q, p, grad, Sizes{rows, classes, inner, width, slots}, status);                                    \
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(kMaxTeam)                                                              \
      grad_kl_p_##name(T* out, const T* q, const T* p, const T* grad, Int rows, Int classes, Int inner, Int width,    \
                       Int slots, int* status) {                                                                      \
    grad_kl_p(out, q, p, grad, Sizes{rows, classes, inner, width, slots}, status);                                    \
  }

LOSS_KERNELS(float, f32)
LOSS_KERNELS(double, f64)
