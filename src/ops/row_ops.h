#pragma once

#include <ATen/ATen.h>

#include "ops/rope.h"

/// The row-wise steps of a transformer block. On a GPU, where no gradient is asked for, each is one kernel; elsewhere
/// they are composed of libtorch's operators and differentiable. B batch, N tokens, C channels, D head width.
namespace rehyat::ops {

/// LayerNorm without weights, then modulation: (x - mean)/sqrt(var + eps) * (1 + scale) + shift in `type`.
/// x [B,N,C] float32 or float64, scale and shift [B,1,C] of x's type.
at::Tensor modulated_layer_norm(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& shift, double eps,
                                at::ScalarType type);

/// x + update * gate in x's type: x [B,N,C] float32 or float64, update [B,N,C] of any floating type, gate [B,1,C].
at::Tensor gated_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate);

/// RMSNorm over all C = A*D channels with `weight` [C], split into heads and, where `rope` is given, rotated:
/// x [B,N,C] -> [B,A,N,D] in x's type (a transposed view of [B,N,A,D]).
at::Tensor rms_norm_heads(const at::Tensor& x, const at::Tensor& weight, double eps, std::int64_t heads,
                          const RopeTables* rope);

}  // namespace rehyat::ops
