#include "models/attention/self_attention.h"

#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "ops/softmax_rectangle.h"

namespace rehyat::models {
namespace {

at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {
  return x.unflatten(-1, {heads, -1}).transpose(1, 2);
}

}  // namespace

at::Tensor merge_heads(const at::Tensor& y) {
  return y.transpose(1, 2).flatten(2);
}

at::Tensor softmax_attention(const Heads& heads) {
  return merge_heads(ops::softmax_attention(heads.q, heads.k, heads.v));
}

void BlockAttention::fields(config::Fields& f, const ops::AttentionKinds& kinds) {
  spec.fields(f, kinds);
  f.section("phi", phi, "feature map of the linear branch").only("with a kind that has a linear branch", [this] {
    return spec.kind->has_linear();
  });
}

void BlockAttention::validate() const {
  spec.validate();
  if (!spec.kind->has_linear()) return;
  phi.validate();
  require(!spec.blends() || spec.normalizer != ops::Normalizer::joint || phi.never_negative(), [] {
    return "[attention] phi.nonnegative: found none with the normalizer joint, expected softplus, relu or exp, since a "
           "joint softmax has no negative masses; use one of them, or the normalizer row_max or lse";
  });
}

ops::FeatureSign BlockAttention::feature_sign() const {
  return phi.never_negative() ? ops::FeatureSign::never_negative : ops::FeatureSign::any;
}

bool BlockAttention::supports(AttentionForm form) const {
  return form != AttentionForm::recurrent || !spec.converted() || spec.recurrent();
}

ProjectedAttention::ProjectedAttention(std::int64_t dim, std::int64_t heads, double eps) : heads_(heads), eps_(eps) {
  to_q_ = register_module("to_q", Dense(dim, dim));
  to_k_ = register_module("to_k", Dense(dim, dim));
  to_v_ = register_module("to_v", Dense(dim, dim));
  // The output projection is called to_out.0 in the published files.
  ModuleGroup out;
  to_out_ = out->register_module("0", Dense(dim, dim));
  register_module("to_out", out);
  norm_q_ = register_module("norm_q", RmsNorm(dim, eps));
  norm_k_ = register_module("norm_k", RmsNorm(dim, eps));
}

at::Tensor ProjectedAttention::queries(const at::Tensor& x) const {
  return norm_q_->forward(to_q_->forward(x), heads_);
}
at::Tensor ProjectedAttention::keys(const at::Tensor& context) const {
  return norm_k_->forward(to_k_->forward(context), heads_);
}
at::Tensor ProjectedAttention::values(const at::Tensor& context) const {
  return split_heads(to_v_->forward(context), heads_);
}

SelfAttentionImpl::SelfAttentionImpl(std::int64_t dim, std::int64_t heads, double eps)
    : ProjectedAttention(dim, heads, eps), dim_(dim) {}

at::Tensor SelfAttentionImpl::forward(const at::Tensor& x, const ops::RopeTables& rope, std::int64_t slices,
                                      const AttentionPass& pass) {
  at::Tensor attended;
  {
    const Heads h = heads(x, rope);  // freed before the projection
    attended = pass.state != nullptr ? attend_chunk(h, *pass.state, pass.update_state)
                                     : attend(h, slices, pass.form, {}, pass.memory);
  }
  if (tap_) tap_(x, attended);
  return to_out_->forward(attended);
}

AttentionTap SelfAttentionImpl::set_tap(AttentionTap tap) {
  std::swap(tap_, tap);
  return tap;
}

Heads SelfAttentionImpl::heads(const at::Tensor& x, const ops::RopeTables& rope) const {
  const auto type = x.scalar_type();
  const std::vector<at::Tensor> products =
      ops::linear_each(x, {to_q_->weights(type), to_k_->weights(type), to_v_->weights(type)});
  const at::Tensor v = split_heads(products[2], heads_);
  if (attention_.phi.rope_first) {
    const at::Tensor q = norm_q_->forward(products[0], heads_, &rope), k = norm_k_->forward(products[1], heads_, &rope);
    return {q, k, v, q, k};
  }
  const at::Tensor q = norm_q_->forward(products[0], heads_), k = norm_k_->forward(products[1], heads_);
  return {ops::apply_rope(q, rope), ops::apply_rope(k, rope), v, q, k};
}

at::Tensor SelfAttentionImpl::attend(const Heads& h, std::int64_t slices, AttentionForm form,
                                     const ops::SoftmaxBranch& given, ops::AttentionMemory* memory) {
  const ops::AttentionSpec& spec = attention_.spec;
  require(attention_.supports(form), [&] {
    return cat("[self_attention] form recurrent: found ", to_string(spec), ", which has no such form, expected ",
               ops::recurrent_kinds(), " attention; use the form parallel");
  });
  // q and k that go to the attention and to the maps alike get one gradient of both.
  ops::JoinedInput q{h.q, nullptr}, k{h.k, nullptr};
  if (form == AttentionForm::parallel && spec.blends() && h.phi_q_input.is_same(h.q) && h.phi_k_input.is_same(h.k)) {
    q = ops::joined_input(h.q);
    k = ops::joined_input(h.k);
  }
  at::Tensor features_q, features_k;
  if (spec.kind->has_linear()) {
    features_q = phi_q_->forward(q.pieces ? q.x : h.phi_q_input);
    features_k = phi_k_->forward(k.pieces ? k.x : h.phi_k_input);
  }
  if (form == AttentionForm::reference)
    return merge_heads(ops::hybrid_attention_reference(h.q, h.k, h.v, features_q, features_k, slices, spec));
  const ops::FeatureSign sign = attention_.feature_sign();
  if (form == AttentionForm::recurrent && spec.converted())
    return merge_heads(ops::hybrid_attention_recurrent(h.q, h.k, h.v, features_q, features_k, slices, spec, sign));
  return merge_heads(ops::hybrid_attention(q.x, k.x, h.v, features_q, features_k, slices, spec, given, sign, memory,
                                           {q.pieces, k.pieces}));
}

at::Tensor SelfAttentionImpl::attend_chunk(const Heads& h, ops::RecurrentState& state, bool update) {
  ops::KeyFeatures keys{[this](const at::Tensor& x) { return phi_k_->forward(x); }, {}};
  if (!attention_.phi.rope_first) keys.input = h.phi_k_input;  // the ring's keys have their RoPE already
  return merge_heads(state.step(h.q, h.k, h.v, phi_q_->forward(h.phi_q_input), keys, update));
}

void SelfAttentionImpl::install(const BlockAttention& attention) {
  attention.validate();
  attention_ = attention;
  if (phi_q_) {
    unregister_module("phi_q");
    unregister_module("phi_k");
    phi_q_ = phi_k_ = nullptr;
  }
  if (!attention.spec.kind->has_linear()) return;
  phi_q_ = register_module("phi_q", ops::FeatureMap(heads_, head_width(), attention.phi));
  phi_k_ = register_module("phi_k", ops::FeatureMap(heads_, head_width(), attention.phi));
  phi_q_->to(to_q_->weight.device());
  phi_k_->to(to_q_->weight.device());
}

void SelfAttentionImpl::initialize(std::uint64_t seed, std::int64_t block, std::int64_t window_tokens) {
  if (!phi_q_) return;
  const double target = ops::start_product(attention_.spec.normalizer, window_tokens);
  const auto draw = [&](ops::FeatureMap& map, std::uint64_t which) {
    Rng rng(seed, "phi.init", {static_cast<std::uint64_t>(block), which});
    const auto device = to_q_->weight.device();
    map->to(at::kCPU);  // the same numbers on every device
    map->initialize(rng, target);
    map->to(device);
  };
  draw(phi_q_, 0);
  draw(phi_k_, 1);
}

void SelfAttentionImpl::convert(const BlockAttention& attention, std::uint64_t seed, std::int64_t block,
                                std::int64_t window_tokens) {
  install(attention);
  initialize(seed, block, window_tokens);
}

void SelfAttentionImpl::set_spec(const ops::AttentionSpec& spec) {
  BlockAttention{spec, attention_.phi}.validate();
  require(spec.kind->has_linear() && attention_.spec.kind->has_linear(), [&] {
    return cat("[set_spec] found ", to_string(spec.kind->has_linear() ? attention_.spec : spec),
               " attention, expected a kind with feature maps on both sides; use convert");
  });
  attention_.spec = spec;
}

CrossAttentionImpl::CrossAttentionImpl(std::int64_t dim, std::int64_t heads, double eps)
    : ProjectedAttention(dim, heads, eps) {}

TextKeys CrossAttentionImpl::text_keys(const at::Tensor& text) const {
  return {keys(text), values(text)};
}

at::Tensor CrossAttentionImpl::forward(const at::Tensor& x, const TextKeys& text) {
  return to_out_->forward(merge_heads(ops::softmax_attention(queries(x), text.k, text.v)));
}

SelfAttention softmax_copy(const SelfAttention& attention) {
  const at::NoGradGuard no_grad;
  SelfAttention copy(attention->head_count() * attention->head_width(), attention->head_count(), attention->eps());
  const auto given = attention->named_parameters();
  for (auto& item : copy->named_parameters()) item.value().set_data(given[item.key()].detach().clone());
  return copy;
}

}  // namespace rehyat::models
