// Samples of categorical distributions and their gradients, as internal/kernel
// computes them on the CPU, and Gumbel noise.
//
// Noise is the expensive part: two logarithms per element. It is computed once where a
// block can hold the distribution, and computed again from the same random words where
// it cannot.
#include "multipass.cuh"
#include "rows.cuh"
#include "tiles.cuh"

// add_tau computes the gradient to tau from the sums of the blocks.
template <typename T>
__device__ void add_tau(T* out, const double* sums, const T* tau, Int count) {
  Total<double> total = {0};
  for (Int i = threadIdx.x; i < count; i += blockDim.x) total += sums[i];
  total = across_block(total);
  if (threadIdx.x == 0) *out = static_cast<T>(-total.sum / *tau);
}

// gumbel_noise computes noise alone, four elements per thread.
template <typename T>
__device__ void gumbel_noise(T* out, const Int* draw, Int n, double loc, double scale, Word64 key) {
  const Stream stream(key, static_cast<Word64>(draw[0]));
  const Int thread = global_thread(), first = thread / kGroupThreads * kGroup + thread % kGroupThreads;
  const unsigned valid = inside(first, n);
  if (valid == 0) return;
  unsigned words[4];
  stream.words(draw[1] + first, words);
  const bool plain = loc == 0 && scale == 1;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const T g = gumbel<T>(words[i]);
    if (valid >> i & 1) out[first + i * kGroupThreads] = plain ? g : static_cast<T>(loc + scale * g);
  }
}

// zero_without_noise sets the gradient to given noise to 0 in a run that ignores it.
template <typename T>
__device__ void zero_without_noise(T* out, const Int* draw, Int n) {
  const Int i = global_thread();
  if (i < n && *draw < 0) out[i] = 0;
}

#define PARAMETERS(T) T *out, double *sums, const T *logits, const T *tau, const Int *draw, const T *noise, const T *grad
#define ARGS {out, sums, logits, tau, draw, noise, grad, outer, classes, inner, key, status}

// SAMPLE_KERNELS_OF instantiates the kernels of a result for one type of element.
#define SAMPLE_KERNELS_OF(name, result, T, type)                                                                        \
  extern "C" __global__ void __launch_bounds__(kTileThreads)                                                            \
      name##_tiles_##type(PARAMETERS(T), Int outer, Int classes, Int inner, Int count, Int width, Int team, Word64 key, \
                          int* status) {                                                                                \
    tiles<T>(ARGS, result<T>{}, count, width, team);                                                                    \
  }                                                                                                                     \
  extern "C" __global__ void __launch_bounds__(kRowThreads)                                                             \
      name##_rows_##type(PARAMETERS(T), Int outer, Int classes, Int inner, Word64 key, int* status) {                   \
    rows<T>(ARGS, result<T>{});                                                                                         \
  }                                                                                                                     \
  extern "C" __global__ void __launch_bounds__(kMultipassThreads)                                                       \
      name##_multipass_##type(PARAMETERS(T), Int outer, Int classes, Int inner, Int count, Word64 key, int* status) {   \
    multipass<T>(ARGS, result<T>{}, count);                                                                             \
  }

#define SAMPLE_KERNELS(name, result)          \
  SAMPLE_KERNELS_OF(name, result, float, f32) \
  SAMPLE_KERNELS_OF(name, result, double, f64)

SAMPLE_KERNELS(hard, Hard)
SAMPLE_KERNELS(soft, Soft)
SAMPLE_KERNELS(grad_logits, GradLogits)
SAMPLE_KERNELS(grad_tau, GradTau)

#define OTHER_KERNELS(T, type)                                                                                     \
  extern "C" __global__ void add_tau_##type(T* out, const double* sums, const T* tau, Int count) {                 \
    add_tau(out, sums, tau, count);                                                                                \
  }                                                                                                                \
  extern "C" __global__ void gumbel_##type(T* out, const Int* draw, Int n, double loc, double scale, Word64 key) { \
    gumbel_noise(out, draw, n, loc, scale, key);                                                                   \
  }                                                                                                                \
  extern "C" __global__ void zero_without_noise_##type(T* out, const Int* draw, Int n) {                           \
    zero_without_noise(out, draw, n);                                                                              \
  }

OTHER_KERNELS(float, f32)
OTHER_KERNELS(double, f64)
