// The elementwise operations of two operands that Gorgonia's CUDA engine looks up in a
// module of this name. Gorgonia leaves its own kernels out of its Go module.
//
// The engine copies the left operand to the output, so the kernels work in place: the
// result replaces a, or b if a is the scalar. The operands may be the same array. A
// comparison returns 1 or 0.
#include "../device.cuh"

// Gorgonia's blocks have up to 1024 threads.
#define KERNEL extern "C" __global__ void __launch_bounds__(1024)

// In a kernel's name, v is an array of n elements and s a scalar.
#define KERNELS(name, suffix, T)                                                \
  KERNEL name##_vv_##suffix(T* a, const T* b, Int n) {                          \
    const Int i = global_thread();                                              \
    if (i < n) a[i] = name##_op(a[i], b[i]);                                    \
  }                                                                             \
  KERNEL name##_vs_##suffix(T* a, const T* b, Int n) {                          \
    const Int i = global_thread();                                              \
    if (i < n) a[i] = name##_op(a[i], b[0]);                                    \
  }                                                                             \
  KERNEL name##_sv_##suffix(const T* a, T* b, Int n) {                          \
    const Int i = global_thread();                                              \
    if (i < n) b[i] = name##_op(a[0], b[i]);                                    \
  }                                                                             \
  KERNEL name##_ss_##suffix(T* a, const T* b, Int n) {                          \
    if (global_thread() < n) a[0] = name##_op(a[0], b[0]);                      \
  }

#define OPERATION(name, expression)                                             \
  template <class T>                                                            \
  static __device__ __forceinline__ T name##_op(T a, T b) {                     \
    return expression;                                                          \
  }                                                                             \
  KERNELS(name, f32, float)                                                     \
  KERNELS(name, f64, double)

OPERATION(add, a + b)
OPERATION(sub, a - b)
OPERATION(mul, a * b)
OPERATION(div, a / b)
OPERATION(pow, pow(a, b))
OPERATION(mod, fmod(a, b))

OPERATION(lt, a < b ? T(1) : T(0))
OPERATION(lte, a <= b ? T(1) : T(0))
OPERATION(gt, a > b ? T(1) : T(0))
OPERATION(gte, a >= b ? T(1) : T(0))
OPERATION(eq, a == b ? T(1) : T(0))
OPERATION(ne, a != b ? T(1) : T(0))
