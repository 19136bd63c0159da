// Kernels that depend on barriers, run by the emulator. Prints the failures; the messages
// on the standard error come from the emulator.
#include "../../../device.cuh"

static const unsigned kAll = 0xFFFFFFFF;

// Warps, barriers and static shared memory, in a template.
template <class T>
static __device__ T block_sum(T v) {
  __shared__ T warps[32];
  for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(kAll, v, d);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
  __syncthreads();
  v = T(0);
  // Only the first warp shuffles between these barriers.
  if (threadIdx.x < 32) {
    v = threadIdx.x < blockDim.x / 32 ? warps[threadIdx.x] : T(0);
    for (int d = 16; d > 0; d /= 2) v += __shfl_down_sync(kAll, v, d);
  }
  __syncthreads();
  return v;
}

extern "C" __global__ void __launch_bounds__(1024) sums(double* sum, float* sum32, const double* x, Int n) {
  double s = 0;
  for (Int i = threadIdx.x; i < n; i += blockDim.x) s += x[blockIdx.x * n + i];
  const float s32 = block_sum(static_cast<float>(s));
  s = block_sum(s);
  if (threadIdx.x == 0) sum[blockIdx.x] = s, sum32[blockIdx.x] = s32;
}

// Barriers do not wait for threads that have returned. Such threads have all-one bits.
extern "C" __global__ void leaving(int* out) {
  if (threadIdx.x % 32 >= 21) return;
  __syncthreads();
  const int v = __shfl_xor_sync(kAll, static_cast<int>(threadIdx.x), 1);
  __syncthreads();
  out[threadIdx.x] = v;
}

// Halves of a warp diverge and converge again.
extern "C" __global__ void halves(int* out) {
  const int lane = threadIdx.x % 32;
  int v = lane;
  if (lane < 16) {
    for (int d = 8; d > 0; d /= 2) v += __shfl_xor_sync(0x0000FFFF, v, d);
  } else {
    v = static_cast<int>(__ballot_sync(0xFFFF0000, lane % 2));
  }
  __syncwarp();
  out[threadIdx.x] = __shfl_sync(kAll, v, 31 - lane);
}

// Groups narrower than a warp.
extern "C" __global__ void narrow(int* out) {
  const int lane = threadIdx.x;
  out[lane] = __shfl_down_sync(kAll, lane, 3, 8) + 100 * __shfl_up_sync(kAll, lane, 3, 8) + 10000 * __shfl_sync(kAll, lane, 9, 8);
}

extern "C" __global__ void reversed(int* out) {
  DYNAMIC_SHARED(bytes);
  int* const buffer = reinterpret_cast<int*>(bytes);
  buffer[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = buffer[blockDim.x - 1 - threadIdx.x];
}

// A barrier is missing, which one order of the threads hides.
extern "C" __global__ void racing(int* out) {
  DYNAMIC_SHARED(bytes);
  int* const buffer = reinterpret_cast<int*>(bytes);
  buffer[threadIdx.x] = static_cast<int>(threadIdx.x);
  out[threadIdx.x] = buffer[threadIdx.x / 2];
}

extern "C" __global__ void unset(double* out) {
  __shared__ double buffer[32];
  out[blockIdx.x * blockDim.x + threadIdx.x] = buffer[threadIdx.x];
  buffer[threadIdx.x] = 1;
}

extern "C" __global__ void stuck(int* out) {
  if (threadIdx.x == 3) {
    __syncwarp();
  } else {
    __syncthreads();
  }
  out[0] = 1;
}

extern "C" __global__ void mixed(int* out) {
  if (threadIdx.x == 3) {
    __syncwarp();
  } else {
    out[0] = __shfl_sync(kAll, 1, 0);
  }
}

extern "C" __global__ void counting(int* count, Int n) {
  if (global_thread() < n) atomicAdd(count, 1);
}

CUDA_EMULATOR_KERNEL(sums)
CUDA_EMULATOR_KERNEL(leaving)
CUDA_EMULATOR_KERNEL(halves)
CUDA_EMULATOR_KERNEL(narrow)
CUDA_EMULATOR_KERNEL(reversed)
CUDA_EMULATOR_KERNEL(racing)
CUDA_EMULATOR_KERNEL(unset)
CUDA_EMULATOR_KERNEL(stuck)
CUDA_EMULATOR_KERNEL(mixed)
CUDA_EMULATOR_KERNEL(counting)

static int wrong;

static void check(bool ok, const char* what) {
  if (!ok) {
    printf("%s\n", what);
    wrong = 1;
  }
}

int main() {
  static int out[1024];
  void* p_out = out;

  static double x[100 * 300], sum[100];
  static float sum32[100];
  for (int i = 0; i < 100 * 300; i++) x[i] = i % 7;
  void *p_sum = sum, *p_sum32 = sum32, *p_x = x;
  Int n = 300;
  void* sums_params[] = {&p_sum, &p_sum32, &p_x, &n};
  check(cuda_emulator_launch_sums(100, 1, 1, 256, 1, 1, 0, sums_params) == 0, "sums: failed");
  for (int b = 0; b < 100; b++) {
    double want = 0;
    for (int i = 0; i < 300; i++) want += x[b * 300 + i];
    check(sum[b] == want && sum32[b] == static_cast<float>(want), "sums: wrong");
  }

  void* params[] = {&p_out, &n};
  check(cuda_emulator_launch_leaving(2, 1, 1, 64, 1, 1, 0, params) == 0, "leaving: failed");
  check(out[0] == 1 && out[33] == 32 && out[20] == -1 && out[52] == -1, "leaving: wrong");

  check(cuda_emulator_launch_halves(1, 1, 1, 64, 1, 1, 0, params) == 0, "halves: failed");
  check(out[0] == static_cast<int>(0xAAAA0000) && out[31] == 120 && out[63] == 120, "halves: wrong");

  check(cuda_emulator_launch_narrow(1, 1, 1, 32, 1, 1, 0, params) == 0, "narrow: failed");
  check(out[9] == 12 + 100 * 9 + 10000 * 9 && out[15] == 15 + 100 * 12 + 10000 * 9, "narrow: wrong");

  check(cuda_emulator_launch_reversed(1, 1, 1, 64, 1, 1, 256, params) == 0, "reversed: failed");
  check(out[0] == 63 && out[63] == 0, "reversed: wrong");
  check(cuda_emulator_launch_reversed(1, 1, 1, 64, 1, 1, 252, params) == 700, "reversed: too little memory passes");

  check(cuda_emulator_launch_racing(1, 1, 1, 64, 1, 1, 256, params) == 0, "racing: failed");
  const char* const order = getenv("CUDA_EMULATOR_ORDER");
  check(out[40] == (order != nullptr && *order != 0 ? -1 : 20), "racing: wrong");

  check(cuda_emulator_launch_stuck(1, 1, 1, 64, 1, 1, 0, params) == 702, "stuck: passes");
  check(cuda_emulator_launch_mixed(1, 1, 1, 64, 1, 1, 0, params) == 719, "mixed: passes");

  out[0] = 0;
  n = 3 * 4 * 5 * 6 * 7 * 8 - 1;
  check(cuda_emulator_launch_counting(3, 4, 5, 6, 7, 8, 0, params) == 0, "counting: failed");
  check(out[0] == n, "counting: wrong");

#ifdef __linux__
  static double doubles[64];
  void* p_doubles = doubles;
  void* unset_params[] = {&p_doubles};
  check(cuda_emulator_launch_unset(2, 1, 1, 32, 1, 1, 0, unset_params) == 0, "unset: failed");
  for (double d : doubles) check(isnan(d), "unset: not NaN");
#endif

  check(cuda_emulator_launch_reversed(0, 1, 1, 64, 1, 1, 256, params) == 1, "no blocks pass");
  check(cuda_emulator_launch_reversed(1, 1, 1, 0, 1, 1, 256, params) == 1, "no threads pass");
  check(cuda_emulator_launch_reversed(1, 1, 1, 1025, 1, 1, 256, params) == 1, "too many threads pass");
  check(cuda_emulator_launch_reversed(1, 65536, 1, 64, 1, 1, 256, params) == 1, "too many blocks pass");
  check(cuda_emulator_launch_reversed(1, 1, 1, 64, 1, 1, 49153, params) == 1, "too much shared memory passes");
  return wrong;
}
