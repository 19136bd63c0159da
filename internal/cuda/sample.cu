// Samples of categorical distributions and their gradients, as internal/kernel has
// them for the CPU, and Gumbel noise.
//
// Noise is the dear part: two logarithms of a random word an element. It is made
// once where a block can hold the distribution, and made again, from the same
// words, where it cannot. Few distributions of many classes leave most of a GPU
// idle, for none is ever split between blocks.
//
// In float32 nothing is done in double that every element would want: most GPUs
// have a 64th of the units for it. Where double is wanted, two floats do: see Sum
// and Total.
#include "gather.cuh"
#include "noise.cuh"

// What a kernel is to make of a soft sample, which sample.go knows too. Kernels for
// hard samples are others, as they take less.
enum Mode { kSoft, kGradLogits, kGradTau };

// Sums

// A Sum of two numbers: as rounded, and what the rounding lost.
template <typename T>
struct Sum {
  T high, low;

  // over compares exactly what add has made.
  __device__ bool over(Sum other) const { return high > other.high || (high == other.high && low > other.low); }
};

// lost is a + b - sum, exactly, where sum is a + b as rounded: Knuth, The Art of
// Computer Programming 2, 4.2.2, theorem B.
template <typename T>
__device__ T lost(T a, T b, T sum) {
  const T bb = sum - a;
  return (a - (sum - bb)) + (b - bb);
}

template <typename T>
__device__ Sum<T> add(T a, T b) {
  const T sum = a + b;
  return {sum, sum - sum == 0 ? lost(a, b, sum) : T(0)};
}

// A Total is a sum of many numbers, about as exact as double makes it.
template <typename T>
struct Total;

template <>
struct Total<float> {
  float high, low;

  __device__ void operator+=(float x) { meet({x, 0}); }
  __device__ void meet(Total other) {
    const float sum = high + other.high;
    low = (low + other.low) + lost(high, other.high, sum);
    high = sum;
  }
  __device__ Total from(int bits) const {
    return {__shfl_xor_sync(kWarp, high, bits), __shfl_xor_sync(kWarp, low, bits)};
  }
  __device__ Total operator*(float x) const { return {high * x, low * x}; }
  __device__ float value() const { return high + low; }
  __device__ double exact() const { return static_cast<double>(high) + low; }
  // before is x - the total.
  __device__ float before(float x) const { return (x - high) - low; }
};

template <>
struct Total<double> {
  double sum;

  __device__ void operator+=(double x) { sum += x; }
  __device__ void meet(Total other) { sum += other.sum; }
  __device__ Total from(int bits) const { return {__shfl_xor_sync(kWarp, sum, bits)}; }
  __device__ Total operator*(double x) const { return {sum * x}; }
  __device__ double value() const { return sum; }
  __device__ double exact() const { return sum; }
  __device__ double before(double x) const { return x - sum; }
};

// A Peak is the greatest sum of a distribution and its class, the lowest on a tie.
template <typename T, typename Class>
struct Peak {
  Sum<T> sum;
  Class place;

  static __device__ Peak none() { return {{T(-INFINITY), 0}, -1}; }

  // offer takes the classes of a thread in their order. A NaN or a mask is never
  // over what there is.
  __device__ void offer(Sum<T> other, Class at) {
    if (other.over(sum)) *this = {other, at};
  }
  __device__ void meet(Peak other) {
    const bool tie = other.sum.high == sum.high && other.sum.low == sum.low;
    if (other.sum.over(sum) || (tie && other.place < place)) *this = other;
  }
  __device__ Peak from(int bits) const {
    return {{__shfl_xor_sync(kWarp, sum.high, bits), __shfl_xor_sync(kWarp, sum.low, bits)},
            __shfl_xor_sync(kWarp, place, bits)};
  }
};

// Exponentials

// A Rate turns the difference of two sums into an exponent: of 2 for float, in two
// parts; of e for double.
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

// power is e^(d/tau), for d at most a few tau. It is right to 2^-22 and what the
// rounding of d.high makes.
__device__ inline float power(Sum<float> d, Rate<float> rate) {
  // Adding and taking away 1.5·2^23 rounds to an integer, which then is in the low
  // bits.
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

__device__ inline double power(Sum<double> d, Rate<double> rate) { return exp((d.high + d.low) / rate.tau); }

// logarithm is that of power, and right where power is 0.
__device__ inline float logarithm(Sum<float> d, Rate<float> rate) {
  return (d.high + d.low) * rate.high * kLn2;
}

__device__ inline double logarithm(Sum<double> d, Rate<double> rate) { return (d.high + d.low) / rate.tau; }

// below is s - top.
template <typename T>
__device__ double below(Sum<T> s, Sum<T> top) {
  const double difference = static_cast<double>(s.high) - top.high;
  if (difference == -INFINITY) return difference;
  return difference + (static_cast<double>(s.low) - top.low);
}

// An Exponent is a difference with its rate.
template <typename T>
struct Exponent {
  Sum<T> d;
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

  // near tells whether floats are enough for the differences to a peak: that of
  // the lows is then under a quarter of tau.
  __device__ bool near(float top) const { return unit == 1 && fabsf(top) < tau * 0x1p20f; }

  // far is the exponent of 2 where they are not.
  __device__ float far(Sum<float> s, Sum<float> top) const {
    return static_cast<float>(below(s, top) * (static_cast<double>(rate.high) + rate.low) * unit);
  }
  static __device__ Rate<float> one() { return {1, 0}; }

  // gradient to a logit, given the sample, the gradient to that, and the mean of
  // these gradients.
  __device__ float gradient(float y, float grad, Total<float> mean) const {
    return y == 0 ? 0 : y * mean.before(grad) * inverse * unit;
  }
};

template <>
struct Temperature<double> {
  double tau;
  Rate<double> rate;

  explicit __device__ Temperature(double t) : tau(t), rate{t} {}

  __device__ bool near(double top) const { return fabs(top) < tau * 0x1p48; }
  __device__ double far(Sum<double> s, Sum<double> top) const { return below(s, top) / tau; }
  static __device__ Rate<double> one() { return {1}; }

  __device__ double gradient(double y, double grad, Total<double> mean) const {
    return y == 0 ? 0 : y * mean.before(grad) / tau;
  }
};

// exponent of s - top, for s at most a few tau over top.
template <typename T>
__device__ Exponent<T> exponent(const Temperature<T>& t, Sum<T> s, Sum<T> top) {
  if (t.near(top.high)) return {{s.high - top.high, s.low - top.low}, t.rate};
  return {{t.far(s, top), 0}, t.one()};
}

// Moments are what the gradient to tau is made of: with x the logarithms of the
// sample y, but for a constant, and g the gradient to it, the sums of yg, yx and
// yxg.
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

// Input

// Args are the parameters of a kernel.
template <typename T>
struct Args {
  Int mode;
  T* out;
  double* sums;  // for kGradTau, in place of out: one a block
  const T* logits;
  const T* tau;
  const Int* draw;
  const T* noise;
  const T* grad;
  Int outer, classes, inner;
  Word64 key;
  int* status;

  // refuse says that there is an input that is not allowed.
  __device__ void refuse() const { *status = 1; }

  // temperature, or 0 if it is not allowed. Hard samples have none.
  __device__ T temperature() const {
    const T t = tau == nullptr ? 1 : *tau;
    return t > 0 && t < INFINITY ? t : 0;
  }
};

// An Input is the logits with the noise that is added to them.
template <typename T>
struct Input {
  const T* logits;
  const T* noise;
  bool drawn;
  Stream stream;

  // A draw under 0 stands for no noise.
  explicit __device__ Input(const Args<T>& args)
      : logits(args.logits),
        noise(args.noise),
        drawn(args.draw != nullptr && args.noise == nullptr),
        stream(args.key, args.draw == nullptr ? 0 : static_cast<Word64>(*args.draw)) {
    if (args.draw != nullptr && *args.draw < 0) {
      noise = nullptr;
      drawn = false;
    }
  }

  // four reads the elements n, n+16, n+32 and n+48, of which the valid ones have
  // their bit set; the others come out as masked. It returns whether none of the
  // sums is NaN or +Inf.
  __device__ bool four(Int n, unsigned valid, Sum<T> (&sums)[4]) const {
    // The logits are on their way while the noise is made.
    T l[4], g[4] = {0, 0, 0, 0};
#pragma unroll
    for (int i = 0; i < 4; i++) l[i] = valid >> i & 1 ? logits[n + i * kLanes] : T(-INFINITY);
    if (drawn) {
      unsigned words[4];
      stream.words(n, words);
#pragma unroll
      for (int i = 0; i < 4; i++) g[i] = gumbel<T>(words[i]);
    } else if (noise != nullptr) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (valid >> i & 1) g[i] = noise[n + i * kLanes];
      }
    }
    bool good = true;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      sums[i] = add(l[i], g[i]);
      good = good && sums[i].high < INFINITY;
    }
    return good;
  }
};

// inside has a bit set for each of the four elements from n on that lies in
// [0, length).
template <typename I>
__device__ unsigned inside(I n, I length) {
  unsigned bits = 0;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (n + i * kLanes >= 0 && n + i * kLanes < length) bits |= 1u << i;
  }
  return bits;
}

// The most threads of a block, which sample.go knows too.
const int kTileThreads = 512;
const int kRowThreads = 1024;
const int kStreamThreads = 512;

// Tiles

// A Tile is some neighbouring distributions in shared memory: of whole outer
// indices, then one span of memory, or some inner ones of one outer index, then a
// span a class. There, element c of row r is at base(r) + c·step.
struct Tile {
  Int first;  // its first element in the array
  Int inner;
  int rows, classes, spans, length, step;

  template <typename T>
  __device__ Tile(const Args<T>& args, Int number, int width) : inner(args.inner), classes(static_cast<int>(args.classes)) {
    if (width % inner == 0) {
      rows = static_cast<int>(min(static_cast<Int>(width), args.outer * inner - number * width));
      first = number * width * classes;
      spans = 1;
      length = rows * classes;
      step = static_cast<int>(inner);
      return;
    }
    const Int beside = (inner + width - 1) / width, outer = number / beside, from = number % beside * width;
    rows = static_cast<int>(min(static_cast<Int>(width), inner - from));
    first = outer * classes * inner + from;
    spans = classes;
    length = step = rows;
  }

  __device__ int base(int row) const { return row / step * (classes * step) + row % step; }

  // each calls f for elements by four, with the place of the first in the array
  // and in the tile, and the bits of the valid ones. One span is taken by whole
  // groups of noise.
  template <typename F>
  __device__ void each(F f) const {
    const int skipped = spans == 1 ? static_cast<int>(first % kGroup) : 0;
    const int lanes = (skipped + length + kGroup - 1) / kGroup * kLanes;
    for (int item = threadIdx.x; item < spans * lanes; item += blockDim.x) {
      const int span = spans == 1 ? 0 : item / lanes, lane = item - span * lanes;
      const int at = lane / kLanes * kGroup + lane % kLanes - skipped;
      const unsigned valid = inside(at, length);
      if (valid != 0) f(first + span * inner + at, span * length + at, valid);
    }
  }
};

// slot spreads the elements of a tile over the banks of shared memory: rows of a
// power of two of classes would all begin in the same one.
template <typename T>
__device__ int slot(int i) {
  return i + i / static_cast<int>(128 / sizeof(T));
}

// A TileKernel is what a thread does with tiles of width distributions, of which a
// team of threads, in a warp, has one at a time.
template <typename T, bool kHard>
struct TileKernel {
  const Args<T>& args;
  const Temperature<T>& temperature;
  T* const high;
  T* const low;
  const int team, member;

  __device__ void load(const Tile& tile, const Input<T>& input) const {
    tile.each([&](Int n, int at, unsigned valid) {
      Sum<T> sums[4];
      if (!input.four(n, valid, sums)) args.refuse();
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (!(valid >> i & 1)) continue;
        const int s = slot<T>(at + i * kLanes);
        high[s] = sums[i].high;
        low[s] = sums[i].low;
      }
    });
  }

  __device__ void store(const Tile& tile) const {
    tile.each([&](Int n, int at, unsigned valid) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (valid >> i & 1) args.out[n + i * kLanes] = high[slot<T>(at + i * kLanes)];
      }
    });
  }

  // A row's elements, for the thread's share of the classes.
  template <typename F>
  __device__ void each(const Tile& tile, int base, int classes, F f) const {
#pragma unroll 1
    for (int c = member; c < classes; c += team) f(slot<T>(base + c * tile.step), c);
  }

  // row replaces the sums of a row by the result, or returns its share of the
  // gradient to tau. A team without one takes part with no classes.
  __device__ double row(const Tile& tile, int row) const {
    const bool works = row < tile.rows;
    const int base = works ? tile.base(row) : 0, classes = works ? tile.classes : 0;
    Peak<T, int> top = Peak<T, int>::none();
    each(tile, base, classes, [&](int s, int c) { top.offer({high[s], low[s]}, c); });
    top = across_lanes(top, team);
    if (works && top.place < 0) args.refuse();
    if (kHard) {
      each(tile, base, classes, [&](int s, int c) { high[s] = c == top.place ? 1 : 0; });
      return 0;
    }
    Total<T> sum = {};
    each(tile, base, classes, [&](int s, int) {
      const T e = exponent(temperature, {high[s], low[s]}, top.sum).power();
      sum += e;
      if (args.mode != kGradTau) high[s] = e;
    });
    const T scale = 1 / across_lanes(sum, team).value();
    if (args.mode == kSoft) {
      each(tile, base, classes, [&](int s, int) { high[s] *= scale; });
      return 0;
    }
    const T* grad = args.grad + tile.first + base;
    if (args.mode == kGradTau) {
      Moments<T> moments = {};
      each(tile, base, classes, [&](int s, int c) {
        const Exponent<T> x = exponent(temperature, {high[s], low[s]}, top.sum);
        moments.add(x.power() * scale, x.logarithm(), grad[c * tile.inner]);
      });
      moments = {across_lanes(moments.g, team), across_lanes(moments.x, team), across_lanes(moments.xg, team)};
      return works && member == 0 ? moments.value() : 0;
    }
    Total<T> mean = {};
    each(tile, base, classes, [&](int s, int c) {
      const T y = high[s] * scale, g = grad[c * tile.inner];
      high[s] = y;
      low[s] = g;
      if (y != 0) mean += y * g;
    });
    mean = across_lanes(mean, team);
    each(tile, base, classes, [&](int s, int) { high[s] = temperature.gradient(high[s], low[s], mean); });
    return 0;
  }
};

template <typename T, bool kHard>
__device__ void tiles(const Args<T>& args, Int count, Int width, Int team) {
  DYNAMIC_SHARED(bytes);
  const T tau = args.temperature();
  if (tau == 0) return args.refuse();
  const Temperature<T> temperature(tau);
  const Input<T> input(args);
  T* const high = reinterpret_cast<T*>(bytes);
  T* const low = high + slot<T>(static_cast<int>(width * args.classes));
  const int size = static_cast<int>(team), teams = blockDim.x / size;
  const TileKernel<T, kHard> kernel = {args, temperature, high, low, size, static_cast<int>(threadIdx.x) % size};
  double total = 0;
  for (Int number = blockIdx.x; number < count; number += gridDim.x) {
    const Tile tile(args, number, static_cast<int>(width));
    kernel.load(tile, input);
    __syncthreads();
    for (int first = 0; first < tile.rows; first += teams) total += kernel.row(tile, first + threadIdx.x / size);
    __syncthreads();
    if (!kHard && args.mode == kGradTau) continue;
    kernel.store(tile);
    __syncthreads();
  }
  if (kHard || args.mode != kGradTau) return;
  total = across_block(Total<double>{total}).sum;
  if (threadIdx.x == 0) args.sums[blockIdx.x] = total;
}

// Rows

// A RowKernel is what a thread does with distributions of many classes beside each
// other in memory, which the block has one at a time, in registers. A round takes
// four elements a thread, by whole groups of noise.
//
// Before the peak is known, a register has what the element's sum is below a
// reference of the thread's, at least the greatest of the round as rounded. So it is
// the more exact the less it is below the peak, as an exponent needs to be.
template <typename T, bool kHard>
struct RowKernel {
  static const int kRounds = 32 / sizeof(T);

  const Args<T>& args;
  const Temperature<T>& temperature;
  const Input<T>& input;
  T* const references;  // in shared memory, one a thread and round

  Int first;  // the row's first element
  int classes, rounds, skipped;
  Peak<T, int> top;
  bool exact;  // the values are exponents, made once the peak was known

  // Registers have no index. So the values are a queue: each round's go through its
  // ends, and the code of a round is there once. The last round is at the back.
  T values[4 * kRounds];

  __device__ void turn(const T (&x)[4]) {
#pragma unroll
    for (int k = 0; k < 4 * kRounds; k++) values[k] = k + 4 < 4 * kRounds ? values[k + 4] : x[k + 4 - 4 * kRounds];
  }

  __device__ void start(Int row) {
    classes = static_cast<int>(args.classes);
    first = row * classes;
    skipped = static_cast<int>(first % kGroup);
    const int lanes = (skipped + classes + kGroup - 1) / kGroup * kLanes;
    rounds = (lanes + blockDim.x - 1) / blockDim.x;
  }

  // at is the class of the first of the thread's four elements of a round.
  __device__ int at(int round) const {
    const int lane = round * blockDim.x + threadIdx.x;
    return lane / kLanes * kGroup + lane % kLanes - skipped;
  }

  // each calls f with a round, the class of its first element, the bits of the valid
  // ones, and the four values.
  template <typename F>
  __device__ void each(F f) {
#pragma unroll 1
    for (int round = rounds - kRounds; round < rounds; round++) {
      T x[4] = {values[0], values[1], values[2], values[3]};
      if (round >= 0) {
        const int c = at(round);
        f(round, c, inside(c, classes), x);
      }
      turn(x);
    }
  }

  // load sets the peak, and the values. If floats are not enough for these, it goes
  // round again, for exponents.
  __device__ void load() {
    exact = false;
#pragma unroll 1
    for (;;) {
      const Peak<T, int> own = read();
      if (exact) return;
      top = across_block(own);
      if (kHard || top.place < 0 || temperature.near(top.sum.high)) return;
      exact = true;
    }
  }

  __device__ Peak<T, int> read() {
    Peak<T, int> own = Peak<T, int>::none();
#pragma unroll 1
    for (int round = 0; round < rounds; round++) {
      const int c = at(round);
      Sum<T> sums[4];
      if (!input.four(first + c, inside(c, classes), sums)) args.refuse();
      T reference = -INFINITY;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        own.offer(sums[i], c + i * kLanes);
        reference = fmax(reference, sums[i].high);
      }
      if (kHard) continue;
      references[round * blockDim.x + threadIdx.x] = reference;
      T x[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (exact) {
          x[i] = temperature.far(sums[i], top.sum);
        } else {
          x[i] = sums[i].high == -INFINITY ? sums[i].high : (sums[i].high - reference) + sums[i].low;
        }
      }
      turn(x);
    }
    return own;
  }

  // reference is that of a round, less the peak.
  __device__ Sum<T> reference(int round) const {
    if (exact) return {0, 0};
    const Sum<T> sum = add(references[round * blockDim.x + threadIdx.x], -top.sum.high);
    return {sum.high, sum.low - top.sum.low};
  }

  __device__ Exponent<T> exponent(Sum<T> reference, T value) const {
    const Sum<T> sum = add(reference.high, value);
    return {{sum.high, sum.low + reference.low}, exact ? temperature.one() : temperature.rate};
  }

  // row writes the result of a row, or returns the gradient to tau.
  __device__ double row(Int number) {
    start(number);
    load();
    if (top.place < 0) {
      args.refuse();
      return 0;
    }
    if (kHard) {
      for (int c = threadIdx.x; c < classes; c += blockDim.x) args.out[first + c] = c == top.place ? 1 : 0;
      return 0;
    }
    Total<T> sum = {};
    each([&](int round, int, unsigned, T (&x)[4]) {
      const Sum<T> from = reference(round);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const T e = exponent(from, x[i]).power();
        sum += e;
        if (args.mode != kGradTau) x[i] = e;
      }
    });
    const T scale = 1 / across_block(sum).value();
    if (args.mode == kGradTau) return gradient_to_tau(scale);
    if (args.mode == kGradLogits) {
      put_gradient(scale);
    } else {
      put(scale);
    }
    return 0;
  }

  __device__ void put(T scale) const {
#pragma unroll
    for (int k = 0; k < kRounds; k++) {
      const int round = k + rounds - kRounds;
      if (round < 0) continue;
      const int c = at(round);
      const unsigned valid = inside(c, classes);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (valid >> i & 1) args.out[first + c + i * kLanes] = values[4 * k + i] * scale;
      }
    }
  }

  __device__ void put_gradient(T scale) {
    Total<T> mean = {};
    each([&](int, int c, unsigned valid, T (&x)[4]) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        x[i] *= scale;
        if ((valid >> i & 1) && x[i] != 0) mean += x[i] * args.grad[first + c + i * kLanes];
      }
    });
    mean = across_block(mean);
    each([&](int, int c, unsigned valid, T (&x)[4]) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const Int n = first + c + i * kLanes;
        if (valid >> i & 1) args.out[n] = temperature.gradient(x[i], args.grad[n], mean);
      }
    });
  }

  __device__ double gradient_to_tau(T scale) {
    Moments<T> moments = {};
    each([&](int round, int c, unsigned valid, T (&x)[4]) {
      const Sum<T> from = reference(round);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (!(valid >> i & 1)) continue;
        const Exponent<T> e = exponent(from, x[i]);
        moments.add(e.power() * scale, e.logarithm(), args.grad[first + c + i * kLanes]);
      }
    });
    return Moments<T>{across_block(moments.g), across_block(moments.x), across_block(moments.xg)}.value();
  }
};

template <typename T, bool kHard>
__device__ void rows(const Args<T>& args) {
  DYNAMIC_SHARED(bytes);
  const T tau = args.temperature();
  if (tau == 0) return args.refuse();
  const Temperature<T> temperature(tau);
  const Input<T> input(args);
  RowKernel<T, kHard> kernel = {args, temperature, input, reinterpret_cast<T*>(bytes)};
  double total = 0;
  for (Int row = blockIdx.x; row < args.outer; row += gridDim.x) total += kernel.row(row);
  if (!kHard && args.mode == kGradTau && threadIdx.x == 0) args.sums[blockIdx.x] = total;
}

// Streams

// A Walk is how a block goes through a distribution of any number of classes, or
// through 64 of them that lie beside each other: 16 threads take 64 elements, which
// are classes of the one, or one class of all. Of the 64 a thread has every 16th.
template <typename T>
struct Walk {
  Int first;        // the first element, of class 0
  Int start;        // of the first 64 elements
  Int step, count;  // from 64 elements to the next, and how many of them there are
  Int classes;
  bool single;      // one distribution
  int next;         // from the class of a thread's element to that of its next
  unsigned beside;  // the bits of the distributions there are, if not a single one

  __device__ Walk(const Args<T>& args, Int number)
      : classes(args.classes), single(args.inner == 1), next(single ? kLanes : 0), beside(0) {
    if (single) {
      first = number * classes;
      start = first / kGroup * kGroup;
      step = kGroup;
      count = (first + classes - start + kGroup - 1) / kGroup;
      return;
    }
    const Int tiles = (args.inner + kGroup - 1) / kGroup, outer = number / tiles, from = number % tiles * kGroup;
    first = start = outer * classes * args.inner + from;
    step = args.inner;
    count = classes;
    beside = inside<Int>(threadIdx.x % kLanes, args.inner - from);
  }

  // each calls f with the place of the first of four elements, its class, and the
  // bits of the valid ones. From one of the four to the next the class grows by next.
  template <typename F>
  __device__ void each(F f) const {
    const int lane = threadIdx.x % kLanes;
#pragma unroll 1
    for (Int i = threadIdx.x / kLanes; i < count; i += blockDim.x / kLanes) {
      const Int n = start + i * step + lane;
      f(n, single ? n - first : i, single ? inside(n - first, classes) : beside);
    }
  }

  // has tells whether there is a distribution for the thread's element i of 64, and
  // speaks whether the thread is the one of its block to tell what became of it.
  __device__ bool has(int i) const { return single || (beside >> i & 1); }
  __device__ bool speaks(int i) const { return single ? threadIdx.x + i == 0 : threadIdx.x < kLanes && has(i); }

  // meet combines what the threads have of each distribution.
  template <typename V>
  __device__ void meet(V (&v)[4]) const {
    if (single) {
      for (int i = 1; i < 4; i++) v[0].meet(v[i]);
      v[0] = across_lanes(v[0], kLanes);
      for (int i = 1; i < 4; i++) v[i] = v[0];
    }
    __shared__ V room[kStreamThreads / 32][kGroup];
    const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      v[i].meet(v[i].from(kLanes));
      if (lane < kLanes) room[threadIdx.x / 32][lane + i * kLanes] = v[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 4; i++) {
      v[i] = room[0][lane % kLanes + i * kLanes];
#pragma unroll 1
      for (int warp = 1; warp < warps; warp++) v[i].meet(room[warp][lane % kLanes + i * kLanes]);
    }
    __syncthreads();
  }
};

// A Softmax is gathered in one pass: exponentials are of the sums less a reference,
// a sum that was the greatest or nearly so. A reference moves only where a sum is
// well over it, and so seldom that what that rounds does not count.
template <typename T>
struct Softmax {
  Peak<T, Int> top;
  Sum<T> reference;
  Total<T> total;

  static __device__ Softmax none() { return {Peak<T, Int>::none(), Peak<T, Int>::none().sum, {}}; }

  __device__ void offer(const Temperature<T>& t, Sum<T> s, Int place) {
    top.offer(s, place);
    if (s.high == -INFINITY) return;
    // Not where both sides are infinite either.
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
  __device__ Total<T> total_below(const Temperature<T>& t, Sum<T> other) const {
    return total * exponent(t, reference, other).power();
  }
};

template <typename T, bool kHard>
struct StreamKernel {
  const Args<T>& args;
  const Temperature<T>& temperature;
  const Input<T>& input;

  // Of each of the thread's four distributions, or of the one, four times.
  Softmax<T> gathered[4];
  Peak<T, Int> top[4];
  T scale[4];
  Moments<T> moments[4];

  // run writes the result of a walk, or returns the thread's share of the gradient
  // to tau.
  __device__ double run(const Walk<T>& walk) {
#pragma unroll
    for (int i = 0; i < 4; i++) gathered[i] = Softmax<T>::none(), moments[i] = {};
#pragma unroll 1
    for (int pass = 0; pass < 2; pass++) {
      walk.each([&](Int n, Int place, unsigned valid) {
        Sum<T> sums[4];
        if (!input.four(n, valid, sums)) args.refuse();
        if (pass == 0) {
          gather(sums, place, walk.next);
        } else {
          spend(sums, n, valid);
        }
      });
      if (pass == 0) gather_up(walk);
      if (kHard) break;
    }
    if (kHard) {
      put_hard(walk);
    } else if (args.mode == kGradTau) {
      return gradient_to_tau(walk);
    } else if (args.mode == kGradLogits) {
      put_gradient(walk);
    }
    return 0;
  }

  __device__ void gather(const Sum<T> (&sums)[4], Int place, int next) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (kHard) {
        gathered[i].top.offer(sums[i], place + i * next);
      } else {
        gathered[i].offer(temperature, sums[i], place + i * next);
      }
    }
  }

  __device__ void gather_up(const Walk<T>& walk) {
#pragma unroll
    for (int i = 0; i < 4; i++) top[i] = gathered[i].top;
    walk.meet(top);
    Total<T> total[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (walk.has(i) && top[i].place < 0) args.refuse();
      if (!kHard) total[i] = gathered[i].total_below(temperature, top[i].sum);
    }
    if (kHard) return;
    walk.meet(total);
#pragma unroll
    for (int i = 0; i < 4; i++) scale[i] = 1 / total[i].value();
  }

  // spend takes what the second pass gives. The gradient to the logits wants the
  // sample once more, which its place in the output keeps meanwhile.
  __device__ void spend(const Sum<T> (&sums)[4], Int n, unsigned valid) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (!(valid >> i & 1)) continue;
      const Exponent<T> x = exponent(temperature, sums[i], top[i].sum);
      const T y = x.power() * scale[i];
      const Int at = n + i * kLanes;
      if (args.mode != kGradTau) args.out[at] = y;
      if (args.mode != kSoft) moments[i].add(y, x.logarithm(), args.grad[at]);
    }
  }

  __device__ void put_hard(const Walk<T>& walk) const {
    walk.each([&](Int n, Int place, unsigned valid) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (valid >> i & 1) args.out[n + i * kLanes] = place + i * walk.next == top[i].place ? 1 : 0;
      }
    });
  }

  __device__ void put_gradient(const Walk<T>& walk) const {
    Total<T> mean[4];
#pragma unroll
    for (int i = 0; i < 4; i++) mean[i] = moments[i].g;
    walk.meet(mean);
    walk.each([&](Int n, Int, unsigned valid) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const Int at = n + i * kLanes;
        if (valid >> i & 1) args.out[at] = temperature.gradient(args.out[at], args.grad[at], mean[i]);
      }
    });
  }

  __device__ double gradient_to_tau(const Walk<T>& walk) const {
    Total<T> g[4], x[4], xg[4];
#pragma unroll
    for (int i = 0; i < 4; i++) g[i] = moments[i].g, x[i] = moments[i].x, xg[i] = moments[i].xg;
    walk.meet(g);
    walk.meet(x);
    walk.meet(xg);
    double sum = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (walk.speaks(i)) sum += Moments<T>{g[i], x[i], xg[i]}.value();
    }
    return sum;
  }
};

template <typename T, bool kHard>
__device__ void streams(const Args<T>& args, Int count) {
  const T tau = args.temperature();
  if (tau == 0) return args.refuse();
  const Temperature<T> temperature(tau);
  const Input<T> input(args);
  StreamKernel<T, kHard> kernel = {args, temperature, input};
  double total = 0;
  for (Int number = blockIdx.x; number < count; number += gridDim.x) total += kernel.run(Walk<T>(args, number));
  if (kHard || args.mode != kGradTau) return;
  total = across_block(Total<double>{total}).sum;
  if (threadIdx.x == 0) args.sums[blockIdx.x] = total;
}

// The gradient to tau, from the sums of the blocks.
template <typename T>
__device__ void add_tau(T* out, const double* sums, const T* tau, Int count) {
  Total<double> total = {0};
  for (Int i = threadIdx.x; i < count; i += blockDim.x) total += sums[i];
  total = across_block(total);
  if (threadIdx.x == 0) *out = static_cast<T>(-total.sum / *tau);
}

// Noise alone: four elements a thread.
template <typename T>
__device__ void gumbel_noise(T* out, const Int* draw, Int n, double loc, double scale, Word64 key) {
  const Stream stream(key, static_cast<Word64>(*draw));
  const Int thread = global_thread(), first = thread / kLanes * kGroup + thread % kLanes;
  const unsigned valid = inside(first, n);
  if (valid == 0) return;
  unsigned words[4];
  stream.words(first, words);
  const bool plain = loc == 0 && scale == 1;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const T g = gumbel<T>(words[i]);
    if (valid >> i & 1) out[first + i * kLanes] = plain ? g : static_cast<T>(loc + scale * g);
  }
}

#define PARAMETERS(T) \
  T *out, double *sums, const T *logits, const T *tau, const Int *draw, const T *noise, const T *grad, Int mode
#define ARGS {mode, out, sums, logits, tau, draw, noise, grad, outer, classes, inner, key, status}

#define SAMPLE_KERNELS(hard, name, T, type)                                                                            \
  extern "C" __global__ void __launch_bounds__(kTileThreads)                                                           \
      name##_tiles_##type(PARAMETERS(T), Int outer, Int classes, Int inner, Int count, Int width, Int team, Word64 key, \
                          int* status) {                                                                               \
    tiles<T, hard>(ARGS, count, width, team);                                                                          \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(kRowThreads)                                                            \
      name##_rows_##type(PARAMETERS(T), Int outer, Int classes, Int inner, Word64 key, int* status) {                  \
    rows<T, hard>(ARGS);                                                                                               \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(kStreamThreads)                                                         \
      name##_streams_##type(PARAMETERS(T), Int outer, Int classes, Int inner, Int count, Word64 key, int* status) {    \
    streams<T, hard>(ARGS, count);                                                                                     \
  }

#define KERNELS(T, type)                                                                                           \
  SAMPLE_KERNELS(false, soft, T, type)                                                                             \
  SAMPLE_KERNELS(true, hard, T, type)                                                                              \
  extern "C" __global__ void add_tau_##type(T* out, const double* sums, const T* tau, Int count) {                 \
    add_tau(out, sums, tau, count);                                                                                \
  }                                                                                                                \
  extern "C" __global__ void gumbel_##type(T* out, const Int* draw, Int n, double loc, double scale, Word64 key) { \
    gumbel_noise(out, draw, n, loc, scale, key);                                                                   \
  }

KERNELS(float, f32)
KERNELS(double, f64)
