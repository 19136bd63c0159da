// Every .cu includes this file, directly or through another header.
//
// nvcc compiles a kernel as it stands. Any other C++ compiler gets an emulator
// that runs kernels on the CPU for the tests: tool/emulator/cuda_emulator.h lists
// the intrinsics that it has.
//
// Dynamic shared memory is declared with the macro below, at the top of a kernel
// or of a device function, because nvcc and the emulator need different
// declarations:
//
//     DYNAMIC_SHARED(bytes);              // unsigned char array, 16-byte aligned
//     double* partial = reinterpret_cast<double*>(bytes);
//
// Static arrays need no macro: `__shared__ float tile[32];`.
#pragma once

#include <math.h>

#ifdef __CUDACC__
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#else
#include "tool/emulator/cuda_emulator.h"
#define DYNAMIC_SHARED(name) unsigned char* const name = cuda_emulator::dynamic_shared()
#endif

#include "constants.cuh"

// Parameters of a kernel take eight bytes each, so sizes are Int.
typedef long long Int;

// clamp returns x, or the nearest finite number of T.
template <typename T>
static __device__ __forceinline__ double clamp(double x) {
  const double most = sizeof(T) == 4 ? 3.4028234663852886e38 : 1.7976931348623157e308;
  return fmin(fmax(x, -most), most);
}

// global_thread returns the number of this thread in a grid of any shape.
static __device__ __forceinline__ Int global_thread() {
  const Int block = (static_cast<Int>(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const Int threads = static_cast<Int>(blockDim.x) * blockDim.y * blockDim.z;
  const Int thread = (static_cast<Int>(threadIdx.z) * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  return block * threads + thread;
}
