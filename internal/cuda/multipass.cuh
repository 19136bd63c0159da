// Distributions that have too many classes for the registers of a block, or whose classes
// are not neighbours: the block reads the input once for each step, and draws the same
// noise again each time.
//
// A distribution is never divided between blocks, so a few distributions of many classes
// leave most of a GPU idle.
#pragma once

#include "results.cuh"

// A Walk is how a block goes through one distribution of neighbouring classes, or
// through 64 neighbouring distributions. 16 threads take 64 elements at a time, which
// are classes of the one, or one class of all of them. Of the 64 a thread has every
// 16th.
template <typename T>
struct Walk {
  Int first;          // the first element, of class 0
  Int start;          // of the first 64 elements
  Int step, count;    // from 64 elements to the next, and how many of them there are
  Int classes;
  bool single;        // one distribution
  int next;           // from the class of a thread's element to that of its next
  unsigned existing;  // the bits of the distributions that exist, if not a single one

  __device__ Walk(const Args<T>& args, Int number)
      : classes(args.classes), single(args.inner == 1), next(single ? kGroupThreads : 0), existing(0) {
    if (single) {
      first = number * classes;
      start = (args.origin() + first) / kGroup * kGroup - args.origin();
      step = kGroup;
      count = (first + classes - start + kGroup - 1) / kGroup;
      return;
    }
    const Int groups = (args.inner + kGroup - 1) / kGroup, outer = number / groups, from = number % groups * kGroup;
    first = start = outer * classes * args.inner + from;
    step = args.inner;
    count = classes;
    existing = inside<Int>(threadIdx.x % kGroupThreads, args.inner - from);
  }

  // each calls f with the index of the first of four elements, its class, and the bits
  // of the valid ones. From one of the four to the next the class grows by next.
  template <typename F>
  __device__ void each(F f) const {
    const int thread = threadIdx.x % kGroupThreads;
#pragma unroll 1
    for (Int i = threadIdx.x / kGroupThreads; i < count; i += blockDim.x / kGroupThreads) {
      const Int n = start + i * step + thread;
      f(n, single ? n - first : i, single ? inside(n - first, classes) : existing);
    }
  }

  // has reports whether there is a distribution for the thread's element i of 64, and
  // counts whether the thread is the one of its block that counts this distribution.
  __device__ bool has(int i) const { return single || (existing >> i & 1); }
  __device__ bool counts(int i) const { return single ? threadIdx.x + i == 0 : threadIdx.x < kGroupThreads && has(i); }

  // across returns the merged shares of all threads of each distribution.
  template <typename V>
  __device__ void across(V (&v)[4]) const {
    if (single) {
      for (int i = 1; i < 4; i++) v[0].merge(v[i]);
      v[0] = across_lanes(v[0], kGroupThreads);
      for (int i = 1; i < 4; i++) v[i] = v[0];
    }
    __shared__ V shares[kMultipassThreads / kWarpThreads][kGroup];
    const int lane = threadIdx.x % kWarpThreads, warps = blockDim.x / kWarpThreads;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      v[i].merge(v[i].shuffled(kGroupThreads));
      if (lane < kGroupThreads) shares[threadIdx.x / kWarpThreads][lane + i * kGroupThreads] = v[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 4; i++) {
      v[i] = shares[0][lane % kGroupThreads + i * kGroupThreads];
#pragma unroll 1
      for (int warp = 1; warp < warps; warp++) v[i].merge(shares[warp][lane % kGroupThreads + i * kGroupThreads]);
    }
    __syncthreads();
  }
};

// A RunningSoftmax gathers a softmax in one pass. Exponentials are of the sums less a
// reference: a sum that was the greatest or nearly so. A reference moves only where a
// sum is well above it, and so seldom that what its moves round does not count.
template <typename T>
struct RunningSoftmax {
  Peak<T, Int> top;
  TwoSum<T> reference;
  Total<T> total;

  static __device__ RunningSoftmax none() { return {Peak<T, Int>::none(), Peak<T, Int>::none().sum, {}}; }

  __device__ void offer(const Temperature<T>& t, TwoSum<T> s, Int place) {
    top.offer(s, place);
    if (s.high == -INFINITY) return;
    // The negation holds where both sides are infinite, too.
    const bool moves = !((s.high - reference.high) + (s.low - reference.low) < 3 * t.tau);
    const T e = exponent(t, moves ? reference : s, moves ? s : reference).power();
    if (!moves) {
      total += e;
      return;
    }
    total = total * e;
    total += 1;
    reference = s;
  }

  // total_below is the sum of exponentials for another reference.
  __device__ Total<T> total_below(const Temperature<T>& t, TwoSum<T> other) const {
    return total * exponent(t, reference, other).power();
  }
};

// A MultipassRow is the distributions of a walk: four of the thread, or the single one,
// four times.
template <typename T>
struct MultipassRow {
  template <typename V>
  struct Each {
    V of[4];
  };

  const Args<T>& args;
  const Temperature<T>& temperature;
  const Input<T>& input;
  const Walk<T> walk;
  Peak<T, Int> top[4];
  T scale[4];

  __device__ MultipassRow(const Args<T>& args_, const Temperature<T>& temperature_, const Input<T>& input_, Int number)
      : args(args_), temperature(temperature_), input(input_), walk(args_, number) {}

  __device__ Each<Int> sampled() {
#pragma unroll
    for (int i = 0; i < 4; i++) top[i] = Peak<T, Int>::none();
    each_sum([&](int i, TwoSum<T> sum, Int, Int c, bool) { top[i].offer(sum, c); });
    find_peaks();
    return {top[0].place, top[1].place, top[2].place, top[3].place};
  }

  template <typename F>
  __device__ void put_classes(const Each<Int>& sampled, F f) {
    walk.each([&](Int n, Int c, unsigned valid) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (valid >> i & 1) args.out[n + i * kGroupThreads] = f(c + i * walk.next, sampled.of[i]);
      }
    });
  }

  __device__ void softmax() {
    RunningSoftmax<T> running[4];
#pragma unroll
    for (int i = 0; i < 4; i++) running[i] = RunningSoftmax<T>::none();
    each_sum([&](int i, TwoSum<T> sum, Int, Int c, bool) { running[i].offer(temperature, sum, c); });
#pragma unroll
    for (int i = 0; i < 4; i++) top[i] = running[i].top;
    find_peaks();
    Total<T> total[4];
#pragma unroll
    for (int i = 0; i < 4; i++) total[i] = running[i].total_below(temperature, top[i].sum);
    walk.across(total);
#pragma unroll
    for (int i = 0; i < 4; i++) scale[i] = 1 / total[i].value();
  }

  __device__ void put_sample() {
    each_sample([&](int, T y, T, Int n) { args.out[n] = y; });
  }

  // mean leaves the sample in the output, where put finds it.
  __device__ Each<Total<T>> mean() {
    Each<Total<T>> mean = {};
    each_sample([&](int i, T y, T, Int n) {
      args.out[n] = y;
      if (!isfinite(args.grad[n])) args.refuse();
      if (y != 0) mean.of[i] += y * args.grad[n];
    });
    walk.across(mean.of);
    return mean;
  }

  template <typename F>
  __device__ void put(const Each<Total<T>>& mean, F f) {
    walk.each([&](Int first, Int, unsigned valid) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const Int n = first + i * kGroupThreads;
        if (valid >> i & 1) args.out[n] = f(args.out[n], args.grad[n], mean.of[i]);
      }
    });
  }

  __device__ double moments() {
    softmax();
    Moments<T> m[4] = {};
    each_sample([&](int i, T y, T x, Int n) {
      if (!isfinite(args.grad[n])) args.refuse();
      m[i].add(y, x, args.grad[n]);
    });
    Total<T> g[4], x[4], xg[4];
#pragma unroll
    for (int i = 0; i < 4; i++) g[i] = m[i].g, x[i] = m[i].x, xg[i] = m[i].xg;
    walk.across(g);
    walk.across(x);
    walk.across(xg);
    double sum = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (walk.counts(i)) sum += Moments<T>{g[i], x[i], xg[i]}.value();
    }
    return sum;
  }

 private:
  // each_sum calls f with the number of a distribution and, of an element, the sum, the
  // index, the class and whether it is valid.
  template <typename F>
  __device__ void each_sum(F f) {
    walk.each([&](Int n, Int c, unsigned valid) {
      TwoSum<T> sums[4];
      if (!input.four(n, valid, sums)) args.refuse();
#pragma unroll
      for (int i = 0; i < 4; i++) f(i, sums[i], n + i * kGroupThreads, c + i * walk.next, valid >> i & 1);
    });
  }

  // each_sample calls f with the number of a distribution and, of a valid element, the
  // sample, its logarithm up to a constant, and the index.
  template <typename F>
  __device__ void each_sample(F f) {
    each_sum([&](int i, TwoSum<T> sum, Int n, Int, bool valid) {
      if (!valid) return;
      const Exponent<T> x = exponent(temperature, sum, top[i].sum);
      f(i, x.power() * scale[i], x.logarithm(), n);
    });
  }

  __device__ void find_peaks() {
    walk.across(top);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (walk.has(i) && top[i].place < 0) args.refuse();
    }
  }
};

template <typename T, typename Result>
__device__ void multipass(const Args<T>& args, const Result& result, Int count) {
  const T tau = args.temperature();
  if (tau == 0) return args.refuse();
  const Temperature<T> temperature(tau);
  const Input<T> input(args);
  double total = 0;
  for (Int number = blockIdx.x; number < count; number += gridDim.x) {
    MultipassRow<T> row(args, temperature, input, number);
    total += apply(result, row);
  }
  if (Result::kNumber) put_sum(args, total);
}
