// Reductions over lanes and over a block. They take any type V with
//
//   void merge(V other)          adds another thread's share
//   V shuffled(int bits) const   returns the share of the lane whose number
//                                differs in these bits
#pragma once

#include "device.cuh"

const unsigned kAllLanes = 0xFFFFFFFF;

// across_lanes returns the merged shares of width neighbouring lanes, the same
// bits to each of them.
template <typename V>
__device__ V across_lanes(V v, int width) {
#pragma unroll 1
  for (int bits = width / 2; bits > 0; bits /= 2) v.merge(v.shuffled(bits));
  return v;
}

// across_block does the same for a block, whose number of threads is a power of
// two and at least a warp.
template <typename V>
__device__ V across_block(V v) {
  __shared__ V shares[32];
  const int warps = blockDim.x / kWarpThreads;
  v = across_lanes(v, kWarpThreads);
  if (threadIdx.x % kWarpThreads == 0) shares[threadIdx.x / kWarpThreads] = v;
  __syncthreads();
  v = across_lanes(shares[threadIdx.x % warps], warps);
  __syncthreads();  // the next call writes there again
  return v;
}
