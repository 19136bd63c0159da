// The elementwise operations of one operand that Gorgonia's CUDA engine looks up in a
// module of this name. Gorgonia leaves its own kernels out of its Go module. The result
// replaces the operand.
#include "../device.cuh"

// Gorgonia's blocks have up to 1024 threads.
#define KERNEL extern "C" __global__ void __launch_bounds__(1024)

#define OPERATION(name, expression)                                             \
  template <class T>                                                            \
  static __device__ __forceinline__ T name##_op(T x) {                          \
    return expression;                                                          \
  }                                                                             \
  KERNEL name##_f32(float* x, Int n) {                                          \
    const Int i = global_thread();                                              \
    if (i < n) x[i] = name##_op(x[i]);                                          \
  }                                                                             \
  KERNEL name##_f64(double* x, Int n) {                                         \
    const Int i = global_thread();                                              \
    if (i < n) x[i] = name##_op(x[i]);                                          \
  }

// No exponential here overflows, and none is lost in a sum with 1.

template <class T>
static __device__ T stable_sigmoid(T x) {
  const T e = exp(-fabs(x));
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

template <class T>
static __device__ T stable_softplus(T x) {
  return fmax(x, T(0)) + log1p(exp(-fabs(x)));
}

OPERATION(abs, fabs(x))
OPERATION(sign, x > T(0) ? T(1) : x < T(0) ? T(-1) : x)
OPERATION(ceil, ceil(x))
OPERATION(floor, floor(x))
OPERATION(sin, sin(x))
OPERATION(cos, cos(x))
OPERATION(exp, exp(x))
OPERATION(ln, log(x))
OPERATION(log2, log2(x))
OPERATION(neg, -x)
OPERATION(square, x * x)
OPERATION(sqrt, sqrt(x))
OPERATION(inv, T(1) / x)
OPERATION(invSqrt, T(1) / sqrt(x))
OPERATION(cube, x * x * x)
OPERATION(tanh, tanh(x))
OPERATION(sigmoid, stable_sigmoid(x))
OPERATION(log1p, log1p(x))
OPERATION(expm1, expm1(x))
OPERATION(softplus, stable_softplus(x))
