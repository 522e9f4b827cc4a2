#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/attention/plan.h"

/// The kernels around the products of hybrid attention's linear branch in bfloat16 on a GPU; a stub where the build has
/// no CUDA.
namespace rehyat::ops {

/// Whether the kernels are built and serve x [B,A,N,D]: on a GPU, bfloat16, D divisible by 8 and at most 512.
bool has_fused_linear(const at::Tensor& x);

/// [v | 1 | 0] of `columns`, which is divisible by 8; v [B,A,N,D].
at::Tensor fused_columns(const at::Tensor& v, std::int64_t columns);

/// w [dy | -Delta | 0] as bfloat16 [B,A,N,columns], w = scale e^{-log_z} (a factor that is undefined is 1; the exponent
/// is kept below 80, where float32 still holds a long sum): the upstream gradient
/// of the linear branch. columns divisible by 8.
at::Tensor fused_upstream(const at::Tensor& dy, const at::Tensor& y, const at::Tensor& log_z, const at::Tensor& scale,
                          std::int64_t columns);

/// Gradients of the keys (or values) of one sample, as the rectangles of one batch gave them: [count,A,k_rows,D].
struct RectangleGradients {
  RectangleBatch where;
  at::Tensor gradient;
};

/// Adds up what the rectangles say of each key, and `more` [A,K,D] where it is defined, in float32, into `sum` [A,K,D].
/// Each number is read once and written once.
void fused_fold(const at::Tensor& sum, const std::vector<RectangleGradients>& parts, const at::Tensor& more);

/// How many batches of rectangles fused_fold takes.
std::size_t most_folded_batches();

}  // namespace rehyat::ops
