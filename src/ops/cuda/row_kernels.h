#pragma once

#include <cstdint>

/// Row-wise steps of a transformer block as CUDA kernels that read and write each number once (ops/row_ops.h says what
/// they compute). Know no libtorch, so that nvcc never sees its headers.
namespace rehyat::ops::cuda {

enum class RowType { f32, bf16, f16 };

/// Rows r of `width` numbers, contiguous; row r belongs to sample r / rows_per_sample.
struct Rows {
  std::int64_t rows = 0, rows_per_sample = 1, width = 0;
};

/// y = (x - mean) / sqrt(var + eps) * (1 + scale) + shift; scale and shift are [samples, width], their samples
/// `modulation_stride` numbers apart. width divisible by 4.
const char* launch_modulated_norm(const Rows& rows, const float* x, const float* scale, const float* shift,
                                  std::int64_t modulation_stride, float eps, RowType type, void* y, void* stream);

/// y = x + update * gate; gate [samples, width], its samples `gate_stride` apart; y may be x. width divisible by 4.
const char* launch_gated_sum(const Rows& rows, const float* x, const void* update, RowType type, const float* gate,
                             std::int64_t gate_stride, float* y, void* stream);

/// y = rope(x / sqrt(mean(x^2) + eps) * weight): the mean over the whole row, the rotation of pairs within each head of
/// `head_width` by cos, sin [rows_per_sample, head_width / 2] (null: no rotation). width divisible by head_width.
const char* launch_norm_rope(const Rows& rows, const void* x, RowType type, const float* weight, float eps,
                             std::int64_t head_width, const float* cos, const float* sin, void* y, void* stream);

}  // namespace rehyat::ops::cuda
