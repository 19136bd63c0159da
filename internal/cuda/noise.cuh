// Random words and Gumbel noise, with the same bits as those of internal/philox and
// internal/kernel. Every operation must be rounded separately: compile with
// -fmad=false. internal/kernel/noise.go explains the constants and the order of the
// operations.
#pragma once

#include "coeff.cuh"
#include "device.cuh"

typedef unsigned long long Word64;

// shift moves eight words down by 1 or 2 words.
__device__ inline void shift(unsigned (&w)[4], unsigned (&next)[4], int by) {
#pragma unroll
  for (int i = 0; i < 4; i++) w[i] = i + by < 4 ? w[i + by] : next[i + by - 4];
#pragma unroll
  for (int i = 0; i + by < 4; i++) next[i] = next[i + by];
}

// A Stream is one draw of the random sequence that a key selects.
struct Stream {
  unsigned key[2];
  unsigned draw[2];

  __device__ Stream(Word64 key_, Word64 draw_)
      : key{static_cast<unsigned>(key_), static_cast<unsigned>(key_ >> 32)},
        draw{static_cast<unsigned>(draw_), static_cast<unsigned>(draw_ >> 32)} {}

  // block returns the four random words of a block, by Philox4x32-10. A group of
  // elements has a block for each of its threads, with the words of that thread's
  // elements.
  __device__ void block(Word64 number, unsigned (&words)[4]) const {
    unsigned c0 = static_cast<unsigned>(number), c1 = static_cast<unsigned>(number >> 32), c2 = draw[0], c3 = draw[1];
#pragma unroll
    for (unsigned i = 0; i < 10; i++) {
      const unsigned m0 = 0xD2511F53u, m1 = 0xCD9E8D57u;
      const unsigned low0 = m0 * c0, low1 = m1 * c2, high0 = __umulhi(m0, c0), high1 = __umulhi(m1, c2);
      c0 = high1 ^ c1 ^ (key[0] + i * 0x9E3779B9u);
      c1 = low1;
      c2 = high0 ^ c3 ^ (key[1] + i * 0xBB67AE85u);
      c3 = low0;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
  }

  // word returns that of element n.
  __device__ unsigned word(Int n) const {
    const Word64 element = static_cast<Word64>(n);
    unsigned w[4];
    block(element / kGroup * kGroupThreads + element % kGroupThreads, w);
    const unsigned place = static_cast<unsigned>(element) / kGroupThreads % 4;
    return place < 2 ? (place == 0 ? w[0] : w[1]) : (place == 2 ? w[2] : w[3]);
  }

  // sub returns number n of the streams that belong to this one: see Stream.Sub in
  // internal/kernel.
  __device__ Stream sub(Word64 n) const {
    const Stream first(key_of(key[0], key[1]), 0);
    unsigned w[4];
    first.block(~n, w);
    return Stream(key_of(w[0], w[1]), key_of(draw[0], draw[1]));
  }

  static __device__ Word64 key_of(unsigned low, unsigned high) { return static_cast<Word64>(high) << 32 | low; }

  // words returns those of the elements n, n+16, n+32 and n+48. They are from two
  // blocks unless n is among the first 16 of a group.
  __device__ void words(Int n, unsigned (&w)[4]) const {
    const Word64 element = static_cast<Word64>(n), number = element / kGroup * kGroupThreads + element % kGroupThreads;
    block(number, w);
    const unsigned first = static_cast<unsigned>(element) / kGroupThreads % 4;
    if (first == 0) return;
    unsigned next[4];
    block(number + kGroupThreads, next);
    if (first & 1) shift(w, next, 1);
    if (first & 2) shift(w, next, 2);
  }
};

// fold returns the word of v, with a mask of all ones, if a random word is small;
// otherwise the word of u, and a mask of 0.
__device__ inline unsigned fold(unsigned b, unsigned* is_v) {
  *is_v = b < 1u << 30 ? ~0u : 0u;
  return b ^ ~*is_v;
}

// A Reduced number is (1+f)·2^k.
template <typename T>
struct Reduced {
  T f, k;
};

__device__ inline unsigned bits_of(float x) { return __float_as_uint(x); }
__device__ inline Word64 bits_of(double x) { return static_cast<Word64>(__double_as_longlong(x)); }
__device__ inline float number_of(unsigned bits) { return __uint_as_float(bits); }
__device__ inline double number_of(Word64 bits) { return __longlong_as_double(static_cast<Int>(bits)); }

// reduce splits a positive normal number. If v is small, f is -x and k is 0.
__device__ inline Reduced<float> reduce(float x, unsigned is_v) {
  const unsigned three_quarters = 0x3f400000u;
  const unsigned bits = bits_of(x) - three_quarters;
  const float f = number_of((bits & 0x007fffffu) + three_quarters) - 1;
  return {number_of((bits_of(f) & ~is_v) | (bits_of(-x) & is_v)),
          static_cast<float>((static_cast<int>(bits) >> 23) & static_cast<int>(~is_v))};
}

__device__ inline Reduced<double> reduce(double x, unsigned is_v) {
  const Word64 sqrt_half = 0x3fe6a09e667f3bcdull;
  const Word64 bits = bits_of(x) - sqrt_half, mask = static_cast<Word64>(static_cast<Int>(static_cast<int>(is_v)));
  const double f = number_of((bits & ((1ull << 52) - 1)) + sqrt_half) - 1;
  return {number_of((bits_of(f) & ~mask) | (bits_of(-x) & mask)),
          static_cast<double>(static_cast<int>(static_cast<Int>(bits) >> 52) & static_cast<int>(~is_v))};
}

// minus_log returns -log(2^k·(1+f)), the first of the two logarithms.
__device__ inline float minus_log(Reduced<float> x) {
  const float c0 = kLogRelativeC0, c1 = kLogRelativeC1, c2 = kLogRelativeC2, c3 = kLogRelativeC3;
  const float c4 = kLogRelativeC4, c5 = kLogRelativeC5, c6 = kLogRelativeC6, ln2 = kLn2;
  const float f = x.f, z = f * f;
  const float p03 = (c0 + c1 * f) + (c2 + c3 * f) * z;
  const float p46 = (c4 + c5 * f) + c6 * z;
  const float p = p03 + p46 * (z * z);
  const float tail = z * (0.5f - f * p);
  return (tail - f) - x.k * ln2;
}

// minus_log_of_log is minus_log for the second logarithm, whose relative error does
// not matter.
__device__ inline float minus_log_of_log(Reduced<float> x) {
  const float c0 = kLogAbsoluteC0, c1 = kLogAbsoluteC1, c2 = kLogAbsoluteC2, c3 = kLogAbsoluteC3;
  const float c4 = kLogAbsoluteC4, c5 = kLogAbsoluteC5, ln2 = kLn2;
  const float f = x.f, z = f * f;
  const float p03 = (c0 + c1 * f) + (c2 + c3 * f) * z;
  const float p = p03 + (c4 + c5 * f) * (z * z);
  const float tail = z * (0.5f - f * p);
  return (tail - f) - x.k * ln2;
}

__device__ inline double minus_log(Reduced<double> x) {
  const double ln2_hi = kLogLn2Hi, ln2_lo = kLogLn2Lo;
  const double l1 = kLogL1, l2 = kLogL2, l3 = kLogL3, l4 = kLogL4, l5 = kLogL5, l6 = kLogL6, l7 = kLogL7;
  const double f = x.f, s = f / (2 + f), z = s * s, w = z * z;
  const double t1 = w * (l2 + w * (l4 + w * l6));
  const double t2 = z * (l1 + w * (l3 + w * (l5 + w * l7)));
  const double half = 0.5 * (f * f);
  const double tail = s * (half + (t1 + t2)) + x.k * ln2_lo;
  return ((half - tail) - f) - x.k * ln2_hi;
}

__device__ inline double minus_log_of_log(Reduced<double> x) { return minus_log(x); }

// exponential returns the standard exponential noise of a random word.
template <typename T>
__device__ T exponential(unsigned b) {
  unsigned is_v;
  const unsigned word = fold(b, &is_v);
  const T x = (static_cast<T>(word) + T(0.5)) * T(1.0 / (1ull << 32));
  return minus_log(reduce(x, is_v));
}

// gumbel returns the standard Gumbel noise of a random word.
template <typename T>
__device__ T gumbel(unsigned b) {
  return minus_log_of_log(reduce(exponential<T>(b), 0));
}
