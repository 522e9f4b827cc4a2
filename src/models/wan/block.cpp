#include "models/wan/block.h"

#include "ops/row_ops.h"

namespace rehyat::models {

BlockImpl::BlockImpl(const WanConfig& config, std::int64_t index) : index_(index), eps_(config.eps) {
  table_ = register_parameter("scale_shift_table", at::zeros({1, 6, config.dim}));
  attn1_ = register_module("attn1", SelfAttention(config.dim, config.heads, config.eps));
  attn2_ = register_module("attn2", CrossAttention(config.dim, config.heads, config.eps));
  ModuleGroup norm2;
  norm2_weight_ = norm2->register_parameter("weight", at::ones({config.dim}));
  norm2_bias_ = norm2->register_parameter("bias", at::zeros({config.dim}));
  register_module("norm2", norm2);
  // The published names: ffn.net.0.proj and ffn.net.2.
  ModuleGroup ffn, net, first;
  ffn_in_ = first->register_module("proj", Dense(config.dim, config.ffn_dim));
  net->register_module("0", first);
  ffn_out_ = net->register_module("2", Dense(config.ffn_dim, config.dim));
  ffn->register_module("net", net);
  register_module("ffn", ffn);
}

at::Tensor BlockImpl::forward(const at::Tensor& x, const at::Tensor& text, const at::Tensor& modulation,
                              const ops::RopeTables& rope, std::int64_t slices, const ForwardOptions& options) {
  const auto parts = (table_.to(x.scalar_type()) + modulation)
                         .chunk(6, 1);  // shift, scale, gate of attention; then of the feed-forward
  const Modulation of_attention{parts[0], parts[1], parts[2]}, of_ffn{parts[3], parts[4], parts[5]};
  // Each part in a function of its own, so that what only it needs is freed before the next.
  const at::Tensor h = cross_attend(self_attend(x, of_attention, rope, slices, options), text, options);
  return feed_forward(h, of_ffn, options);
}

at::Tensor BlockImpl::self_attend(const at::Tensor& x, const Modulation& m, const ops::RopeTables& rope,
                                  std::int64_t slices, const ForwardOptions& options) {
  const at::Tensor input = ops::modulated_layer_norm(x, m.scale, m.shift, eps_, options.compute);
  return ops::gated_sum(x, attn1_->forward(input, rope, slices, options.of_block(index_)), m.gate);
}

at::Tensor BlockImpl::cross_attend(const at::Tensor& x, const at::Tensor& text, const ForwardOptions& options) {
  const auto type = x.scalar_type();
  const at::Tensor query =
      at::layer_norm(x, {x.size(-1)}, norm2_weight_.to(type), norm2_bias_.to(type), eps_).to(options.compute);
  return x + attn2_->forward(query, text_keys(text, options)).to(type);
}

TextKeys BlockImpl::text_keys(const at::Tensor& text, const ForwardOptions& options) const {
  const auto make = [&] { return attn2_->text_keys(text); };
  return options.text == nullptr ? make() : options.text->keys(index_, make);
}

at::Tensor BlockImpl::feed_forward(const at::Tensor& x, const Modulation& m, const ForwardOptions& options) {
  at::Tensor inner = ffn_in_->forward(ops::modulated_layer_norm(x, m.scale, m.shift, eps_, options.compute));
  // The widest tensor of the model: a second one only where gradients need both.
  if (at::GradMode::is_enabled())
    inner = at::gelu(inner, "tanh");
  else
    at::gelu_(inner, "tanh");
  return ops::gated_sum(x, ffn_out_->forward(inner), m.gate);
}

}  // namespace rehyat::models
