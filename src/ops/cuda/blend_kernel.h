#pragma once

#include <cstdint>

/// The blend of the two branches as one CUDA kernel (ops/blend.h says what is computed). Knows no libtorch, so that
/// nvcc never sees its headers.
namespace rehyat::ops::cuda {

enum class Element { f32, bf16, f16 };
enum class BlendRule { joint, row_max, lse };

/// `outer` batches of `rows` rows of `width` values. A tensor's row r of batch b begins at b * outer stride + r * width
/// (`sums`: r * (width + 1)); one value a row where there is no width.
struct BlendArguments {
  std::int64_t outer = 0, rows = 0, width = 0;
  Element element = Element::f32;
  BlendRule rule = BlendRule::joint;
  const void* o = nullptr;         ///< element type
  void* y = nullptr;               ///< element type
  std::int64_t o_stride = 0;       ///< of o and y
  const float* sums = nullptr;     ///< [outer, rows, width + 1]: a | n, contiguous
  const float* lse = nullptr;      ///< the rest have one value a row
  const float* row_max = nullptr;  ///< row_max only
  float* log_l = nullptr;
  float* log_z = nullptr;            ///< row_max only
  float* scale = nullptr;            ///< row_max and lse only
  std::int64_t value_stride = 0;     ///< of lse, row_max, log_l, log_z and scale
  std::int32_t* bad_rows = nullptr;  ///< grows by the rows with n < 0 (joint) or Z = 0 (the others)
};

/// Starts the kernel on `stream` (a cudaStream_t). Returns nullptr, or CUDA's message where it could not be started.
const char* launch_blend(const BlendArguments& arguments, void* stream);

}  // namespace rehyat::ops::cuda
