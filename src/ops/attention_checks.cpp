#include "ops/attention_checks.h"

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::ops {
namespace {

void check_like(const char* name, const at::Tensor& x, const at::Tensor& q, bool same_width) {
  const std::string where = cat("[hybrid_attention] ", name, ": ");
  require(x.defined(), [&] { return where + "found nothing, expected a tensor"; });
  const auto expected = [&] {
    auto shape = q.sizes().vec();
    if (!same_width) shape.back() = -1;
    return cat(at::toString(q.scalar_type()), ' ', shape_string(shape), " on ", q.device().str());
  };
  const bool shape_fits =
      x.dim() == 4 && x.sizes().slice(0, 3) == q.sizes().slice(0, 3) && (!same_width || x.size(3) == q.size(3));
  require(shape_fits && x.scalar_type() == q.scalar_type() && x.device() == q.device(), [&] {
    return cat(where, "found ", at::toString(x.scalar_type()), ' ', shape_string(x.sizes().vec()), " on ",
               x.device().str(), ", expected ", expected());
  });
}

void check_queries(const at::Tensor& q) {
  require(q.defined() && q.dim() == 4 && q.is_floating_point(), [&] {
    return cat("[hybrid_attention] q: found ", q.defined() ? shape_string(q.sizes().vec()) : "nothing",
               ", expected a floating tensor [B, A, N, D]");
  });
}

}  // namespace

void check_attention_inputs(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& phi_q,
                            const at::Tensor& phi_k, std::int64_t slices, const AttentionSpec& spec) {
  spec.validate();
  check_queries(q);
  require(slices >= 1 && q.size(2) % slices == 0 && q.size(2) > 0,
          [&] { return cat("[hybrid_attention] slices: found ", slices, ", expected a divisor of N = ", q.size(2)); });
  check_like("k", k, q, true);
  check_like("v", v, q, true);
  if (!spec.kind->has_linear()) return;
  check_like("phi_q", phi_q, q, false);
  check_key_features(phi_k, q, phi_q.size(3));
}

void check_chunk_inputs(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& phi_q) {
  check_queries(q);
  check_like("k", k, q, true);
  check_like("v", v, q, true);
  check_like("phi_q", phi_q, q, false);
}

Recurrence require_recurrence(const AttentionSpec& spec) {
  const std::optional<Recurrence> form = spec.recurrence();
  require(form.has_value(), [&] {
    return cat("[recurrent_state] found ", to_string(spec), ", which has no recurrent form, expected ",
               recurrent_kinds(), " attention");
  });
  return *form;
}

void check_key_features(const at::Tensor& phi_k, const at::Tensor& k, std::int64_t width) {
  check_like("phi_k", phi_k, k, false);
  require(phi_k.size(3) == width, [&] {
    return cat("[hybrid_attention] phi_k: found feature width ", phi_k.size(3), ", expected ", width, " as of phi_q");
  });
}

}  // namespace rehyat::ops
