// How threads put together what each has gathered of a distribution. That is of a
// type with meet, which adds another's share, and from, which is the share of the
// lane whose number differs in the given bits.
#pragma once

#include "device.cuh"

const unsigned kWarp = 0xFFFFFFFF;

// across_lanes gives each of width lanes beside each other what they all have, to
// the same bits.
template <typename V>
__device__ V across_lanes(V v, int width) {
#pragma unroll 1
  for (int bits = width / 2; bits > 0; bits /= 2) v.meet(v.from(bits));
  return v;
}

// across_block does so for a block, of a power of two of threads.
template <typename V>
__device__ V across_block(V v) {
  __shared__ V room[32];
  const int warps = blockDim.x / 32;
  v = across_lanes(v, 32);
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = v;
  __syncthreads();
  v = across_lanes(room[threadIdx.x % warps], warps);
  __syncthreads();  // the next call writes there again
  return v;
}
