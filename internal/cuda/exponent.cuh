// Exponentials of the differences between two sums, at a temperature.
#pragma once

#include "noise.cuh"
#include "sums.cuh"

// A Rate turns the difference of two sums into an exponent: of 2 for float, as the
// sum of two floats; of e for double.
template <typename T>
struct Rate;

template <>
struct Rate<float> {
  float high, low;  // log2(e)/tau
};

template <>
struct Rate<double> {
  double tau;
};

// power is e^(d/tau), for d of at most a few tau. Its relative error is 2^-22, and
// what rounding d.high adds.
__device__ inline float power(TwoSum<float> d, Rate<float> rate) {
  // Adding 1.5·2^23 rounds to an integer, which is then in the low bits.
  const float round = 3 << 22;
  const float x = (d.high + d.low) * rate.high;
  if (!(x > -151)) return 0;
  const float shifted = x + round, n = shifted - round;
  const float r = fmaf(d.high, rate.low, fmaf(d.low, rate.high, fmaf(d.high, rate.high, -n)));
  const float c1 = kExp2C1, c2 = kExp2C2, c3 = kExp2C3, c4 = kExp2C4, c5 = kExp2C5;
  const float y = fmaf(r, fmaf(r, fmaf(r, fmaf(r, fmaf(r, c5, c4), c3), c2), c1), 1);
  // In two steps, so that a denormal result rounds once.
  return number_of(bits_of(y) + (bits_of(shifted) << 23) + (64u << 23)) * 0x1p-64f;
}

__device__ inline double power(TwoSum<double> d, Rate<double> rate) { return exp((d.high + d.low) / rate.tau); }

// logarithm is that of power, and accurate where power underflows to 0.
__device__ inline float logarithm(TwoSum<float> d, Rate<float> rate) {
  return (d.high + d.low) * rate.high * kLn2;
}

__device__ inline double logarithm(TwoSum<double> d, Rate<double> rate) { return (d.high + d.low) / rate.tau; }

// below is s - top.
template <typename T>
__device__ double below(TwoSum<T> s, TwoSum<T> top) {
  const double difference = static_cast<double>(s.high) - top.high;
  if (difference == -INFINITY) return difference;
  return difference + (static_cast<double>(s.low) - top.low);
}

// An Exponent is a difference with its rate.
template <typename T>
struct Exponent {
  TwoSum<T> d;
  Rate<T> rate;

  __device__ T power() const { return ::power(d, rate); }
  __device__ T logarithm() const { return ::logarithm(d, rate); }
};

template <typename T>
struct Temperature;

template <>
struct Temperature<float> {
  float tau;
  float unit;        // a power of two that keeps tau·unit well within floats
  float inverse;     // 1/(tau·unit)
  Rate<float> rate;  // log2(e)/(tau·unit)

  explicit __device__ Temperature(float t) : tau(t), unit(t < 0x1p-100f ? 0x1p64f : t > 0x1p100f ? 0x1p-64f : 1) {
    const float scaled = tau * unit;
    const float log2e = kLog2EHi, log2e_low = kLog2ELo;
    inverse = 1 / scaled;
    rate.high = log2e / scaled;
    rate.low = (fmaf(-rate.high, scaled, log2e) + log2e_low) / scaled;
  }

  // near reports whether floats are enough for the differences to a peak: the
  // difference of the lows is then less than a quarter of tau.
  __device__ bool near(float top) const { return unit == 1 && fabsf(top) < tau * 0x1p20f; }

  // far is the exponent of 2 where floats are not enough.
  __device__ float far(TwoSum<float> s, TwoSum<float> top) const {
    return static_cast<float>(below(s, top) * (static_cast<double>(rate.high) + rate.low) * unit);
  }
  static __device__ Rate<float> one() { return {1, 0}; }

  // gradient is that to a logit, given the sample, the gradient to the sample, and
  // the mean of those gradients under the sample.
  __device__ float gradient(float y, float grad, Total<float> mean) const {
    return y == 0 ? 0 : y * mean.subtracted_from(grad) * inverse * unit;
  }
};

template <>
struct Temperature<double> {
  double tau;
  Rate<double> rate;

  explicit __device__ Temperature(double t) : tau(t), rate{t} {}

  __device__ bool near(double top) const { return fabs(top) < tau * 0x1p48; }
  __device__ double far(TwoSum<double> s, TwoSum<double> top) const { return below(s, top) / tau; }
  static __device__ Rate<double> one() { return {1}; }

  __device__ double gradient(double y, double grad, Total<double> mean) const {
    return y == 0 ? 0 : y * mean.subtracted_from(grad) / tau;
  }
};

// exponent returns s - top with its rate, for s at most a few tau above top.
template <typename T>
__device__ Exponent<T> exponent(const Temperature<T>& t, TwoSum<T> s, TwoSum<T> top) {
  if (t.near(top.high)) return {{s.high - top.high, s.low - top.low}, t.rate};
  return {{t.far(s, top), 0}, t.one()};
}

// Moments are what the gradient to tau is made of. With x the logarithm of the sample
// y up to a constant, and g the gradient to y, they are the sums of yg, yx and yxg.
template <typename T>
struct Moments {
  Total<T> g, x, xg;

  __device__ void add(T y, T x_, T g_) {
    if (y == 0) return;
    g += y * g_;
    x += y * x_;
    xg += y * x_ * g_;
  }
  __device__ double value() const { return xg.exact() - g.exact() * x.exact(); }
};
