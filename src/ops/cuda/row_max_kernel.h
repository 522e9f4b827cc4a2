#pragma once

#include <cstdint>

/// The largest score of each query as one CUDA kernel, which keeps scores in registers and stores one number a row.
/// Knows no libtorch, so that nvcc never sees its headers.
namespace rehyat::ops::cuda {

/// Row r of head a of rectangle i of sample b begins at b * sample + i * rectangle + a * head + r * row; values are
/// dense, and every stride is divisible by 8.
struct ScoreLayout {
  std::int64_t sample = 0, rectangle = 0, head = 0, row = 0;
};

/// `count` rectangles of `q_rows` queries and `k_rows` keys (at least 1 of each), which may overlap. The maximum of row
/// r of rectangle i of head a of sample b goes to out[(b * heads + a) * out_stride + i * out_rectangle + r].
struct ScoreRectangles {
  std::int64_t count = 0, q_rows = 0, k_rows = 0, out_rectangle = 0;
  const void* q = nullptr;  ///< both aligned to 16 bytes
  const void* k = nullptr;
  ScoreLayout q_layout, k_layout;
  float* out = nullptr;
};

constexpr int kMostScoreBatches = 8;

/// out = scale * max_j q . k_j, scale > 0; products of `width` values (divisible by 8, at most 128) in float32. A score
/// that is NaN is passed over.
struct RowMaxArguments {
  std::int64_t samples = 0, heads = 0, width = 0, out_stride = 0;
  bool bf16 = true;  ///< or float16
  float scale = 1;
  ScoreRectangles batches[kMostScoreBatches];
  int batch_count = 0;
};

/// Starts the kernel on `stream` (a cudaStream_t). Returns nullptr, or CUDA's message where it could not be started.
const char* launch_row_max(const RowMaxArguments& arguments, void* stream);

}  // namespace rehyat::ops::cuda
