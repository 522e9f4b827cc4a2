#include "ops/hybrid_attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "ops/attention/plan.h"
#include "ops/attention_checks.h"
#include "ops/blend.h"
#include "ops/cuda/fused_branch.h"
#include "ops/cuda/fused_linear.h"
#include "ops/cuda/readable.h"
#include "ops/linear_branch.h"
#include "ops/linear_state.h"
#include "ops/row_max.h"
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
  FeatureSign sign;
  bool running = false;  ///< what a part sees is what the part before saw and more, and is summed up so
  Job(const AttentionSpec& spec, const at::Tensor& q, std::int64_t slices, FeatureSign features = FeatureSign::any)
      : plan(spec.kind->plan(spec, {slices, q.size(2) / slices})),
        softmax(spec.kind->has_softmax()),
        linear(spec.kind->has_linear()),
        sign(features) {
    if (spec.blends()) normalizer = spec.normalizer;
  }
};

at::ScalarType wide(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

SoftmaxBranch run_softmax(const Job& job, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const auto rows = q.sizes().slice(0, 3);
  // As q lies: a view of [B,N,A,D] gives one, whose heads are merged without a copy.
  SoftmaxBranch out{at::empty_like(q), at::empty(rows, q.options().dtype(wide(q))), {}};
  const std::vector<RectangleBatch> batches = rectangle_batches(job.plan);
  if (job.normalizer == Normalizer::row_max) out.row_max = row_maxima(q, k, batches);
  for (const RectangleBatch& view : batches) {
    for (std::int64_t b = 0; b < q.size(0); ++b) {
      const RectangleOutput result = softmax_rectangle(view.queries(q[b]), view.keys(k[b]), view.keys(v[b]));
      view.queries(out.o[b]).copy_(result.o);
      view.query_values(out.lse[b]).copy_(result.lse);
    }
  }
  return out;
}

/// What the branches take: k and v of the softmax keys, phi_k and v_linear of the linear ones; empty where there is no
/// such branch. Or the gradients of these.
struct Inputs {
  at::Tensor q, k, v, phi_q, phi_k, v_linear;
};

/// Results that are not computed yet, and the states.
AttentionMemory begun_forward(const Job& job, const Inputs& in) {
  AttentionMemory out;
  out.y = at::empty_like(in.q);
  out.log_l = at::empty(in.q.sizes().slice(0, 3), in.q.options().dtype(wide(in.q)));
  const bool by_max = job.softmax && job.normalizer == Normalizer::row_max;
  // joint: Z has no factor taken out, so that the branches share one logarithm. row_max: Z of features that are never
  // negative is positive.
  const bool shared = job.softmax && job.normalizer == Normalizer::joint;
  if (shared) out.log_z = out.log_l;
  if (!shared && !(by_max && job.sign == FeatureSign::never_negative)) out.scale = at::ones_like(out.log_l);
  if (!job.softmax || by_max) out.log_z = at::zeros_like(out.log_l);
  if (job.linear) out.states = (job.running ? running_states : part_states)(job.plan, in.phi_k, in.v_linear);
  return out;
}

/// Each rectangle's softmax, and behind it one kernel with the linear branch and the blend.
AttentionMemory run_fused_forward(const Job& job, const Inputs& in, const SoftmaxBranch& given) {
  const Plan& plan = job.plan;
  const at::Tensor& q = in.q;
  AttentionMemory out = begun_forward(job, in);
  const bool keeps_o = job.softmax && job.normalizer == Normalizer::lse, computes = job.softmax && !given.o.defined();
  if (keeps_o) out.o = computes ? at::empty_like(q) : given.o;
  const std::vector<RectangleBatch> batches = rectangle_batches(plan);
  at::Tensor row_max = given.row_max;
  if (computes && job.normalizer == Normalizer::row_max) row_max = row_maxima(q, in.k, batches);
  const std::optional<Normalizer> normalizer = job.softmax ? std::optional(job.normalizer) : std::nullopt;
  const at::Tensor phi = readable(in.phi_q);
  BadRows bad(out.log_l, normalizer);
  std::int64_t part = 0;
  for (const RectangleBatch& view : batches) {
    const auto values = [&](const at::Tensor& x, std::int64_t b) { return x.defined() ? view.query_values(x[b]) : x; };
    for (std::int64_t b = 0; b < q.size(0); ++b) {
      RectangleOutput softmax;
      if (computes) softmax = softmax_rectangle(view.queries(q[b]), view.keys(in.k[b]), view.keys(in.v[b]));
      if (job.softmax && !computes) softmax = {view.queries(given.o[b]), view.query_values(given.lse[b])};
      if (keeps_o && computes) view.queries(out.o[b]).copy_(softmax.o);
      const BlendTargets targets{view.queries(out.y[b]), values(out.log_l, b), values(out.log_z, b),
                                 values(out.scale, b)};
      if (!sees_linear_keys(plan, part, view.count)) {
        targets.y.copy_(softmax.o);
        targets.log_l.copy_(softmax.lse);
        continue;
      }
      const at::Tensor o = softmax.o.defined() ? readable(softmax.o) : softmax.o;
      fused_query_side(
          {view.queries(phi[b]), o, softmax.lse, values(row_max, b), out.states[b].narrow(1, part, view.count)},
          normalizer, targets, bad.counter());
    }
    part += view.count;
  }
  if (job.sign == FeatureSign::any || !job.softmax) bad.check();
  return out;
}

AttentionMemory run_forward(const Job& job, const Inputs& in, const SoftmaxBranch& given) {
  if (job.linear && has_fused_branch(in.phi_q, in.v_linear)) return run_fused_forward(job, in, given);
  const Plan& plan = job.plan;
  const at::Tensor& q = in.q;
  const std::int64_t width = q.size(3);
  AttentionMemory out = begun_forward(job, in);
  SoftmaxBranch softmax;
  if (job.softmax) softmax = given.o.defined() ? given : run_softmax(job, q, in.k, in.v);
  if (job.softmax && job.normalizer == Normalizer::lse) out.o = softmax.o;
  BadRows bad(out.log_l, job.normalizer);
  for (const PartSpan& span : part_spans(plan)) {
    const auto rows = [&span](const at::Tensor& x) { return x.narrow(2, span.q_begin, span.count * span.q_count); };
    if (!span.linear) {
      rows(out.y).copy_(rows(softmax.o));
      rows(out.log_l).copy_(rows(softmax.lse));
      continue;
    }
    // A part that sees no linear key has the state 0, and its y is o exactly.
    const at::Tensor sums =
        matmul_sums(span.rows(in.phi_q), out.states.narrow(2, span.first, span.count)).flatten(2, 3);
    if (!job.softmax) {
      const at::Tensor n = sums.select(-1, width);
      rows(out.y).copy_(linear_only(sums, width));
      rows(out.log_z).copy_(n.abs().log());
      rows(out.scale).copy_(n.sign());
      continue;
    }
    const auto rows_if = [&rows](const at::Tensor& x) { return x.defined() ? rows(x) : x; };
    const BlendTargets targets{rows(out.y), rows(out.log_l), rows_if(out.log_z), rows_if(out.scale)};
    blend_into(targets, rows(softmax.o), rows(softmax.lse), sums, rows_if(softmax.row_max), job.normalizer, bad);
  }
  if (job.sign == FeatureSign::any) bad.check();
  return out;
}

/// What the rectangles say of each key, added up; `more` [B,A,K,D] too where it is defined.
class KeyGradients {
 public:
  /// `kernel`: the kernel adds them up at the end; otherwise each is added as it comes, in float32.
  KeyGradients(const at::Tensor& like, bool kernel) : like_(like), kernel_(kernel) {
    if (!kernel) sum_ = at::zeros(like.sizes(), like.options().dtype(wide(like)));
    parts_.resize(static_cast<std::size_t>(like.size(0)));
  }

  void add(std::int64_t sample, const RectangleBatch& where, const at::Tensor& gradient) {
    if (kernel_) {
      parts_[static_cast<std::size_t>(sample)].push_back({where, gradient});
      return;
    }
    for (std::int64_t i = 0; i < where.count; ++i)
      sum_[sample].narrow(1, where.k_begin + i * where.k_stride, where.k_rows) += gradient[i];
  }

  at::Tensor total(const at::Tensor& more) {
    if (!kernel_) return (more.defined() ? sum_ + more : sum_).to(like_.scalar_type());
    at::Tensor total = at::empty_like(like_);
    for (std::int64_t b = 0; b < total.size(0); ++b)
      fused_fold(total[b], parts_[static_cast<std::size_t>(b)], more.defined() ? more[b] : at::Tensor());
    return total;
  }

  /// What is to be added up, by another.
  std::vector<std::vector<RectangleGradients>> take() { return std::move(parts_); }

 private:
  at::Tensor like_, sum_;
  bool kernel_;
  std::vector<std::vector<RectangleGradients>> parts_;
};

/// The softmax branch: one call of the library's backward with the hybrid's own output and log-denominator. `more` is
/// what else is known of v's gradient.
void softmax_backward(const Job& job, const Inputs& in, const AttentionMemory& saved, const at::Tensor& dy,
                      const at::Tensor& more, const JoinedPieces& joined, Inputs& grads) {
  const at::Tensor &q = in.q, &k = in.k, &v = in.v;
  const bool by_lse = job.normalizer == Normalizer::lse;
  const at::Tensor& out = by_lse ? saved.o : saved.y;
  at::Tensor g = dy;
  // lse: w dy; row_max: sign(Z) dy.
  if (saved.scale.defined()) {
    g = at::empty_like(dy);
    at::mul_out(g, dy, saved.scale.unsqueeze(-1));
  }
  const std::vector<RectangleBatch> batches = rectangle_batches(job.plan);
  const bool kernel = has_fused_linear(q) && batches.size() <= most_folded_batches();
  const bool leaves_q = kernel && joined.q != nullptr;
  const bool leaves_k = kernel && joined.k != nullptr && k.size(2) == q.size(2);
  if (!leaves_q) grads.q = at::empty_like(q);
  KeyGradients queries(q, true), keys(k, kernel), values(v, kernel);
  for (const RectangleBatch& view : batches) {
    for (std::int64_t b = 0; b < q.size(0); ++b) {
      const auto [dq, dk, dv] =
          softmax_rectangle_backward(view.queries(g[b]), view.queries(q[b]), view.keys(k[b]), view.keys(v[b]),
                                     view.queries(out[b]), view.query_values(saved.log_l[b]));
      if (leaves_q) queries.add(b, {0, 0, 0, view.q_begin, view.q_rows, view.q_stride, view.count}, dq);
      if (!leaves_q) view.queries(grads.q[b]).copy_(dq);
      keys.add(b, view, dk);
      values.add(b, view, dv);
    }
  }
  if (leaves_q) joined.q->samples = queries.take();
  if (leaves_k) joined.k->samples = keys.take();
  if (!leaves_k) grads.k = keys.total({});
  grads.v = values.total(more);
}

/// What an earlier pass left, else what this one computes, left for the next.
AttentionMemory run_or_recall(const Job& job, const Inputs& in, const SoftmaxBranch& given, AttentionMemory* memory) {
  if (memory != nullptr && !memory->empty()) return std::exchange(*memory, {});
  AttentionMemory out = run_forward(job, in, given);
  if (memory != nullptr) *memory = out.detached();
  return out;
}

/// Whether two tensors are the same numbers in the same places, not only parts of one.
bool same_rows(const at::Tensor& a, const at::Tensor& b) {
  return a.is_alias_of(b) && a.storage_offset() == b.storage_offset() && a.sizes() == b.sizes() &&
         a.strides() == b.strides();
}

struct JobHolder : torch::CustomClassHolder {
  std::shared_ptr<const Job> job;
  JoinedPieces joined;
  JobHolder(std::shared_ptr<const Job> j, JoinedPieces pieces) : job(std::move(j)), joined(std::move(pieces)) {}
};

/// Inputs: q, k, v of the softmax branch (k, v empty without one), phi_q, phi_k, v of the linear branch.
class HybridFunction : public torch::autograd::Function<HybridFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& phi_q, const at::Tensor& phi_k, const at::Tensor& v_linear,
                            const std::shared_ptr<const Job>& job, const SoftmaxBranch& given, AttentionMemory* memory,
                            const JoinedPieces& joined) {
    const AttentionMemory result = run_or_recall(*job, {q, k, v, phi_q, phi_k, v_linear}, given, memory);
    ctx->saved_data["job"] = c10::IValue::make_capsule(c10::make_intrusive<JobHolder>(job, joined));
    ctx->save_for_backward(
        {q, k, v, phi_q, phi_k, v_linear, result.y, result.o, result.log_l, result.log_z, result.scale, result.states});
    return result.y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list upstream) {
    const auto saved = ctx->get_saved_variables();
    const auto holder = ctx->saved_data["job"].toCapsule();
    const auto& held = static_cast<const JobHolder&>(*holder);
    const Job& job = *held.job;
    const Inputs in{saved[0], saved[1], saved[2], saved[3], saved[4], saved[5]};
    const AttentionMemory result{saved[6], saved[7], saved[8], saved[9], saved[10], saved[11]};
    const at::Tensor& dy = upstream[0];
    Inputs grads;
    const LinearWants wants{ctx->needs_input_grad(3), ctx->needs_input_grad(4), ctx->needs_input_grad(5)};
    if (wants.phi_q || wants.phi_k || wants.v) {
      LinearGradients linear = linear_backward(job.plan, result.states, {dy, result.y, result.log_z, result.scale},
                                               in.phi_q, in.phi_k, in.v_linear, wants);
      grads.phi_q = std::move(linear.phi_q);
      grads.phi_k = std::move(linear.phi_k);
      grads.v_linear = std::move(linear.v);
    }
    if (job.softmax && (ctx->needs_input_grad(0) || ctx->needs_input_grad(1) || ctx->needs_input_grad(2))) {
      // Where the branches have the same values, their gradients become one in the sum over the rectangles.
      const bool one_v = grads.v_linear.defined() && ctx->needs_input_grad(2) && same_rows(in.v, in.v_linear);
      softmax_backward(job, in, result, dy, one_v ? grads.v_linear : at::Tensor(), held.joined, grads);
      if (one_v) grads.v_linear = at::Tensor();
    } else if (ctx->needs_input_grad(0)) {
      grads.q = at::zeros_like(in.q);
    }
    return {grads.q,        grads.k,    grads.v,    grads.phi_q, grads.phi_k,
            grads.v_linear, Variable(), Variable(), Variable(),  Variable()};
  }
};

/// The rows of x [B,A,N,...] that a branch takes; x itself where it takes all.
at::Tensor rows_of(const at::Tensor& x, const KeyList& keys) {
  if (keys.rows) return keys.rows(x);
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

at::Tensor hybrid_attention_recurrent(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                      const at::Tensor& phi_q, const at::Tensor& phi_k, std::int64_t slices,
                                      const AttentionSpec& spec, FeatureSign sign) {
  const at::NoGradGuard no_grad;
  check_attention_inputs(q, k, v, phi_q, phi_k, slices, spec);
  require_recurrence(spec);
  Job job(spec, q, slices, sign);
  job.running = true;
  return run_forward(job, {q, k, v, phi_q, phi_k, v}, {}).y;
}

at::Tensor hybrid_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& phi_q,
                            const at::Tensor& phi_k, std::int64_t slices, const AttentionSpec& spec,
                            const SoftmaxBranch& given, FeatureSign sign, AttentionMemory* memory,
                            const JoinedPieces& joined) {
  check_attention_inputs(q, k, v, phi_q, phi_k, slices, spec);
  const auto job = std::make_shared<const Job>(spec, q, slices, sign);
  const Plan& plan = job->plan;
  if (!job->linear && plan.everything())
    return memory != nullptr ? remembered_softmax_attention(q, k, v, *memory) : softmax_attention(q, k, v);
  check_given(given, q, k, v);
  const at::Tensor none = at::empty({0}, q.options());
  const auto near = [&](const at::Tensor& x) { return job->softmax ? rows_of(x, plan.softmax_keys) : none; };
  const auto far = [&](const at::Tensor& x) { return job->linear ? rows_of(x, plan.linear_keys) : none; };
  return HybridFunction::apply(q, near(k), near(v), job->linear ? phi_q : none, far(phi_k), far(v), job, given, memory,
                               joined);
}

}  // namespace rehyat::ops
