#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/attention/plan.h"

/// The linear branch of hybrid attention for whole videos: what each part of a plan sees of the past (and the future)
/// as one state [S | z], and the gradients. B batch, A heads, N tokens, D head width, F features, C = state_columns(v),
/// P parts.
namespace rehyat::ops {

/// Parts that follow each other and run as one batch of products.
struct PartSpan {
  std::int64_t first = 0, count = 1;      ///< parts
  std::int64_t q_begin = 0, q_count = 0;  ///< queries of each
  bool linear = false;                    ///< whether any of them sees linear keys

  /// x [B,A,N,X] -> [B,A,count,q_count,X], a view.
  at::Tensor rows(const at::Tensor& x) const;
};

/// One span of all parts where they are equal, which a batched product can read where they lie; otherwise one a part.
std::vector<PartSpan> part_spans(const Plan& plan);

/// Whether any of `count` parts from `first` on sees linear keys.
bool sees_linear_keys(const Plan& plan, std::int64_t first, std::int64_t count);

/// What each part sees: [B,A,P,F,C] float32 (float64 for float64), zero where it sees nothing. phi_k [B,A,K,F] and v
/// [B,A,K,D] of the plan's linear keys. A value anywhere that is NaN or infinite makes every part's state NaN.
at::Tensor part_states(const Plan& plan, const at::Tensor& phi_k, const at::Tensor& v);

/// The same by one running sum over the slices, for a plan whose parts see only what is before them: the recurrent
/// form. What no part sees is not looked at.
at::Tensor running_states(const Plan& plan, const at::Tensor& phi_k, const at::Tensor& v);

/// What a backward pass knows of the rows: the gradient and the value of the attention's output [B,A,N,D], and log_z
/// and scale [B,A,N] as the blend left them (ops/blend.h), either of which may be undefined.
struct RowUpstream {
  at::Tensor dy, y, log_z, scale;
};

struct LinearWants {
  bool phi_q = false, phi_k = false, v = false;
};

struct LinearGradients {
  at::Tensor phi_q, phi_k, v;
};

/// Gradients of the linear branch, those that are wanted (more may be defined), each in its tensor's type. `states` as
/// part_states made them. For a row with weight w = 1/Z and Delta = y . dy the branch's own upstream gradient is
/// w [dy | -Delta].
LinearGradients linear_backward(const Plan& plan, const at::Tensor& states, const RowUpstream& rows,
                                const at::Tensor& phi_q, const at::Tensor& phi_k, const at::Tensor& v,
                                const LinearWants& wants);

}  // namespace rehyat::ops
