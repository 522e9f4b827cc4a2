#pragma once

#include <cstdint>

/// The blend of the two branches as one CUDA kernel (ops/blend.h says what is computed). Knows no libtorch, so that
/// nvcc never sees its headers.
namespace rehyat::ops::cuda {

enum class Element { f32, bf16, f16 };
/// The normalizers of ops/blend.h; `linear`: there is no softmax branch, y = a / n, and n = 0 is bad.
enum class BlendRule { joint, row_max, lse, linear };

/// Where rows of values lie: row r of head a of sample b begins at b * batch + a * head + r * row; values are dense.
struct RowLayout {
  std::int64_t batch = 0, head = 0, row = 0;
};

/// `samples` times `heads` times `rows` rows of `width` values, and one number a row where there is no width: that of
/// row r of head a of sample b lies at (b * heads + a) * value_stride + r.
struct BlendArguments {
  std::int64_t samples = 0, heads = 0, rows = 0, width = 0;
  Element element = Element::f32;
  BlendRule rule = BlendRule::joint;  ///< not `linear`
  const void* o = nullptr;            ///< element type
  void* y = nullptr;                  ///< element type
  RowLayout o_layout, y_layout;
  const float* sums = nullptr;     ///< [samples, heads, rows, columns]: a | n | unused, contiguous
  std::int64_t columns = 0;        ///< of `sums`, at least width + 1
  const float* lse = nullptr;      ///< the rest have one value a row
  const float* row_max = nullptr;  ///< row_max only
  float* log_l = nullptr;
  float* log_z = nullptr;            ///< row_max only
  float* scale = nullptr;            ///< row_max and lse only
  std::int64_t value_stride = 0;     ///< of lse, row_max, log_l, log_z and scale
  std::int32_t* bad_rows = nullptr;  ///< grows by the rows with n < 0 (joint) or Z = 0 (row_max, lse)
};

/// Starts the kernel on `stream` (a cudaStream_t). Returns nullptr, or CUDA's message where it could not be started.
const char* launch_blend(const BlendArguments& arguments, void* stream);

}  // namespace rehyat::ops::cuda
