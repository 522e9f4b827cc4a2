#pragma once

#include <cstdint>

/// The elementwise steps around the products of hybrid attention's linear branch as CUDA kernels, bfloat16 in and out,
/// float32 inside. Know no libtorch, so that nvcc never sees its headers.
namespace rehyat::ops::cuda {

/// Row r of head a of sample b begins at b * batch + a * head + r * row; values are dense.
struct GradientLayout {
  std::int64_t batch = 0, head = 0, row = 0;
};

/// out [samples, heads, rows, columns] = w [dy | -(y . dy) | 0], w = scale exp(min(-log_z, 80)); log_z and scale are
/// [samples, heads, rows], null: factor 1. width and columns divisible by 8, width at most 512.
struct UpstreamArguments {
  std::int64_t samples = 0, heads = 0, rows = 0, width = 0, columns = 0;
  const void* dy = nullptr;
  const void* y = nullptr;
  GradientLayout dy_layout, y_layout;
  const float* log_z = nullptr;
  const float* scale = nullptr;
  void* out = nullptr;
};
const char* launch_upstream(const UpstreamArguments& arguments, void* stream);

/// out [samples, heads, rows, columns] = [v | 1 | 0]. width and columns divisible by 8.
struct ColumnArguments {
  std::int64_t samples = 0, heads = 0, rows = 0, width = 0, columns = 0;
  const void* v = nullptr;
  GradientLayout layout;
  void* out = nullptr;
};
const char* launch_columns(const ColumnArguments& arguments, void* stream);

/// `count` rectangles of `rows` keys, the i-th from key begin + i * stride on. Key r of head a of the i-th lies at
/// i * layout.batch + a * layout.head + r * layout.row.
struct FoldSource {
  std::int64_t begin = 0, stride = 0, rows = 0, count = 0;
  const void* gradient = nullptr;
  GradientLayout layout;
};

constexpr int kMostFoldSources = 8;

/// out of one sample [heads, keys, width] = the sum over the sources, and `more` where it is not null. width divisible
/// by 8.
struct FoldArguments {
  std::int64_t heads = 0, keys = 0, width = 0;
  FoldSource sources[kMostFoldSources];
  int source_count = 0;
  const void* more = nullptr;
  GradientLayout more_layout, out_layout;
  void* out = nullptr;
};
const char* launch_fold(const FoldArguments& arguments, void* stream);

}  // namespace rehyat::ops::cuda
