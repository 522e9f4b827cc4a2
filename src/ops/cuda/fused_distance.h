#pragma once

#include <ATen/core/Tensor.h>

/// The mean distance of two tensors and its gradient in one pass on a GPU; a stub where the build has no CUDA.
namespace rehyat::ops {

/// Mean of |d|, of d^2, or of Huber's function with threshold 1.
enum class Distance { l1, mse, huber };

/// Whether the kernel is built and serves these tensors: of one shape, dense, on a GPU, in bfloat16, their number of
/// values divisible by 8.
bool has_fused_distance(const at::Tensor& x, const at::Tensor& y);

/// The mean over all values, float32: differences and sums are float32. Differentiable once in x alone, whose gradient
/// is rounded once.
at::Tensor fused_distance(const at::Tensor& x, const at::Tensor& y, Distance distance);

}  // namespace rehyat::ops
