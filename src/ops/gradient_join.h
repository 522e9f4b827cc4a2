#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "ops/cuda/fused_linear.h"

/// Queries (or keys) that go to an attention and to its feature map get a gradient from both. Joined, the attention
/// leaves what its rectangles said in pieces, and one kernel adds them and the map's gradient up: each number is read
/// once and written once.
namespace rehyat::ops {

/// What a backward pass of hybrid_attention left, for each sample; empty before it has run.
struct GradientPieces {
  std::vector<std::vector<RectangleGradients>> samples;
};

struct JoinedInput {
  at::Tensor x;                            ///< [B,A,N,D], for both uses
  std::shared_ptr<GradientPieces> pieces;  ///< for hybrid_attention of x; null where there is nothing to gain
};

/// x for an attention and for a feature map, where gradients are recorded and a kernel serves x; x itself elsewhere.
JoinedInput joined_input(const at::Tensor& x);

}  // namespace rehyat::ops
