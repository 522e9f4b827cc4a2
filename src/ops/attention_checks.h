#pragma once

#include <ATen/ATen.h>

#include "ops/attention_spec.h"

namespace rehyat::ops {

/// Throws UserError, "[hybrid_attention] phi_k: found ..., expected ...", unless shapes, dtypes and devices fit.
void check_attention_inputs(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& phi_q,
                            const at::Tensor& phi_k, std::int64_t slices, const AttentionSpec& spec);

}  // namespace rehyat::ops
