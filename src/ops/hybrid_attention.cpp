#include "ops/hybrid_attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <memory>

#include "core/error.h"
#include "core/strings.h"
#include "ops/attention/plan.h"
#include "ops/attention_checks.h"
#include "ops/blend.h"
#include "ops/linear_state.h"
#include "ops/softmax_rectangle.h"

namespace rehyat::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// What runs: the pattern, its branches and how they are blended.
struct Job {
  Plan plan;
  bool softmax, linear;  ///< which branches there are
  Normalizer normalizer = Normalizer::joint;
  Job(const AttentionSpec& spec, const at::Tensor& q, std::int64_t slices)
      : plan(spec.kind->plan(spec, {slices, q.size(2) / slices})),
        softmax(spec.kind->has_softmax()),
        linear(spec.kind->has_linear()) {
    if (spec.blends()) normalizer = spec.normalizer;
  }
};

at::ScalarType wide(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

SoftmaxBranch run_softmax(const Job& job, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const auto rows = q.sizes().slice(0, 3);
  SoftmaxBranch out{at::empty_like(q, at::MemoryFormat::Contiguous), at::empty(rows, q.options().dtype(wide(q))), {}};
  const bool needs_max = job.normalizer == Normalizer::row_max;
  if (needs_max) out.row_max = at::empty_like(out.lse);
  for (const RectangleBatch& view : rectangle_batches(job.plan)) {
    for (std::int64_t b = 0; b < q.size(0); ++b) {
      const at::Tensor queries = view.queries(q[b]), keys = view.keys(k[b]);
      const RectangleOutput result = softmax_rectangle(queries, keys, view.keys(v[b]));
      view.queries(out.o[b]).copy_(result.o);
      view.query_values(out.lse[b]).copy_(result.lse);
      if (needs_max) view.query_values(out.row_max[b]).copy_(softmax_row_max(queries, keys));
    }
  }
  return out;
}

/// S and z that each part sees, [B,A,parts,F,D+1].
at::Tensor part_states(const Plan& plan, const at::Tensor& phi_k, const at::Tensor& v) {
  const at::Tensor states = slice_states(phi_k, v, plan.linear_slices);
  const at::Tensor before = prefix_states(states);
  std::vector<at::Tensor> seen;
  at::Tensor after;
  for (const Part& part : plan.parts) {
    at::Tensor state = before.select(2, part.before);
    if (part.after < plan.linear_slices) {
      if (!after.defined()) after = suffix_states(states);
      state = state + after.select(2, part.after);
    }
    seen.push_back(state);
  }
  return at::stack(seen, 2);
}

/// exp(-log_z / 2), clamped to where float32 holds its square times a long sum: beyond it the true gradient cannot be
/// represented.
at::Tensor half_weight(const at::Tensor& log_z) {
  const double bound = log_z.scalar_type() == at::kDouble ? 300.0 : 36.0;
  return (log_z * -0.5).clamp_max(bound).exp();
}

/// What the branches take: k and v of the softmax keys, phi_k and v_linear of the linear ones; empty where there is no
/// such branch. Or the gradients of these.
struct Inputs {
  at::Tensor q, k, v, phi_q, phi_k, v_linear;
};

/// y, and what its backward pass needs.
struct Forward {
  at::Tensor y, o, log_l, log_z, scale, states;
};

Forward run_forward(const Job& job, const Inputs& in, const SoftmaxBranch& given) {
  const Plan& plan = job.plan;
  const at::Tensor& q = in.q;
  const auto type = wide(q);
  const std::int64_t width = q.size(3);
  Forward out;
  SoftmaxBranch softmax;
  if (job.softmax) softmax = given.o.defined() ? given : run_softmax(job, q, in.k, in.v);
  out.y = at::empty_like(q, at::MemoryFormat::Contiguous);
  out.log_l = at::empty(q.sizes().slice(0, 3), q.options().dtype(type));
  // joint: Z has no factor taken out, so that the branches share one logarithm.
  const bool shared = job.softmax && job.normalizer == Normalizer::joint;
  if (shared) out.log_z = out.log_l;
  if (!shared) out.scale = at::ones_like(out.log_l);
  if (!job.softmax || job.normalizer == Normalizer::row_max) out.log_z = at::zeros_like(out.log_l);
  if (job.softmax && job.normalizer == Normalizer::lse) out.o = softmax.o;
  if (job.linear) out.states = part_states(plan, in.phi_k, in.v_linear);
  BadRows bad(out.log_l, job.normalizer);
  for (std::size_t i = 0; i < plan.parts.size(); ++i) {
    const Part& part = plan.parts[i];
    const auto rows = [&part](const at::Tensor& x) { return x.narrow(2, part.q_begin, part.q_count); };
    if (!plan.linear(part)) {
      rows(out.y).copy_(rows(softmax.o));
      rows(out.log_l).copy_(rows(softmax.lse));
      continue;
    }
    const at::Tensor sums = matmul_sums(rows(in.phi_q), out.states.select(2, static_cast<std::int64_t>(i)));
    if (!job.softmax) {
      const at::Tensor n = sums.select(-1, width);
      rows(out.y).copy_(linear_only(sums));
      rows(out.log_z).copy_(n.abs().log());
      rows(out.scale).copy_(n.sign());
      continue;
    }
    const auto rows_if = [&rows](const at::Tensor& x) { return x.defined() ? rows(x) : x; };
    const BlendTargets targets{rows(out.y), rows(out.log_l), rows_if(out.log_z), rows_if(out.scale)};
    blend_into(targets, rows(softmax.o), rows(softmax.lse), sums, rows_if(softmax.row_max), job.normalizer, bad);
  }
  bad.check();
  return out;
}

/// The softmax branch: one call of the library's backward with the hybrid's own output and log-denominator.
void softmax_backward(const Job& job, const Inputs& in, const Forward& saved, const at::Tensor& dy, Inputs& grads) {
  const at::Tensor &q = in.q, &k = in.k, &v = in.v;
  const bool by_lse = job.normalizer == Normalizer::lse;
  const at::Tensor& out = by_lse ? saved.o : saved.y;
  at::Tensor g = dy;
  // lse: w dy; row_max: sign(Z) dy.
  if (saved.scale.defined()) g = (dy * saved.scale.unsqueeze(-1)).to(dy.scalar_type());
  grads.q = at::empty_like(q, at::MemoryFormat::Contiguous);
  const auto type = wide(q);  // overlapping rectangles add up
  grads.k = at::zeros(k.sizes(), k.options().dtype(type));
  grads.v = at::zeros(v.sizes(), v.options().dtype(type));
  for (const RectangleBatch& view : rectangle_batches(job.plan)) {
    for (std::int64_t b = 0; b < q.size(0); ++b) {
      const auto [dq, dk, dv] =
          softmax_rectangle_backward(view.queries(g[b]), view.queries(q[b]), view.keys(k[b]), view.keys(v[b]),
                                     view.queries(out[b]), view.query_values(saved.log_l[b]));
      view.queries(grads.q[b]).copy_(dq);
      for (std::int64_t i = 0; i < view.count; ++i) {
        const std::int64_t begin = view.k_begin + i * view.k_stride;
        grads.k[b].narrow(1, begin, view.k_rows) += dk[i];
        grads.v[b].narrow(1, begin, view.k_rows) += dv[i];
      }
    }
  }
  grads.k = grads.k.to(k.scalar_type());
  grads.v = grads.v.to(v.scalar_type());
}

/// dS and dz of each part put where its sums begin and end, then summed back onto the slices that they came from.
at::Tensor slice_gradients(const Plan& plan, const at::Tensor& to_before, const at::Tensor& to_after) {
  // Slice s is in the prefix of every part with before > s, and in the suffix of every part with after <= s.
  at::Tensor grads = suffix_states(to_before.narrow(2, 1, plan.linear_slices)).narrow(2, 0, plan.linear_slices);
  if (to_after.defined()) grads = grads + to_after.narrow(2, 0, plan.linear_slices).cumsum(2);
  return grads;
}

/// The linear branch: gradients of phi_q where `queries`, of phi_k and v_linear where `keys`.
void linear_backward(const Plan& plan, const Inputs& in, const Forward& saved, const at::Tensor& dy, bool queries,
                     bool keys, Inputs& grads) {
  const at::Tensor &phi_q = in.phi_q, &phi_k = in.phi_k, &v = in.v_linear;
  const auto type = wide(dy);
  const std::int64_t width = dy.size(3), batch = v.size(0), heads = v.size(1);
  const at::Tensor g = dy.to(type);
  const at::Tensor delta = (g * saved.y.to(type)).sum(-1, true);
  at::Tensor d_sums = at::cat({g, -delta}, -1);  // [dy | -Delta], still without w
  const at::Tensor half = saved.log_z.defined() ? half_weight(saved.log_z).unsqueeze(-1) : at::Tensor();
  // w = 1/Z: for lse it is small and plain; elsewhere its square root goes to either factor, so that neither overflows.
  if (saved.scale.defined()) d_sums = d_sums * saved.scale.unsqueeze(-1);
  if (half.defined()) d_sums = d_sums * half;
  if (queries) grads.phi_q = at::zeros_like(phi_q, at::MemoryFormat::Contiguous);
  const auto shape = std::vector<std::int64_t>{batch, heads, plan.linear_slices + 1, phi_q.size(3), width + 1};
  at::Tensor to_before, to_after;
  if (keys) to_before = at::zeros(shape, g.options());
  for (std::size_t i = 0; i < plan.parts.size(); ++i) {
    const Part& part = plan.parts[i];
    if (!plan.linear(part)) continue;
    const auto rows = [&part](const at::Tensor& x) { return x.narrow(2, part.q_begin, part.q_count); };
    const at::Tensor d_rows = rows(d_sums);
    if (queries) {
      at::Tensor d = at::matmul(d_rows, saved.states.select(2, static_cast<std::int64_t>(i)).transpose(-1, -2));
      if (half.defined()) d = d * rows(half);
      rows(grads.phi_q).copy_(d);
    }
    if (keys) {
      at::Tensor features = rows(phi_q).to(type);
      if (half.defined()) features = features * rows(half);
      const at::Tensor d = at::matmul(features.transpose(-1, -2), d_rows);
      to_before.select(2, part.before) += d;
      if (part.after < plan.linear_slices) {
        if (!to_after.defined()) to_after = at::zeros(shape, g.options());
        to_after.select(2, part.after) += d;
      }
    }
  }
  if (!keys) return;
  const at::Tensor d_states = slice_gradients(plan, to_before, to_after);  // [B,A,slices,F,D+1]
  const auto cut = [&](const at::Tensor& x) {
    return x.reshape({batch, heads, plan.linear_slices, v.size(2) / plan.linear_slices, x.size(3)});
  };
  grads.phi_k =
      matmul_sums(cut(with_ones(v)), d_states.transpose(-1, -2)).reshape(phi_k.sizes()).to(phi_k.scalar_type());
  grads.v_linear = matmul_sums(cut(phi_k), d_states.narrow(-1, 0, width)).reshape(v.sizes()).to(v.scalar_type());
}

struct JobHolder : torch::CustomClassHolder {
  std::shared_ptr<const Job> job;
  explicit JobHolder(std::shared_ptr<const Job> j) : job(std::move(j)) {}
};

/// Inputs: q, k, v of the softmax branch (k, v empty without one), phi_q, phi_k, v of the linear branch.
class HybridFunction : public torch::autograd::Function<HybridFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& phi_q, const at::Tensor& phi_k, const at::Tensor& v_linear,
                            const std::shared_ptr<const Job>& job, const SoftmaxBranch& given) {
    const Forward result = run_forward(*job, {q, k, v, phi_q, phi_k, v_linear}, given);
    ctx->saved_data["job"] = c10::IValue::make_capsule(c10::make_intrusive<JobHolder>(job));
    ctx->save_for_backward(
        {q, k, v, phi_q, phi_k, v_linear, result.y, result.o, result.log_l, result.log_z, result.scale, result.states});
    return result.y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list upstream) {
    const auto saved = ctx->get_saved_variables();
    const auto holder = ctx->saved_data["job"].toCapsule();
    const Job& job = *static_cast<const JobHolder&>(*holder).job;
    const Inputs in{saved[0], saved[1], saved[2], saved[3], saved[4], saved[5]};
    const Forward result{saved[6], saved[7], saved[8], saved[9], saved[10], saved[11]};
    const at::Tensor dy = upstream[0].contiguous();
    Inputs grads;
    if (job.softmax && (ctx->needs_input_grad(0) || ctx->needs_input_grad(1) || ctx->needs_input_grad(2))) {
      softmax_backward(job, in, result, dy, grads);
    } else if (ctx->needs_input_grad(0)) {
      grads.q = at::zeros_like(in.q);
    }
    const bool queries = ctx->needs_input_grad(3), keys = ctx->needs_input_grad(4) || ctx->needs_input_grad(5);
    if (queries || keys) linear_backward(job.plan, in, result, dy, queries, keys, grads);
    return {grads.q, grads.k, grads.v, grads.phi_q, grads.phi_k, grads.v_linear, Variable(), Variable()};
  }
};

/// The rows of x [B,A,N,...] that a branch takes; x itself where it takes all.
at::Tensor rows_of(const at::Tensor& x, const KeyList& keys) {
  return keys.numbers ? x.index_select(2, keys.numbers(x.device())) : x;
}

void check_given(const SoftmaxBranch& given, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  if (!given.o.defined()) return;
  require(!q.requires_grad() && !k.requires_grad() && !v.requires_grad(), [] {
    return "[hybrid_attention] found the softmax branch of q, k, v that want gradients, expected frozen ones";
  });
  require(given.o.sizes() == q.sizes() && given.o.scalar_type() == q.scalar_type(), [&] {
    return cat("[hybrid_attention] given softmax branch: found ", at::toString(given.o.scalar_type()), ' ',
               shape_string(given.o.sizes().vec()), ", expected ", at::toString(q.scalar_type()), ' ',
               shape_string(q.sizes().vec()));
  });
}

}  // namespace

std::int64_t SoftmaxBranch::bytes() const {
  std::int64_t total = 0;
  for (const at::Tensor& part : {o, lse, row_max})
    total += part.defined() ? static_cast<std::int64_t>(part.nbytes()) : 0;
  return total;
}

SoftmaxBranch softmax_branch(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t slices,
                             const AttentionSpec& spec) {
  spec.validate();
  check_attention_inputs(q, k, v, {}, {}, slices, {.kind = AttentionKind::softmax});
  if (!spec.blends()) return {};
  const at::NoGradGuard no_grad;
  const Job job(spec, q, slices);
  return run_softmax(job, q, rows_of(k, job.plan.softmax_keys), rows_of(v, job.plan.softmax_keys));
}

at::Tensor hybrid_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& phi_q,
                            const at::Tensor& phi_k, std::int64_t slices, const AttentionSpec& spec,
                            const SoftmaxBranch& given) {
  check_attention_inputs(q, k, v, phi_q, phi_k, slices, spec);
  const auto job = std::make_shared<const Job>(spec, q, slices);
  const Plan& plan = job->plan;
  if (!job->linear && plan.everything()) return softmax_attention(q, k, v);
  check_given(given, q, k, v);
  const at::Tensor none = at::empty({0}, q.options());
  const auto near = [&](const at::Tensor& x) { return job->softmax ? rows_of(x, plan.softmax_keys) : none; };
  const auto far = [&](const at::Tensor& x) { return job->linear ? rows_of(x, plan.linear_keys) : none; };
  return HybridFunction::apply(q, near(k), near(v), job->linear ? phi_q : none, far(phi_k), far(v), job, given);
}

}  // namespace rehyat::ops
