#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/strings.h"
#include "ops/attention_checks.h"
#include "ops/blend.h"
#include "ops/hybrid_attention.h"

namespace rehyat::ops {
namespace {

/// For every query which keys are softmax keys and which are linear ones: two boolean matrices [N, N].
std::pair<at::Tensor, at::Tensor> key_sets(const AttentionSpec& spec, const TokenGrid& grid, at::Device device) {
  const std::int64_t tokens = grid.tokens();
  const at::Tensor uses = at::empty({tokens, tokens}, at::kByte);
  auto* use = uses.mutable_data_ptr<std::uint8_t>();
  for (std::int64_t query = 0; query < tokens; ++query) {
    for (std::int64_t key = 0; key < tokens; ++key)
      *use++ = static_cast<std::uint8_t>(spec.kind->use(spec, grid, query, key));
  }
  const auto all = [&](KeyUse wanted) { return uses.eq(static_cast<std::uint8_t>(wanted)).to(device); };
  return {all(KeyUse::softmax), all(KeyUse::linear)};
}

}  // namespace

at::Tensor hybrid_attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                      const at::Tensor& phi_q, const at::Tensor& phi_k, std::int64_t slices,
                                      const AttentionSpec& spec, const at::Tensor& frozen_max) {
  check_attention_inputs(q, k, v, phi_q, phi_k, slices, spec);
  const auto type = q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto [softmax_keys, linear_keys] = key_sets(spec, {slices, q.size(2) / slices}, q.device());
  const at::Tensor values = v.to(type);
  const at::Tensor s = at::matmul(q.to(type), k.to(type).transpose(-1, -2)) / std::sqrt(static_cast<double>(q.size(3)));
  const at::Tensor masked = s.masked_fill(softmax_keys.logical_not(), -std::numeric_limits<double>::infinity());
  if (!spec.kind->has_linear()) return at::matmul(masked.softmax(-1), values).to(q.scalar_type());

  const at::Tensor similarity = at::matmul(phi_q.to(type), phi_k.to(type).transpose(-1, -2)) * linear_keys.to(type);
  const at::Tensor a = at::matmul(similarity, values), n = similarity.sum(-1);
  if (!spec.kind->has_softmax()) return linear_only(at::cat({a, n.unsqueeze(-1)}, -1), a.size(-1)).to(q.scalar_type());

  // As printed (Eqs. 5-9), with c chosen by the normalizer; for joint the linear terms carry e^{-c} too.
  const at::Tensor lse = masked.logsumexp(-1);
  const at::Tensor o = at::matmul((masked - lse.unsqueeze(-1)).exp(), values);
  const at::Tensor empty = n.detach().eq(0);
  at::Tensor c, shared = at::ones_like(n);
  if (spec.normalizer == Normalizer::joint) {
    require(n.lt(0).logical_not().all().item<bool>(),
            [] { return "[hybrid_attention] phi_q.z: found rows below 0, expected none with the normalizer joint"; });
    // c cancels, so any will do that keeps every exponential finite, its gradients' too.
    const double bound = type == at::kDouble ? 600 : 72;
    const at::Tensor log_n = n.detach().masked_fill(empty, 1).log();
    c = at::where(empty, lse, at::maximum(lse, log_n).clamp_min(-bound)).detach();
    shared = (-c).clamp_max(bound).exp();
  } else if (spec.normalizer == Normalizer::row_max) {
    c = frozen_max.defined() ? frozen_max.squeeze(-1) : masked.detach().amax(-1);
  } else {
    c = lse;
  }
  const at::Tensor mass = (lse - c).exp(), z = mass + shared * n;
  require(z.ne(0).all().item<bool>(),
          [] { return "[hybrid_attention] the denominator: found rows equal to 0, expected none"; });
  // Where n = 0 the value is o to the bit, and the gradients are those of the formula at a = 0.
  const at::Tensor rows = empty.unsqueeze(-1), linear = at::where(rows, a - a.detach(), a);
  const at::Tensor y = (mass.unsqueeze(-1) * o + shared.unsqueeze(-1) * linear) / z.unsqueeze(-1);
  return (y + at::where(rows, o - y, at::zeros_like(y)).detach()).to(q.scalar_type());
}

}  // namespace rehyat::ops
