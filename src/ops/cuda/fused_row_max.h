#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/attention/plan.h"

/// The fused kernel behind row_maxima (ops/row_max.h) for GPU tensors; a stub where the build has no CUDA.
namespace rehyat::ops {

/// Whether the kernel is built and serves these queries: on a GPU, in bfloat16 or float16, heads of at most 128 values,
/// divisible by 8.
bool has_fused_row_max(const at::Tensor& q);

/// row_maxima into `out` [B,A,N], float32 and contiguous.
void fused_row_max(const at::Tensor& out, const at::Tensor& q, const at::Tensor& k,
                   const std::vector<RectangleBatch>& batches);

}  // namespace rehyat::ops
