// What a kernel computes from each distribution of its input.
//
// Tiles, rows and multipass traversals each have a type of row: the distribution, or
// the four of them, that a thread works on together with others. All of these types
// have the same steps, and a result is a functor that puts some of them together:
//
//   sampled()                returns the class of the greatest sum
//   put_classes(sampled, f)  writes f(class, sampled) for each class
//   softmax()                computes the sample: the softmax of the sums
//   put_sample()             writes the sample, after softmax
//   mean()                   returns the mean of the upstream gradient under the sample,
//                            after softmax
//   put(mean, f)             writes f(y, grad, mean) for each element y of the sample,
//                            after mean
//   moments()                returns this thread's share of the sum of Moments' values
//
// What sampled and mean return is a number for each distribution of the row.
//
// A row has an input and a temperature. A result that needs the softmax of other sums,
// such as the logits without noise, or at another temperature makes another row for
// them. In tiles, whose rows are loaded together, this takes one more step, which loads
// a row again.
//
// A result with kNumber set returns a number for each row, and the kernel writes the
// sum of these for each block. Other results write an element for each of the input.
#pragma once

#include "input.cuh"

// apply returns the thread's share of the number of a row, or 0 if there is none.
template <typename Result, typename Row>
__device__ double apply(const Result& result, Row& row) {
  if constexpr (Result::kNumber) {
    return result(row);
  } else {
    result(row);
    return 0;
  }
}

// Hard is the one-hot of the class of the greatest sum.
template <typename T>
struct Hard {
  static const bool kNumber = false;

  template <typename Row>
  __device__ void operator()(Row& row) const {
    const auto sampled = row.sampled();
    row.put_classes(sampled, [](Int c, Int sampled) { return c == sampled ? T(1) : T(0); });
  }
};

// Soft is the softmax of the sums at the temperature.
template <typename T>
struct Soft {
  static const bool kNumber = false;

  template <typename Row>
  __device__ void operator()(Row& row) const {
    row.softmax();
    row.put_sample();
  }
};

// GradLogits is y∘(g − ⟨y, g⟩)/tau, for the soft sample y and its gradient g.
template <typename T>
struct GradLogits {
  static const bool kNumber = false;

  template <typename Row>
  __device__ void operator()(Row& row) const {
    row.softmax();
    const auto mean = row.mean();
    row.put(mean, [&](T y, T grad, Total<T> mean) { return row.temperature.gradient(y, grad, mean); });
  }
};

// GradTau is the gradient to the temperature times -tau, a number for each block.
template <typename T>
struct GradTau {
  static const bool kNumber = true;

  template <typename Row>
  __device__ double operator()(Row& row) const {
    return row.moments();
  }
};
