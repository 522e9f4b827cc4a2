#pragma once

#include "ops/row_ops.h"

/// The kernels behind row_ops.h for GPU tensors, with their gradients; a stub where the build has no CUDA.
namespace rehyat::ops {

/// Whether the kernels are built and serve this stream: float32 on a GPU, C divisible by 8 and at most 6144, the result
/// and `update`, where it is defined, of one type that is not float64.
bool has_fused_stream(const at::Tensor& x, const at::Tensor& update, at::ScalarType type);

NormedStream fused_norm_stream(const at::Tensor& x, const RowNorm& norm);
NormedStream fused_add_and_norm(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate,
                                const RowNorm& norm);
at::Tensor fused_gated_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate);

/// Likewise, and a head's width divisible by 8, tables in float32.
bool has_fused_heads(const at::Tensor& x, std::int64_t heads, const RopeTables* rope);

/// `ways`: 1 or 2, how many of the results are made.
HeadsTwice fused_norm_heads(const at::Tensor& x, const at::Tensor& weight, double eps, std::int64_t heads,
                            const RopeTables* rope, int ways);

}  // namespace rehyat::ops
