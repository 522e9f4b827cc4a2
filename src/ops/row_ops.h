#pragma once

#include <ATen/ATen.h>

#include "ops/rope.h"

/// The row-wise steps of a transformer block. On a GPU each is one kernel forward and one backward, float32 inside with
/// one rounding; elsewhere they are composed of libtorch's operators. B batch, N tokens, C channels, A heads of D.
/// The residual stream x [B,N,C] is float32 or float64.
namespace rehyat::ops {

/// LayerNorm over the C channels and what follows it: (x - mean)/sqrt(var + eps), then * (1 + scale) + shift where it
/// is modulated, with scale and shift [B,1,C] or [1,1,C], or * scale + shift by weights [C]; in `type`. Both of x's
/// type.
struct RowNorm {
  at::Tensor scale, shift;
  bool modulated = true;
  double eps = 0;
  at::ScalarType type = at::kFloat;
};

struct NormedStream {
  at::Tensor stream, normed;
};

/// {x, norm(x)}. Who takes the stream on from here, and not from x, has the gradients of both joined in one kernel.
NormedStream norm_stream(const at::Tensor& x, const RowNorm& norm);

/// {y, norm(y)} of y = x + update * gate in x's type: update [B,N,C] of any floating type, gate [B,1,C] or [1,1,C] of
/// x's type, or undefined: 1.
NormedStream add_and_norm(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate, const RowNorm& norm);

/// x + update * gate in x's type.
at::Tensor gated_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate);

/// RMSNorm over all C = A*D channels with `weight` [C], split into heads and, where `rope` is given, rotated:
/// x [B,N,C] -> [B,A,N,D] in x's type (a transposed view of [B,N,A,D]).
at::Tensor rms_norm_heads(const at::Tensor& x, const at::Tensor& weight, double eps, std::int64_t heads,
                          const RopeTables* rope);

/// The same heads twice, for two uses whose gradients are joined in one kernel.
struct HeadsTwice {
  at::Tensor first, second;
};
HeadsTwice rms_norm_heads_twice(const at::Tensor& x, const at::Tensor& weight, double eps, std::int64_t heads,
                                const RopeTables* rope);

}  // namespace rehyat::ops
