#include "ops/linear_branch.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "ops/cuda/fused_branch.h"
#include "ops/cuda/fused_linear.h"
#include "ops/cuda/readable.h"
#include "ops/linear_state.h"

namespace rehyat::ops {
namespace {

at::ScalarType sum_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// 1 where a part sees a slice, [P, slices]. A product with it adds up what a part sees and, turned, brings gradients
/// back: no sum is ever the difference of two others, which would cancel.
at::Tensor visible_slices(const Plan& plan, const at::TensorOptions& options) {
  const std::int64_t slices = plan.linear_slices;
  std::vector<float> seen(plan.parts.size() * static_cast<std::size_t>(slices), 0);
  for (std::size_t part = 0; part < plan.parts.size(); ++part) {
    for (std::int64_t slice = 0; slice < slices; ++slice) {
      const bool visible = slice < plan.parts[part].before || slice >= plan.parts[part].after;
      seen[part * static_cast<std::size_t>(slices) + static_cast<std::size_t>(slice)] = visible ? 1 : 0;
    }
  }
  const auto on_cpu = at::TensorOptions().dtype(at::kFloat).pinned_memory(options.device().is_cuda());
  at::Tensor made = at::empty({static_cast<std::int64_t>(plan.parts.size()), slices}, on_cpu);
  std::copy(seen.begin(), seen.end(), made.data_ptr<float>());
  return made.to(options.device(), options.dtype().toScalarType(), /*non_blocking=*/true);
}

/// m [X,Y] times x [B,A,Y,F,C] along the third dimension.
at::Tensor along_slices(const at::Tensor& m, const at::Tensor& x) {
  const at::Tensor sums = at::matmul(m, x.flatten(3));
  return sums.unflatten(3, {x.size(3), x.size(4)});
}

/// exp(-log_z / 2), clamped to where float32 holds its square times a long sum: beyond it the true gradient cannot be
/// represented.
at::Tensor half_weight(const at::Tensor& log_z) {
  const double bound = log_z.scalar_type() == at::kDouble ? 300.0 : 40.0;
  return (log_z * -0.5).clamp_max(bound).exp();
}

/// a b in a's type: with one rounding where the product can end in it.
at::Tensor product_in_type(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() == at::kBFloat16) return at::matmul(a, b.to(at::kBFloat16));
  return matmul_sums(a, b).to(a.scalar_type());
}

}  // namespace

at::Tensor PartSpan::rows(const at::Tensor& x) const {
  return x.narrow(2, q_begin, count * q_count).unflatten(2, {count, q_count});
}

std::vector<PartSpan> part_spans(const Plan& plan) {
  const auto& parts = plan.parts;
  const bool alike =
      std::all_of(parts.begin(), parts.end(), [&](const Part& part) { return part.q_count == parts.front().q_count; });
  const auto sees = [&](const Part& part) { return plan.linear(part); };
  if (alike)
    return {{0, static_cast<std::int64_t>(parts.size()), parts.front().q_begin, parts.front().q_count,
             std::any_of(parts.begin(), parts.end(), sees)}};
  std::vector<PartSpan> spans;
  for (const Part& part : parts)
    spans.push_back({static_cast<std::int64_t>(spans.size()), 1, part.q_begin, part.q_count, sees(part)});
  return spans;
}

at::Tensor part_states(const Plan& plan, const at::Tensor& phi_k, const at::Tensor& v) {
  const at::Tensor states = slice_states(phi_k, v, plan.linear_slices);
  return along_slices(visible_slices(plan, states.options()), states);
}

at::Tensor running_states(const Plan& plan, const at::Tensor& phi_k, const at::Tensor& v) {
  const std::int64_t slice = v.size(2) / plan.linear_slices, count = std::ssize(plan.parts),
                     seen = plan.parts.back().before;
  at::Tensor states =
      at::empty({v.size(0), v.size(1), count, phi_k.size(3), state_columns(v)}, v.options().dtype(sum_type(v)));
  if (seen == 0) return states.zero_();
  at::Tensor sums = slice_states(phi_k.narrow(2, 0, seen * slice), v.narrow(2, 0, seen * slice), seen);
  sums.cumsum_(2);
  const auto before = [&plan](std::int64_t part) { return plan.parts[static_cast<std::size_t>(part)].before; };
  std::int64_t part = 0;
  while (before(part) == 0) ++part;
  states.narrow(2, 0, part).zero_();
  for (std::int64_t next = part; part < count;
       part = next) {  // parts at a constant stride at once, which is all of them
    next = std::min(part + 2, count);
    const std::int64_t step = before(next - 1) - before(part);
    while (next < count && before(next) - before(next - 1) == step) ++next;
    states.narrow(2, part, next - part)
        .copy_(sums.slice(2, before(part) - 1, before(next - 1), std::max<std::int64_t>(step, 1)));
  }
  return states;
}

namespace {

/// The upstream gradient of the linear branch: for a row with weight w = 1/Z and Delta = y . dy it is w [dy | -Delta |
/// 0].
struct LinearUpstream {
  at::Tensor rows;  ///< [B,A,N,C]; without `half` all of w is in it
  /// [B,A,N,1], the square root of w, of which `rows` has only one factor so that neither overflows. May be undefined.
  at::Tensor half;
};

LinearUpstream linear_upstream(const RowUpstream& given, std::int64_t columns) {
  const auto& [dy, y, log_z, scale] = given;
  if (has_fused_linear(dy)) return {fused_upstream(dy, y, log_z, scale, columns), {}};
  const auto type = sum_type(dy);
  const at::Tensor g = dy.to(type);
  const at::Tensor delta = (g * y.to(type)).sum(-1, true);
  LinearUpstream upstream;
  upstream.rows = at::cat({g, -delta}, -1);
  // w = 1/Z: for lse it is small and plain; elsewhere its square root goes to either factor.
  if (scale.defined()) upstream.rows = upstream.rows * scale.unsqueeze(-1);
  if (log_z.defined()) {
    upstream.half = half_weight(log_z).unsqueeze(-1);
    upstream.rows = upstream.rows * upstream.half;
  }
  if (columns > upstream.rows.size(-1))
    upstream.rows = at::constant_pad_nd(upstream.rows, {0, columns - upstream.rows.size(-1)});
  return upstream;
}

LinearGradients composed_backward(const Plan& plan, const at::Tensor& states, const LinearUpstream& upstream,
                                  const at::Tensor& phi_q, const at::Tensor& phi_k, const at::Tensor& v,
                                  bool need_queries, bool need_keys, bool need_values) {
  const bool need_states = need_keys || need_values;
  const std::int64_t width = v.size(3);
  LinearGradients grads;
  const std::vector<PartSpan> spans = part_spans(plan);
  if (need_queries) grads.phi_q = at::empty_like(phi_q, at::MemoryFormat::Contiguous);
  at::Tensor d_parts;
  if (need_states) d_parts = at::empty_like(states);
  for (const PartSpan& span : spans) {
    const auto parts = [&span](const at::Tensor& x) { return x.narrow(2, span.first, span.count); };
    if (!span.linear) {
      if (need_queries) span.rows(grads.phi_q).zero_();
      if (need_states) parts(d_parts).zero_();
      continue;
    }
    const at::Tensor g = span.rows(upstream.rows);
    if (need_queries) {
      at::Tensor d = at::matmul(g, parts(states).transpose(-1, -2).to(g.scalar_type()));
      if (upstream.half.defined()) d = d * span.rows(upstream.half);
      span.rows(grads.phi_q).copy_(d);
    }
    if (need_states) {
      at::Tensor queries = span.rows(phi_q).to(g.scalar_type());
      if (upstream.half.defined()) queries = queries * span.rows(upstream.half);
      parts(d_parts).copy_(matmul_wide(queries.transpose(-1, -2), g));
    }
  }
  if (!need_states) return grads;
  const at::Tensor d_states = along_slices(visible_slices(plan, d_parts.options()).t(), d_parts);
  const std::int64_t slice = v.size(2) / plan.linear_slices;
  const auto cut = [&](const at::Tensor& x) { return x.unflatten(2, {plan.linear_slices, slice}); };
  if (need_keys) grads.phi_k = product_in_type(cut(with_ones(v)), d_states.transpose(-1, -2)).reshape(phi_k.sizes());
  if (need_values) grads.v = product_in_type(cut(phi_k), d_states.narrow(-1, 0, width)).reshape(v.sizes());
  return grads;
}

/// The same by kernels that read each row once.
LinearGradients fused_backward(const Plan& plan, const at::Tensor& states, const RowUpstream& rows,
                               const at::Tensor& phi_q, const at::Tensor& phi_k, const at::Tensor& v,
                               const LinearWants& wants) {
  const at::Tensor dy = readable(rows.dy), y = readable(rows.y), features = readable(phi_q);
  const bool keys = wants.phi_k || wants.v;
  LinearGradients grads;
  if (wants.phi_q) grads.phi_q = at::empty(phi_q.sizes(), phi_q.options());
  at::Tensor d_parts = keys ? at::empty_like(states) : at::Tensor();
  at::Tensor weighted = at::empty({dy.size(0), dy.size(1), dy.size(2), states.size(4)}, dy.options());
  std::int64_t part = 0;
  for (const RectangleBatch& view : rectangle_batches(plan)) {
    const auto values = [&](const at::Tensor& x, std::int64_t b) { return x.defined() ? view.query_values(x[b]) : x; };
    for (std::int64_t b = 0; b < dy.size(0); ++b) {
      const auto seen = [&](const at::Tensor& x) { return x[b].narrow(1, part, view.count); };
      const at::Tensor d_phi = wants.phi_q ? view.queries(grads.phi_q[b]) : at::Tensor();
      if (!sees_linear_keys(plan, part, view.count)) {
        if (wants.phi_q) d_phi.zero_();
        if (keys) seen(d_parts).zero_();
        continue;
      }
      const at::Tensor out = view.queries(weighted[b]);
      fused_query_gradients(
          {view.queries(dy[b]), view.queries(y[b]), values(rows.log_z, b), values(rows.scale, b), seen(states)}, out,
          d_phi);
      if (keys) fused_state_gradients(seen(d_parts), view.queries(features[b]), out);
    }
    part += view.count;
  }
  if (!keys) return grads;
  const at::Tensor d_states = along_slices(visible_slices(plan, d_parts.options()).t(), d_parts);
  const at::Tensor key_features = readable(phi_k), key_values = readable(v);
  grads.phi_k = at::empty(phi_k.sizes(), phi_k.options());
  if (wants.v) grads.v = at::empty_like(key_values);
  const std::int64_t slices = plan.linear_slices, slice = v.size(2) / slices;
  const auto cut = [&](const at::Tensor& x, std::int64_t b) {
    return x.defined() ? x[b].unflatten(1, {slices, slice}).transpose(0, 1) : x;
  };
  for (std::int64_t b = 0; b < v.size(0); ++b)
    fused_key_gradients(cut(key_features, b), cut(key_values, b), d_states[b], cut(grads.phi_k, b), cut(grads.v, b));
  return grads;
}

}  // namespace

bool sees_linear_keys(const Plan& plan, std::int64_t first, std::int64_t count) {
  const auto begin = plan.parts.begin() + first;
  return std::any_of(begin, begin + count, [&plan](const Part& part) { return plan.linear(part); });
}

LinearGradients linear_backward(const Plan& plan, const at::Tensor& states, const RowUpstream& rows,
                                const at::Tensor& phi_q, const at::Tensor& phi_k, const at::Tensor& v,
                                const LinearWants& wants) {
  if (has_fused_branch(phi_q, v)) return fused_backward(plan, states, rows, phi_q, phi_k, v, wants);
  return composed_backward(plan, states, linear_upstream(rows, states.size(-1)), phi_q, phi_k, v, wants.phi_q,
                           wants.phi_k, wants.v);
}

}  // namespace rehyat::ops
