#pragma once

#include <cstdint>

/// Row-wise steps of a transformer block as CUDA kernels that read and write each number once, float32 inside, one
/// rounding at the end (ops/row_ops.h says what they compute). Know no libtorch, so that nvcc never sees its headers.
/// Every pointer is at a multiple of 16 bytes; every function returns null, or what went wrong.
namespace rehyat::ops::cuda {

enum class RowType { f32, bf16, f16 };

/// [samples, rows, width], dense unless a stride says otherwise.
struct RowShape {
  std::int64_t samples = 0, rows = 0, width = 0;
};

/// Whether rows of this width can be taken: divisible by 8, at most 6144.
bool serves_row_width(std::int64_t width);
/// Gradients of what all rows of a sample share come as so many partial sums a sample.
std::int64_t row_parts(const RowShape& shape);

/// `width` numbers for each sample, `stride` numbers apart, 0 where all share one. Null: there are none.
struct SampleVector {
  const float* values = nullptr;
  std::int64_t stride = 0;
};

/// normed = (y - mean(y)) / sqrt(var(y) + eps) * (offset + scale) + shift.
struct StreamNorm {
  SampleVector scale, shift;
  float offset = 0, eps = 0;
};

/// y = x + update * gate (gate null: 1), then normed of y, or of x where there is no update.
struct StreamArguments {
  RowShape shape;
  RowType type = RowType::f32;  ///< of update and normed
  const float* x = nullptr;
  const void* update = nullptr;
  SampleVector gate;
  float* y = nullptr;  ///< with an update
  StreamNorm norm;
  void* normed = nullptr;                    ///< null: not wanted
  float *mean = nullptr, *factor = nullptr;  ///< [samples, rows] for the backward pass, null: not wanted
};
const char* launch_stream(const StreamArguments& arguments, void* stream);

/// From the gradients dy and dnormed (null: none) of what launch_stream gave. Null results are not wanted.
struct StreamGradients {
  RowShape shape;
  RowType type = RowType::f32;
  const float* dy = nullptr;
  const void* dnormed = nullptr;
  const float *y = nullptr, *mean = nullptr, *factor = nullptr;  ///< y: what was normed; with dnormed
  StreamNorm norm;
  const void* update = nullptr;  ///< for dgate
  SampleVector gate;
  float* dx = nullptr;
  void* dupdate = nullptr;
  float *dgate = nullptr, *dscale = nullptr, *dshift = nullptr;  ///< [samples, parts, width]
};
const char* launch_stream_backward(const StreamGradients& arguments, void* stream);

/// Row r of sample b begins at b * batch + r * row; with heads, head a of it at b * batch + a * head + r * row.
struct HeadLayout {
  std::int64_t batch = 0, head = 0, row = 0;
};

/// y = rope(x / sqrt(mean(x^2) + eps) * weight): the mean over the whole row, the rotation of pairs within each head of
/// `head_width` (divisible by 8) by cos, sin [rows, head_width / 2] (null: no rotation).
struct HeadNormArguments {
  RowShape shape;
  RowType type = RowType::f32;  ///< of x and y
  std::int64_t head_width = 0;
  const void* x = nullptr;
  HeadLayout x_layout;
  const float *weight = nullptr, *cos = nullptr, *sin = nullptr;
  float eps = 0;
  void* y = nullptr;
  float* factor = nullptr;  ///< [samples, rows] for the backward pass, null: not wanted
};
const char* launch_head_norm(const HeadNormArguments& arguments, void* stream);

/// From dy, and `more_dy` where y went two ways. Null results are not wanted.
struct HeadNormGradients {
  RowShape shape;
  RowType type = RowType::f32;
  std::int64_t head_width = 0;
  const void* x = nullptr;
  HeadLayout x_layout;
  const float *weight = nullptr, *cos = nullptr, *sin = nullptr, *factor = nullptr;
  const void *dy = nullptr, *more_dy = nullptr;
  HeadLayout dy_layout, more_layout;
  void* dx = nullptr;
  float* dweight = nullptr;  ///< [samples, parts, width]
};
const char* launch_head_norm_backward(const HeadNormGradients& arguments, void* stream);

/// y = gelu(x), the tanh form, of `rows` times `width` numbers; width divisible by 8.
const char* launch_gelu(std::int64_t rows, std::int64_t width, RowType type, const void* x, void* y, void* stream);
/// Partial sums of the bias's gradient that launch_gelu_backward gives.
std::int64_t gelu_parts(std::int64_t rows, std::int64_t width);
/// dx = dy gelu'(x), which may lie where dy does; y = gelu(x) again and bias_parts [parts, width], the sums of dx over
/// rows, where they are not null.
const char* launch_gelu_backward(std::int64_t rows, std::int64_t width, RowType type, const void* x, const void* dy,
                                 void* dx, void* y, float* bias_parts, void* stream);

}  // namespace rehyat::ops::cuda
