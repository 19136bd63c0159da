// Distributions of many classes that are contiguous in memory: a block takes one at a
// time and keeps it in registers.
#pragma once

#include "results.cuh"

// A BlockRow is the distribution of a block. A round takes four elements per thread, in
// whole groups of noise.
//
// Before the peak is known, a register has the difference between the element's sum and
// the thread's reference, which is the greatest sum of the round, as rounded. The closer
// a sum is to the peak, the more exact is its difference, as an exponent requires.
template <typename T>
struct BlockRow {
  static const int kRounds = kRowBytes / (4 * sizeof(T));

  const Args<T>& args;
  const Temperature<T>& temperature;
  const Input<T>& input;
  T* const references;  // in shared memory, one per thread and round
  const Int first;      // the row's first element
  const int classes, skipped, rounds;

  TwoSum<T> top;
  bool exact;  // the values are exponents, computed after the peak
  T scale;

  // Registers have no index. So the values are a queue: each round takes those in front
  // and puts them at the back, and all rounds share their code. The last round is at the
  // back.
  T values[4 * kRounds];

  __device__ BlockRow(const Args<T>& args_, const Temperature<T>& temperature_, const Input<T>& input_, T* references_,
                      Int row)
      : args(args_),
        temperature(temperature_),
        input(input_),
        references(references_),
        first(row * static_cast<int>(args.classes)),
        classes(static_cast<int>(args.classes)),
        skipped(static_cast<int>((args_.origin() + first) % kGroup)),
        rounds(((skipped + classes + kGroup - 1) / kGroup * kGroupThreads + blockDim.x - 1) / blockDim.x) {}

  __device__ int sampled() {
    const Peak<T, int> peak = across_block(read<false>());
    if (peak.place < 0) args.refuse();
    return peak.place;
  }

  template <typename F>
  __device__ void put_classes(int sampled, F f) {
    for (int c = threadIdx.x; c < classes; c += blockDim.x) args.out[first + c] = f(c, sampled);
  }

  __device__ void softmax() {
    load();
    Total<T> total = {};
    each([&](int round, int, unsigned, T (&x)[4]) {
      const TwoSum<T> from = reference(round);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        x[i] = exponent(from, x[i]).power();
        total += x[i];
      }
    });
    scale = 1 / across_block(total).value();
  }

  __device__ void put_sample() const {
#pragma unroll
    for (int k = 0; k < kRounds; k++) {
      const int round = k + rounds - kRounds;
      if (round < 0) continue;
      const int c = class_of(round);
      const unsigned valid = inside(c, classes);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (valid >> i & 1) args.out[first + c + i * kGroupThreads] = values[4 * k + i] * scale;
      }
    }
  }

  __device__ Total<T> mean() {
    Total<T> mean = {};
    each([&](int, int c, unsigned valid, T (&x)[4]) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        x[i] *= scale;
        if (!(valid >> i & 1)) continue;
        const T g = args.grad[first + c + i * kGroupThreads];
        if (!isfinite(g)) args.refuse();
        if (x[i] != 0) mean += x[i] * g;
      }
    });
    return across_block(mean);
  }

  template <typename F>
  __device__ void put(Total<T> mean, F f) {
    each([&](int, int c, unsigned valid, T (&x)[4]) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const Int n = first + c + i * kGroupThreads;
        if (valid >> i & 1) args.out[n] = f(x[i], args.grad[n], mean);
      }
    });
  }

  // moments returns the same number to all threads, and the kernel counts that of the
  // first.
  __device__ double moments() {
    load();
    Total<T> total = {};
    each([&](int round, int, unsigned, T (&x)[4]) {
      const TwoSum<T> from = reference(round);
#pragma unroll
      for (int i = 0; i < 4; i++) total += exponent(from, x[i]).power();
    });
    scale = 1 / across_block(total).value();
    Moments<T> m = {};
    each([&](int round, int c, unsigned valid, T (&x)[4]) {
      const TwoSum<T> from = reference(round);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (!(valid >> i & 1)) continue;
        const Exponent<T> e = exponent(from, x[i]);
        const T g = args.grad[first + c + i * kGroupThreads];
        if (!isfinite(g)) args.refuse();
        m.add(e.power() * scale, e.logarithm(), g);
      }
    });
    return Moments<T>{across_block(m.g), across_block(m.x), across_block(m.xg)}.value();
  }

 private:
  // push puts a round at the back of the queue, and drops the one in front.
  __device__ void push(const T (&x)[4]) {
#pragma unroll
    for (int k = 0; k < 4 * kRounds; k++) values[k] = k + 4 < 4 * kRounds ? values[k + 4] : x[k + 4 - 4 * kRounds];
  }

  // class_of returns the class of the first of the thread's four elements of a round.
  __device__ int class_of(int round) const {
    const int thread = round * blockDim.x + threadIdx.x;
    return thread / kGroupThreads * kGroup + thread % kGroupThreads - skipped;
  }

  // each calls f with a round, the class of its first element, the bits of the valid
  // ones, and the four values, which f may change.
  template <typename F>
  __device__ void each(F f) {
#pragma unroll 1
    for (int round = rounds - kRounds; round < rounds; round++) {
      T x[4] = {values[0], values[1], values[2], values[3]};
      if (round >= 0) {
        const int c = class_of(round);
        f(round, c, inside(c, classes), x);
      }
      push(x);
    }
  }

  // load sets the peak and the values. If differences of T are not exact enough, it
  // reads the row again and sets exponents.
  __device__ void load() {
    exact = false;
#pragma unroll 1
    for (;;) {
      const Peak<T, int> own = read<true>();
      if (exact) return;
      const Peak<T, int> peak = across_block(own);
      top = peak.sum;
      if (peak.place < 0) return args.refuse();
      if (temperature.near(top.high)) return;
      exact = true;
    }
  }

  // read returns the peak of the thread's elements, and sets the values if they are
  // to be kept.
  template <bool kKeep>
  __device__ Peak<T, int> read() {
    Peak<T, int> own = Peak<T, int>::none();
#pragma unroll 1
    for (int round = 0; round < rounds; round++) {
      const int c = class_of(round);
      TwoSum<T> sums[4];
      if (!input.four(first + c, inside(c, classes), sums)) args.refuse();
      T reference = -INFINITY;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        own.offer(sums[i], c + i * kGroupThreads);
        reference = fmax(reference, sums[i].high);
      }
      if (!kKeep) continue;
      references[round * blockDim.x + threadIdx.x] = reference;
      T x[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (exact) {
          x[i] = temperature.far(sums[i], top);
        } else {
          x[i] = sums[i].high == -INFINITY ? sums[i].high : (sums[i].high - reference) + sums[i].low;
        }
      }
      push(x);
    }
    return own;
  }

  // reference returns that of a round, minus the peak.
  __device__ TwoSum<T> reference(int round) const {
    if (exact) return {0, 0};
    const TwoSum<T> sum = two_sum(references[round * blockDim.x + threadIdx.x], -top.high);
    return {sum.high, sum.low - top.low};
  }

  __device__ Exponent<T> exponent(TwoSum<T> reference, T value) const {
    const TwoSum<T> sum = two_sum(reference.high, value);
    return {{sum.high, sum.low + reference.low}, exact ? temperature.one() : temperature.rate};
  }
};

template <typename T, typename Result>
__device__ void rows(const Args<T>& args, const Result& result) {
  DYNAMIC_SHARED(bytes);
  const T tau = args.temperature();
  if (tau == 0) return args.refuse();
  const Temperature<T> temperature(tau);
  const Input<T> input(args);
  double total = 0;
  for (Int number = blockIdx.x; number < args.outer; number += gridDim.x) {
    BlockRow<T> row(args, temperature, input, reinterpret_cast<T*>(bytes), number);
    total += apply(result, row);
  }
  if (Result::kNumber && threadIdx.x == 0) args.sums[blockIdx.x] = total;
}
