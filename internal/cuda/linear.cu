// The fully connected layer y = act(x·W + b) and its gradients, as matrix products in
// tiles of shared memory. Arrays are row-major.
#include "device.cuh"

// The sigmoid's exponential overflows in neither form. All activations propagate NaN.
template <typename T>
__device__ T activate(Int activation, T z) {
  switch (activation) {
    case kReLU:
      return z <= 0 ? T(0) : z;
    case kTanh:
      return tanh(z);
    case kSigmoid: {
      const T e = exp(-fabs(z));
      return (z < 0 ? e : T(1)) / (1 + e);
    }
    default:
      return z;
  }
}

// backward returns the gradient to z, given y = act(z) and the gradient to y. Where
// ReLU is 0, it stops even a gradient that is not finite.
template <typename T>
__device__ T backward(Int activation, T y, T grad) {
  switch (activation) {
    case kReLU:
      return y <= 0 ? T(0) : grad;
    case kTanh:
      return grad * ((1 - y) * (1 + y));
    case kSigmoid:
      return grad * (y * (1 - y));
    default:
      return grad;
  }
}

// Epilogues: functors that are applied to each element of the product.

struct Plain {
  template <typename T>
  __device__ T operator()(T sum, Int, Int) const {
    return sum;
  }
};

template <typename T>
struct Activate {
  const T* bias;
  Int activation;

  __device__ T operator()(T sum, Int, Int column) const { return activate(activation, sum + bias[column]); }
};

template <typename T>
struct Backward {
  Activate<T> forward;
  const T* grad;
  Int columns;

  __device__ T operator()(T sum, Int row, Int column) const {
    return backward(forward.activation, forward(sum, row, column), grad[row * columns + column]);
  }
};

// A block computes a square tile of the product, each thread kMicro by kMicro elements
// of it, from slices of the two factors that are kDepth deep.
const int kSide = 16;
const int kDepth = 16;
static_assert(kSide * kSide == kProductThreads, "a thread for each kMicro by kMicro elements");

// A Factor is a matrix as a product uses it. The lines of the left factor are rows of
// the result, and those of the right factor are columns. The steps are those of the
// sum. Where steps are contiguous in memory, neighbouring threads read along them.
template <typename T, bool kStepsContiguous>
struct Factor {
  const T* data;
  Int lines, steps;

  __device__ T at(Int line, Int step) const {
    if (line >= lines || step >= steps) return 0;
    return kStepsContiguous ? data[line * steps + step] : data[step * lines + line];
  }
};

// Slice is a part of a factor in shared memory, with contiguous lines. Four unused
// elements spread threads that write along the steps over the banks, and keep rows
// aligned for wide reads.
template <typename T, int kMicro>
struct Slice {
  T data[kDepth][kSide * kMicro + 4];
};

// NextSlice is a thread's share of the next slice, in registers while the block works
// on the current one.
template <typename T, int kMicro, bool kStepsContiguous>
struct NextSlice {
  T data[kMicro];

  static __device__ int line(int i) {
    return kStepsContiguous ? threadIdx.x / kDepth + i * kSide : threadIdx.x % (kSide * kMicro);
  }
  static __device__ int step(int i) {
    return kStepsContiguous ? threadIdx.x % kDepth : (threadIdx.x + i * kProductThreads) / (kSide * kMicro);
  }

  __device__ void read(const Factor<T, kStepsContiguous>& f, Int first_line, Int first_step) {
#pragma unroll
    for (int i = 0; i < kMicro; i++) data[i] = f.at(first_line + line(i), first_step + step(i));
  }

  __device__ void write(Slice<T, kMicro>& slice) const {
#pragma unroll
    for (int i = 0; i < kMicro; i++) slice.data[step(i)][line(i)] = data[i];
  }
};

// product writes the block's tile of a·b. Each sum is taken in the order of its steps.
template <int kMicro, typename T, bool kContiguousA, bool kContiguousB, typename Epilogue>
__device__ void product(T* out, const Factor<T, kContiguousA>& a, const Factor<T, kContiguousB>& b, const Epilogue& epilogue) {
  const int side = kSide * kMicro;
  __shared__ __align__(16) Slice<T, kMicro> slice_a, slice_b;
  const Int tiles = (b.lines + side - 1) / side;
  const Int first_row = blockIdx.x / tiles * side, first_column = blockIdx.x % tiles * side;
  const int my_row = threadIdx.x / kSide * kMicro, my_column = threadIdx.x % kSide * kMicro;

  NextSlice<T, kMicro, kContiguousA> next_a;
  NextSlice<T, kMicro, kContiguousB> next_b;
  T sums[kMicro][kMicro] = {};
  next_a.read(a, first_row, 0);
  next_b.read(b, first_column, 0);
  for (Int step = 0; step < a.steps; step += kDepth) {
    next_a.write(slice_a);
    next_b.write(slice_b);
    __syncthreads();
    next_a.read(a, first_row, step + kDepth);
    next_b.read(b, first_column, step + kDepth);
#pragma unroll
    for (int s = 0; s < kDepth; s++) {
      T of_a[kMicro], of_b[kMicro];
#pragma unroll
      for (int i = 0; i < kMicro; i++) {
        of_a[i] = slice_a.data[s][my_row + i];
        of_b[i] = slice_b.data[s][my_column + i];
      }
#pragma unroll
      for (int i = 0; i < kMicro; i++) {
#pragma unroll
        for (int j = 0; j < kMicro; j++) sums[i][j] = fma(of_a[i], of_b[j], sums[i][j]);
      }
    }
    __syncthreads();
  }

  // The loop is not unrolled, because an activation is long. So it finds its element in
  // memory: registers have no index.
  T tile[kMicro * kMicro];
#pragma unroll
  for (int e = 0; e < kMicro * kMicro; e++) tile[e] = sums[e / kMicro][e % kMicro];
#pragma unroll 1
  for (int e = 0; e < kMicro * kMicro; e++) {
    const Int row = first_row + my_row + e / kMicro, column = first_column + my_column + e % kMicro;
    if (row < a.lines && column < b.lines) out[row * b.lines + column] = epilogue(tile[e], row, column);
  }
}

// sum_rows sums the columns of m. A block has a warp of them, and its warps take the
// rows in turn. Then the first warp adds their partial sums, in order.
template <typename T>
__device__ void sum_rows(T* out, const T* m, Int rows, Int columns) {
  __shared__ double partial[32][kWarpThreads];
  const int lane = threadIdx.x % kWarpThreads, warp = threadIdx.x / kWarpThreads, warps = blockDim.x / kWarpThreads;
  const Int column = static_cast<Int>(blockIdx.x) * kWarpThreads + lane;
  double sum = 0;
  if (column < columns) {
    for (Int row = warp; row < rows; row += warps) sum += m[row * columns + column];
  }
  partial[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || column >= columns) return;
  for (int w = 1; w < warps; w++) sum += partial[w][lane];
  out[column] = static_cast<T>(sum);
}

#define PRODUCT_KERNELS(T, size, micro, name)                                                                   \
  extern "C" __global__ void __launch_bounds__(kProductThreads) linear_##size##_##name(                         \
      T* y, const T* x, const T* w, const T* b, Int batch, Int in, Int out, Int activation) {                   \
    product<micro>(y, Factor<T, true>{x, batch, in}, Factor<T, false>{w, out, in}, Activate<T>{b, activation}); \
  }                                                                                                             \
  extern "C" __global__ void __launch_bounds__(kProductThreads) grad_linear_z_##size##_##name(                  \
      T* dz, const T* x, const T* w, const T* b, const T* grad, Int batch, Int in, Int out, Int activation) {   \
    product<micro>(dz, Factor<T, true>{x, batch, in}, Factor<T, false>{w, out, in},                             \
                   Backward<T>{{b, activation}, grad, out});                                                    \
  }                                                                                                             \
  extern "C" __global__ void __launch_bounds__(kProductThreads) grad_linear_x_##size##_##name(                  \
      T* dx, const T* dz, const T* w, Int batch, Int in, Int out) {                                             \
    product<micro>(dx, Factor<T, true>{dz, batch, out}, Factor<T, true>{w, in, out}, Plain{});                  \
  }                                                                                                             \
  extern "C" __global__ void __launch_bounds__(kProductThreads) grad_linear_w_##size##_##name(                  \
      T* dw, const T* x, const T* dz, Int batch, Int in, Int out) {                                             \
    product<micro>(dw, Factor<T, false>{x, in, batch}, Factor<T, false>{dz, out, batch}, Plain{});              \
  }

#define LINEAR_KERNELS(T, name)                                      \
  PRODUCT_KERNELS(T, large, kLargeTile / kSide, name)                \
  PRODUCT_KERNELS(T, small, kSmallTile / kSide, name)                \
  extern "C" __global__ void __launch_bounds__(1024)                 \
      grad_linear_b_##name(T* db, const T* dz, Int batch, Int out) { \
    sum_rows(db, dz, batch, out);                                    \
  }                                                                  \
  extern "C" __global__ void zero_##name(T* out, Int n) {            \
    const Int i = global_thread();                                   \
    if (i < n) out[i] = 0;                                           \
  }

LINEAR_KERNELS(float, f32)
LINEAR_KERNELS(double, f64)
