#pragma once

#include <cstdint>

/// How the kernels of hybrid attention's linear branch see rows. Knows no libtorch, so that nvcc never sees its
/// headers.
namespace rehyat::ops::cuda {

/// Rows of several rectangles: row r of head a of rectangle i begins at data + i * rectangle + a * head + r * row.
/// bfloat16, dense, aligned to 16 bytes; strides divisible by 8.
struct BranchRows {
  void* data = nullptr;  ///< only that of results is written to
  std::int64_t rectangle = 0, head = 0, row = 0;
};

/// One float32 a row, at data + i * rectangle + a * head + r.
struct BranchValues {
  float* data = nullptr;
  std::int64_t rectangle = 0, head = 0;
};

/// A state [S | z | unused] for each rectangle and head: float32 [features, columns] at data + i * rectangle + a *
/// head; columns = width + 8.
struct BranchStates {
  float* data = nullptr;
  std::int64_t rectangle = 0, head = 0;
};

/// Whether the kernels are compiled for such features and heads, and the current device has the shared memory that they
/// take (Hopper's for heads of 128).
bool serves_branch(std::int64_t features, std::int64_t width);

/// `count` rectangles times `heads` times `rows`.
struct BranchSizes {
  std::int64_t count = 0, heads = 0, rows = 0;
  int features = 0, width = 0;
  int processors = 1;  ///< of the device
};

/// Of the current device.
int branch_processors();

}  // namespace rehyat::ops::cuda
