#pragma once

#include <cstdint>

/// How far two lists of bfloat16 numbers are from each other, and the gradient, in one pass. Knows no libtorch, so that
/// nvcc never sees its headers.
namespace rehyat::ops::cuda {

enum class DistanceRule { l1, mse, huber };

/// Blocks that a pass over so many values starts, each of which leaves one partial sum.
int distance_blocks(std::int64_t values);

/// d = x - y in float32. parts [distance_blocks(values)] = sums of |d|, d^2 or Huber's function with threshold 1, times
/// `scale`; gradient [values] = the derivative by x, times `scale`, in bfloat16, where it is not null. All begin at
/// multiples of 16 bytes; values divisible by 8.
struct DistanceArguments {
  std::int64_t values = 0;
  const void* x = nullptr;
  const void* y = nullptr;
  DistanceRule rule = DistanceRule::l1;
  float scale = 1;
  float* parts = nullptr;
  void* gradient = nullptr;
};

/// Starts the kernel on `stream` (a cudaStream_t). Returns nullptr, or CUDA's message where it could not be started.
const char* launch_distance(const DistanceArguments& arguments, void* stream);

/// gradient [values] times the number at `factor` on the device; memory is not touched where it is 1.
const char* launch_scale(void* gradient, std::int64_t values, const float* factor, void* stream);

}  // namespace rehyat::ops::cuda
