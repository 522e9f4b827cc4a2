#pragma once

#include <ATen/ATen.h>

#include "ops/attention_spec.h"

namespace rehyat::ops {

struct Blended {
  at::Tensor y;      ///< [..., D], wide dtype
  at::Tensor log_l;  ///< [...]: what the softmax branch's backward takes for lse: log Z (joint), c + log|Z| (row_max),
                     ///< lse (lse)
  at::Tensor log_z;  ///< [...]: log |Z|, whose w = 1/Z weights the linear branch; undefined for `lse`
  at::Tensor scale;  ///< [...]: row_max: sign of Z; lse: 1/(1 + n); undefined for joint
};

/// y from the softmax branch (o [...,D], lse [...]) and the linear one (a [...,D], n [...]), Eqs. 5-9. `row_max` [...]
/// is c of that normalizer and undefined for the others. Where n = 0 y is o exactly. All in float32 or float64. Throws
/// UserError on n < 0 with joint and on a denominator of 0.
Blended blend(const at::Tensor& o, const at::Tensor& lse, const at::Tensor& a, const at::Tensor& n,
              const at::Tensor& row_max, Normalizer normalizer);

/// a / n; throws UserError where n = 0.
at::Tensor linear_only(const at::Tensor& a, const at::Tensor& n);

}  // namespace rehyat::ops
