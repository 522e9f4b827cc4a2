#pragma once

#include <initializer_list>

#include "ops/rope.h"

/// The kernels behind row_ops.h for GPU tensors without gradients; a stub where the build has no CUDA.
namespace rehyat::ops {

/// Whether the kernels are built and serve these tensors: on a GPU, not float64, the last dimension divisible by 8 and
/// every row at a multiple of 16 bytes, and no gradient is recorded.
bool has_fused_rows(std::initializer_list<at::Tensor> tensors);

at::Tensor fused_modulated_norm(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& shift, double eps,
                                at::ScalarType type);
at::Tensor fused_gated_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate);
at::Tensor fused_norm_rope(const at::Tensor& x, const at::Tensor& weight, double eps, std::int64_t heads,
                           const RopeTables* rope);

}  // namespace rehyat::ops
