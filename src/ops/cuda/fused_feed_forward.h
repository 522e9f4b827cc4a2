#pragma once

#include "ops/linear.h"

/// The feed-forward part with GELU's kernels, for GPU tensors; a stub where the build has no CUDA.
namespace rehyat::ops {

/// Whether the kernels are built and serve x: on a GPU, not float64, the inner width divisible by 8.
bool has_fused_feed_forward(const at::Tensor& x, const LinearWeights& in);
at::Tensor fused_feed_forward(const at::Tensor& x, const LinearWeights& in, const LinearWeights& out);

}  // namespace rehyat::ops
