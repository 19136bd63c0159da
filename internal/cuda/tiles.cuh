// Distributions of few classes: a block loads a tile of neighbouring ones into shared
// memory, where a team of threads works on each.
#pragma once

#include "results.cuh"

// A Tile is some neighbouring distributions: of whole outer indices, then one span
// of memory, or some inner ones of one outer index, then a span per class. In shared
// memory, element c of row r is at base(r) + c·step.
struct Tile {
  Int first;  // its first element in the array
  Int origin;
  Int inner;
  int rows, classes, spans, length, step;

  template <typename T>
  __device__ Tile(const Args<T>& args, Int number, int width)
      : origin(args.origin()), inner(args.inner), classes(static_cast<int>(args.classes)) {
    if (width % inner == 0) {
      rows = static_cast<int>(min(static_cast<Int>(width), args.outer * inner - number * width));
      first = number * width * classes;
      spans = 1;
      length = rows * classes;
      step = static_cast<int>(inner);
      return;
    }
    const Int tiles = (inner + width - 1) / width, outer = number / tiles, from = number % tiles * width;
    rows = static_cast<int>(min(static_cast<Int>(width), inner - from));
    first = outer * classes * inner + from;
    spans = classes;
    length = step = rows;
  }

  __device__ int base(int row) const { return row / step * (classes * step) + row % step; }

  // each calls f for four elements at a time, with the index of the first in the
  // array and in the tile, and the bits of the valid ones. One span is divided into
  // whole groups of noise.
  template <typename F>
  __device__ void each(F f) const {
    const int skipped = spans == 1 ? static_cast<int>((origin + first) % kGroup) : 0;
    const int threads = (skipped + length + kGroup - 1) / kGroup * kGroupThreads;
    for (int item = threadIdx.x; item < spans * threads; item += blockDim.x) {
      const int span = spans == 1 ? 0 : item / threads, thread = item - span * threads;
      const int at = thread / kGroupThreads * kGroup + thread % kGroupThreads - skipped;
      const unsigned valid = inside(at, length);
      if (valid != 0) f(first + span * inner + at, span * length + at, valid);
    }
  }
};

// slot spreads the elements of a tile over the banks of shared memory. Otherwise rows
// whose number of classes is a power of two would all begin in the same bank.
template <typename T>
__device__ int slot(int i) {
  return i + i / static_cast<int>(kSlotBytes / sizeof(T));
}

// A TileTeam is a thread's part in a team, whose threads are neighbours in a warp. The
// block has the high and the low parts of the tile's sums in shared memory.
template <typename T>
struct TileTeam {
  const Args<T>& args;
  T* const high;
  T* const low;
  const int size, member;

  __device__ void load(const Tile& tile, const Input<T>& input) const {
    tile.each([&](Int n, int at, unsigned valid) {
      TwoSum<T> sums[4];
      if (!input.four(n, valid, sums)) args.refuse();
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (!(valid >> i & 1)) continue;
        const int s = slot<T>(at + i * kGroupThreads);
        high[s] = sums[i].high;
        low[s] = sums[i].low;
      }
    });
  }

  // store writes to memory what the rows have left in high.
  __device__ void store(const Tile& tile) const {
    tile.each([&](Int n, int at, unsigned valid) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (valid >> i & 1) args.out[n + i * kGroupThreads] = high[slot<T>(at + i * kGroupThreads)];
      }
    });
  }
};

// A TileRow is the distribution of a team, whose result replaces the sums in high. A
// team without a distribution takes part in the reductions with no classes.
template <typename T>
struct TileRow {
  const TileTeam<T>& team;
  const Temperature<T>& temperature;
  const Tile& tile;
  const bool active;
  const int base, classes;
  TwoSum<T> top;
  T scale;

  __device__ TileRow(const TileTeam<T>& team_, const Temperature<T>& temperature_, const Tile& tile_, int row)
      : team(team_),
        temperature(temperature_),
        tile(tile_),
        active(row < tile.rows),
        base(active ? tile.base(row) : 0),
        classes(active ? tile.classes : 0) {}

  __device__ int sampled() { return find_peak(); }

  template <typename F>
  __device__ void put_classes(int sampled, F f) {
    each([&](int s, int c) { team.high[s] = f(c, sampled); });
  }

  __device__ void softmax() {
    find_peak();
    Total<T> total = {};
    each([&](int s, int) {
      const T e = exponent_at(s).power();
      total += e;
      team.high[s] = e;
    });
    scale = 1 / across(total).value();
  }

  __device__ void put_sample() {
    each([&](int s, int) { team.high[s] *= scale; });
  }

  __device__ Total<T> mean() {
    const T* const grad = upstream();
    Total<T> mean = {};
    each([&](int s, int c) {
      const T y = team.high[s] * scale, g = grad[c * tile.inner];
      team.high[s] = y;
      team.low[s] = g;
      if (!isfinite(g)) team.args.refuse();
      if (y != 0) mean += y * g;
    });
    return across(mean);
  }

  template <typename F>
  __device__ void put(Total<T> mean, F f) {
    each([&](int s, int) { team.high[s] = f(team.high[s], team.low[s], mean); });
  }

  __device__ double moments() {
    find_peak();
    Total<T> total = {};
    each([&](int s, int) { total += exponent_at(s).power(); });
    scale = 1 / across(total).value();
    const T* const grad = upstream();
    Moments<T> m = {};
    each([&](int s, int c) {
      const Exponent<T> x = exponent_at(s);
      const T g = grad[c * tile.inner];
      if (!isfinite(g)) team.args.refuse();
      m.add(x.power() * scale, x.logarithm(), g);
    });
    m = {across(m.g), across(m.x), across(m.xg)};
    return active && team.member == 0 ? m.value() : 0;
  }

 private:
  // each calls f with the slots and the classes of the thread.
  template <typename F>
  __device__ void each(F f) const {
#pragma unroll 1
    for (int c = team.member; c < classes; c += team.size) f(slot<T>(base + c * tile.step), c);
  }

  template <typename V>
  __device__ V across(V v) const {
    return across_lanes(v, team.size);
  }

  __device__ int find_peak() {
    Peak<T, int> peak = Peak<T, int>::none();
    each([&](int s, int c) { peak.offer({team.high[s], team.low[s]}, c); });
    peak = across(peak);
    if (active && peak.place < 0) team.args.refuse();
    top = peak.sum;
    return peak.place;
  }

  __device__ Exponent<T> exponent_at(int s) const {
    return exponent(temperature, {team.high[s], team.low[s]}, top);
  }

  // upstream returns the gradient to the row's first class.
  __device__ const T* upstream() const { return team.args.grad + tile.first + base; }
};

// tiles applies a result to count tiles of width distributions. A team has so many
// threads.
template <typename T, typename Result>
__device__ void tiles(const Args<T>& args, const Result& result, Int count, Int width, Int team) {
  DYNAMIC_SHARED(bytes);
  const T tau = args.temperature();
  if (tau == 0) return args.refuse();
  const Temperature<T> temperature(tau);
  const Input<T> input(args);
  T* const high = reinterpret_cast<T*>(bytes);
  T* const low = high + slot<T>(static_cast<int>(width * args.classes));
  const int size = static_cast<int>(team), teams = blockDim.x / size;
  const TileTeam<T> part = {args, high, low, size, static_cast<int>(threadIdx.x) % size};
  double total = 0;
  for (Int number = blockIdx.x; number < count; number += gridDim.x) {
    const Tile tile(args, number, static_cast<int>(width));
    part.load(tile, input);
    __syncthreads();
    for (int first = 0; first < tile.rows; first += teams) {
      TileRow<T> row(part, temperature, tile, first + threadIdx.x / size);
      total += apply(result, row);
    }
    __syncthreads();
    if (Result::kNumber) continue;
    part.store(tile);
    __syncthreads();
  }
  if (Result::kNumber) put_sum(args, total);
}
