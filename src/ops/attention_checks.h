#pragma once

#include <ATen/ATen.h>

#include "ops/attention_spec.h"

namespace rehyat::ops {

/// Throws UserError, "[hybrid_attention] phi_k: found ..., expected ...", unless shapes, dtypes and devices fit.
void check_attention_inputs(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& phi_q,
                            const at::Tensor& phi_k, std::int64_t slices, const AttentionSpec& spec);

/// The same for one chunk of the recurrent form, whose phi_k comes later.
void check_chunk_inputs(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& phi_q);

/// The recurrent form of an attention; throws UserError where it has none.
Recurrence require_recurrence(const AttentionSpec& spec);

/// Throws UserError unless `phi_k` holds one feature row of `width` for each row of `k`.
void check_key_features(const at::Tensor& phi_k, const at::Tensor& k, std::int64_t width);

}  // namespace rehyat::ops
