// Sums that keep what rounding loses, and the maximum of a distribution.
//
// Float32 kernels use two floats where they need more than one: most GPUs have 64
// times fewer units for doubles.
#pragma once

#include "reduce.cuh"

// TwoSum is the sum of two numbers: as rounded, and what the rounding lost.
template <typename T>
struct TwoSum {
  T high, low;

  // exceeds compares exactly what two_sum returned.
  __device__ bool exceeds(TwoSum other) const { return high > other.high || (high == other.high && low > other.low); }
};

// rounding_error is a + b - sum, exactly, where sum is a + b as rounded: Knuth, The
// Art of Computer Programming 2, 4.2.2, theorem B.
template <typename T>
__device__ T rounding_error(T a, T b, T sum) {
  const T bb = sum - a;
  return (a - (sum - bb)) + (b - bb);
}

template <typename T>
__device__ TwoSum<T> two_sum(T a, T b) {
  const T sum = a + b;
  return {sum, sum - sum == 0 ? rounding_error(a, b, sum) : T(0)};
}

// A Total is a sum of many numbers, about as exact as double makes it.
template <typename T>
struct Total;

template <>
struct Total<float> {
  float high, low;

  __device__ void operator+=(float x) { merge({x, 0}); }
  __device__ void merge(Total other) {
    const float sum = high + other.high;
    low = (low + other.low) + rounding_error(high, other.high, sum);
    high = sum;
  }
  __device__ Total shuffled(int bits) const {
    return {__shfl_xor_sync(kAllLanes, high, bits), __shfl_xor_sync(kAllLanes, low, bits)};
  }
  __device__ Total operator*(float x) const { return {high * x, low * x}; }
  __device__ float value() const { return high + low; }
  __device__ double exact() const { return static_cast<double>(high) + low; }
  // subtracted_from is x - the total.
  __device__ float subtracted_from(float x) const { return (x - high) - low; }
};

template <>
struct Total<double> {
  double sum;

  __device__ void operator+=(double x) { sum += x; }
  __device__ void merge(Total other) { sum += other.sum; }
  __device__ Total shuffled(int bits) const { return {__shfl_xor_sync(kAllLanes, sum, bits)}; }
  __device__ Total operator*(double x) const { return {sum * x}; }
  __device__ double value() const { return sum; }
  __device__ double exact() const { return sum; }
  __device__ double subtracted_from(double x) const { return x - sum; }
};

// A Peak is the greatest sum of a distribution and its class, the lowest on a tie.
template <typename T, typename Class>
struct Peak {
  TwoSum<T> sum;
  Class place;

  static __device__ Peak none() { return {{T(-INFINITY), 0}, -1}; }

  // offer takes the classes of a thread in ascending order. A NaN or a mask never
  // exceeds what there is.
  __device__ void offer(TwoSum<T> other, Class at) {
    if (other.exceeds(sum)) *this = {other, at};
  }
  __device__ void merge(Peak other) {
    const bool tie = other.sum.high == sum.high && other.sum.low == sum.low;
    if (other.sum.exceeds(sum) || (tie && other.place < place)) *this = other;
  }
  __device__ Peak shuffled(int bits) const {
    return {{__shfl_xor_sync(kAllLanes, sum.high, bits), __shfl_xor_sync(kAllLanes, sum.low, bits)},
            __shfl_xor_sync(kAllLanes, place, bits)};
  }
};
