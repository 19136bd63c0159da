// The parameters of a sampler and its input: logits and the noise that is added to
// them.
#pragma once

#include "exponent.cuh"

// Args are the parameters of a kernel. What a kernel does not need may be null.
template <typename T>
struct Args {
  T* out;
  double* sums;  // in place of out, for a result that is a number for each block
  const T* logits;
  const T* tau;
  const Int* draw;  // its number, and the origin
  const T* noise;
  const T* grad;
  Int outer, classes, inner;
  Word64 key;
  int* status;

  // refuse reports an input that is not allowed, or a gradient that is not finite. The
  // op then runs again on the CPU.
  __device__ void refuse() const { *status = 1; }

  // origin returns the index in the draw of the array's first element. Groups of noise
  // are counted from the start of the draw, and so are the elements that a thread works
  // on, so a row has the same bits wherever the array begins.
  __device__ Int origin() const { return draw == nullptr ? 0 : draw[1]; }

  // temperature returns tau, or 0 if it is not allowed. Hard samples have none.
  __device__ T temperature() const {
    const T t = tau == nullptr ? 1 : *tau;
    return t > 0 && t < INFINITY ? t : 0;
  }
};

// An Input is the sums that a distribution is sampled from.
template <typename T>
struct Input {
  const T* logits;
  const T* noise;
  bool drawn;
  Stream stream;
  Int origin;

  // A negative draw means no noise.
  explicit __device__ Input(const Args<T>& args)
      : logits(args.logits),
        noise(args.noise),
        drawn(args.draw != nullptr && args.noise == nullptr),
        stream(args.key, args.draw == nullptr ? 0 : static_cast<Word64>(args.draw[0])),
        origin(args.origin()) {
    if (args.draw != nullptr && *args.draw < 0) {
      noise = nullptr;
      drawn = false;
    }
  }

  // four reads the elements n, n+16, n+32 and n+48, of which the valid ones have
  // their bit set; it returns the others as masked. It reports whether no sum is NaN
  // or +Inf.
  __device__ bool four(Int n, unsigned valid, TwoSum<T> (&sums)[4]) const {
    // The logits are loaded while the noise is computed.
    T l[4], g[4] = {0, 0, 0, 0};
#pragma unroll
    for (int i = 0; i < 4; i++) l[i] = valid >> i & 1 ? logits[n + i * kGroupThreads] : T(-INFINITY);
    if (drawn) {
      unsigned words[4];
      stream.words(origin + n, words);
#pragma unroll
      for (int i = 0; i < 4; i++) g[i] = gumbel<T>(words[i]);
    } else if (noise != nullptr) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (valid >> i & 1) g[i] = noise[n + i * kGroupThreads];
      }
    }
    bool good = true;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      sums[i] = two_sum(l[i], g[i]);
      good = good && sums[i].high < INFINITY;
    }
    return good;
  }
};

// put_sum writes the sum over the block of what its threads have.
template <typename T>
__device__ void put_sum(const Args<T>& args, double share) {
  const double sum = across_block(Total<double>{share}).sum;
  if (threadIdx.x == 0) args.sums[blockIdx.x] = sum;
}

// inside has a bit set for each of the elements n, n+16, n+32 and n+48 that lies in
// [0, length).
template <typename I>
__device__ unsigned inside(I n, I length) {
  unsigned bits = 0;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (n + i * kGroupThreads >= 0 && n + i * kGroupThreads < length) bits |= 1u << i;
  }
  return bits;
}
