// Functions of the distributions that logits define, computed in double: a value of
// each distribution, or a gradient to each of its logits.
//
// A function is a functor, and VALUE_KERNELS or GRADIENT_KERNELS instantiates its
// kernels. It is constructed once per distribution, by
//
//   F(const Team& team, const Sizes& s, const T* q, const T* p, int* status)
//
// from one or two arrays, of which q has logits; TEMPERED_VALUE_KERNELS and others pass the
// address of a temperature as well. It then has
//
//   double value(const Team& team) const        for VALUE_KERNELS, or
//   double gradient(int k, double grad) const   for GRADIENT_KERNELS
//
// where k is one of the thread's own classes, and grad the upstream gradient to the
// value. All threads of a team call value, and the first writes it.
//
// Loops are kept rolled, because they are short and an exponential is long.
#pragma once

#include "sums.cuh"

// Sizes says where the distributions lie, as kernel.Dims does, and how threads share
// them. A team of width threads, a power of two, has one distribution, and each of its
// threads every width-th class. A team wider than a warp is the whole block.
struct Sizes {
  Int rows, classes, inner, width;
  Int slots;  // the classes of a thread if shared memory holds them, else 0
};

// A Maximum is merged by fmax, which ignores NaN.
struct Maximum {
  double value;

  __device__ void merge(Maximum other) { value = fmax(value, other.value); }
  __device__ Maximum shuffled(int bits) const { return {__shfl_xor_sync(kAllLanes, value, bits)}; }
};

// A Team is a thread's part in its team. In the last block, a team without a
// distribution has no classes, but takes part in the reductions of the block.
struct Team {
  Int row;    // the number of the distribution
  Int first;  // the thread's first class in the array
  Int step;   // from there to its next class
  int count;  // how many classes it has
  int width;
  bool active;  // the team has a distribution
  bool leader;  // and this is its first thread

  explicit __device__ Team(const Sizes& s) : Team(s, number(s)) {}

  // All teams of a block work on a distribution at the same time, or on none.
  __device__ Team(const Sizes& s, Int row_) : row(row_), width(static_cast<int>(s.width)) {
    const int member = threadIdx.x % width, classes = static_cast<int>(s.classes);
    active = row < s.rows;
    leader = active && member == 0;
    const Int outer = row / s.inner;
    first = (outer * s.classes + member) * s.inner + (row - outer * s.inner);
    step = width * s.inner;
    count = active && member < classes ? (classes - member - 1) / width + 1 : 0;
  }

  // number returns that of the thread's team among all teams.
  static __device__ Int number(const Sizes& s) {
    const int width = static_cast<int>(s.width);
    return static_cast<Int>(blockIdx.x) * (blockDim.x / width) + threadIdx.x / width;
  }

  // sum and maximum return to the whole team what they make of its threads' numbers.
  __device__ double sum(double v) const { return across(Total<double>{v}).sum; }
  __device__ double maximum(double v) const { return across(Maximum{v}).value; }

 private:
  template <typename V>
  __device__ V across(V v) const {
    return width <= kWarpThreads ? across_lanes(v, width) : across_block(v);
  }
};

// LogSoftmax is the logarithm of the softmax of a distribution's logits, and -Inf for
// masked classes. A null array stands for the uniform distribution.
template <typename T>
struct LogSoftmax {
  const T* values;  // of the thread's own classes, wherever these lie now
  Int step;
  double top, shift;
  bool bad;  // a logit of the thread's is NaN, or one of the team's +Inf, or all are masked

  // number is 0 for the first array of a kernel, and 1 for the second.
  __device__ LogSoftmax(const Team& team, const Sizes& s, const T* array, int number) : values(array), bad(false) {
    top = 0;
    shift = log(static_cast<double>(s.classes));
    if (array == nullptr) return;
    load(team, array, slots(s, number));
    top = team.maximum(top);
    bad = bad || (team.active && isinf(top));  // +Inf, or all are masked
    double sum = 0;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) sum += exp(values[k * step] - top);
    shift = log(team.sum(sum));
  }

  // Of the thread's k-th class.
  __device__ double operator()(int k) const {
    if (values == nullptr) return -shift;
    return (values[k * step] - top) - shift;
  }

 private:
  // slots returns the thread's first slot in shared memory for an array, or null if
  // there are none. Only the thread itself reads its slots, so they need no barrier.
  static __device__ T* slots(const Sizes& s, int number) {
    DYNAMIC_SHARED(bytes);
    return s.slots == 0 ? nullptr : reinterpret_cast<T*>(bytes) + threadIdx.x + number * s.slots * blockDim.x;
  }

  // load finds the thread's own greatest logit, and copies its classes to the slots.
  __device__ void load(const Team& team, const T* array, T* slot) {
    top = -INFINITY;
#pragma unroll 1
    for (int k = 0; k < team.count; k++) {
      const T v = array[team.first + k * team.step];
      if (isnan(v)) bad = true;  // fmax ignores it
      top = fmax(top, static_cast<double>(v));
      if (slot != nullptr) slot[k * blockDim.x] = v;
    }
    values = slot != nullptr ? slot : array + team.first;
    step = slot != nullptr ? blockDim.x : team.step;
  }
};

// write_values writes f.value(team), times the upstream gradient if there is one.
template <typename F, typename Out, typename T, typename... Further>
__device__ void write_values(Out* out, const T* q, const T* p, const T* grad, const Sizes& s, int* status,
                             Further... further) {
  const Team team(s);
  const F f(team, s, q, p, status, further...);
  double value = f.value(team);
  if (!team.leader) return;
  if (grad != nullptr) {
    if (!isfinite(grad[team.row])) *status = 1;
    value *= grad[team.row];
  }
  out[team.row] = static_cast<Out>(value);
}

template <typename F, typename T, typename... Further>
__device__ void write_gradients(T* out, const T* q, const T* p, const T* grad, const Sizes& s, int* status,
                                Further... further) {
  const Team team(s);
  const F f(team, s, q, p, status, further...);
  const double g = team.active ? grad[team.row] : 0;
  if (!isfinite(g)) *status = 1;
#pragma unroll 1
  for (int k = 0; k < team.count; k++) out[team.first + k * team.step] = static_cast<T>(f.gradient(k, g));
}

// The last argument is empty, or a comma and further parameters.
#define DISTRIBUTION_KERNEL(name, Out, type, ...)                                                                 \
  extern "C" __global__ void __launch_bounds__(kMaxTeam)                                                          \
      name(Out* out, const type* q, const type* p, const type* grad, Int rows, Int classes, Int inner, Int width, \
           Int slots, int* status __VA_ARGS__)
#define SIZES {rows, classes, inner, width, slots}

#define VALUE_KERNEL(name, F, type) \
  DISTRIBUTION_KERNEL(name, type, type, ) { write_values<F<type>>(out, q, p, grad, SIZES, status); }
#define GRADIENT_KERNEL(name, F, type) \
  DISTRIBUTION_KERNEL(name, type, type, ) { write_gradients<F<type>>(out, q, p, grad, SIZES, status); }

// The kernels name_f32 and name_f64 of a functor.
#define VALUE_KERNELS(name, F)       \
  VALUE_KERNEL(name##_f32, F, float) \
  VALUE_KERNEL(name##_f64, F, double)
#define GRADIENT_KERNELS(name, F)       \
  GRADIENT_KERNEL(name##_f32, F, float) \
  GRADIENT_KERNEL(name##_f64, F, double)

// A functor that depends on a temperature gets its address as a last argument.

#define TEMPERED_VALUE_KERNEL(name, F, Out, type)               \
  DISTRIBUTION_KERNEL(name, Out, type, , const type* tau) {     \
    write_values<F<type>>(out, q, p, grad, SIZES, status, tau); \
  }
#define TEMPERED_GRADIENT_KERNEL(name, F, type)                    \
  DISTRIBUTION_KERNEL(name, type, type, , const type* tau) {       \
    write_gradients<F<type>>(out, q, p, grad, SIZES, status, tau); \
  }

#define TEMPERED_VALUE_KERNELS(name, F)              \
  TEMPERED_VALUE_KERNEL(name##_f32, F, float, float) \
  TEMPERED_VALUE_KERNEL(name##_f64, F, double, double)
#define TEMPERED_GRADIENT_KERNELS(name, F)       \
  TEMPERED_GRADIENT_KERNEL(name##_f32, F, float) \
  TEMPERED_GRADIENT_KERNEL(name##_f64, F, double)

// Of a functor whose value is the gradient to the temperature, times -tau, in double.
#define TAU_SHARE_KERNELS(name, F)                    \
  TEMPERED_VALUE_KERNEL(name##_f32, F, double, float) \
  TEMPERED_VALUE_KERNEL(name##_f64, F, double, double)
