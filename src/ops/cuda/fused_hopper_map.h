#pragma once

#include <ATen/core/Tensor.h>

#include "ops/cuda/fused_feature_map.h"

namespace rehyat::ops {

/// Whether one kernel a direction serves: a GPU of compute capability 9.0, x [B,A,N,128] in bf16 and two layers to 256
/// and 256 with slices of 128; x's strides are multiples of 8 numbers.
bool has_hopper_map(const at::Tensor& x, const PolyMap& map);

/// As fused_map, for which this is the way on such a GPU. Keeps x alone and computes the rest of the forward pass
/// again.
at::Tensor hopper_map(const at::Tensor& x, const PolyMap& map);

}  // namespace rehyat::ops
