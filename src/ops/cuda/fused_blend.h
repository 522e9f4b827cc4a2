#pragma once

#include "ops/blend.h"

/// The fused kernel behind blend_into for GPU tensors; a stub where the build has no CUDA.
namespace rehyat::ops {

/// Whether the kernel is built and serves these tensors: on a GPU, o in float32, bfloat16 or float16.
bool has_fused_blend(const at::Tensor& o);

/// blend_into on the GPU, without a host synchronisation: bad rows are counted in `bad_rows` (int32, on the GPU).
void fused_blend(const at::Tensor& o, const at::Tensor& lse, const at::Tensor& sums, const at::Tensor& row_max,
                 Normalizer normalizer, const BlendTargets& out, const at::Tensor& bad_rows);

}  // namespace rehyat::ops
