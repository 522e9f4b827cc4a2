#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/attention/plan.h"

/// c of the normalizer row_max: the largest score of each query over its softmax keys.
namespace rehyat::ops {

/// max_j q_i . k_j / sqrt(D) over the keys of i's rectangle, [B,A,N] in float32 (float64 for float64); q [B,A,N,D], k
/// [B,A,K,D], only the last dimension needs to be contiguous. `batches` have every query once. On a GPU half types use
/// a kernel that never stores scores, with float32 products; everything else block by block. No gradients: c is held
/// constant.
at::Tensor row_maxima(const at::Tensor& q, const at::Tensor& k, const std::vector<RectangleBatch>& batches);

/// The same with all keys for each query.
at::Tensor row_maxima(const at::Tensor& q, const at::Tensor& k);

}  // namespace rehyat::ops
