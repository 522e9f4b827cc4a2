#include "models/wan/block.h"

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
  ops::NormedStream s = ops::norm_stream(x, norm_of(of_attention, options));
  s = ops::add_and_norm(s.stream, attn1_->forward(s.normed, rope, slices, options.of_block(index_)), of_attention.gate,
                        norm2(options, x.scalar_type()));
  s = ops::add_and_norm(s.stream, attn2_->forward(s.normed, text_keys(text, options)), {}, norm_of(of_ffn, options));
  return ops::gated_sum(s.stream, feed_forward(s.normed), of_ffn.gate);
}

ops::RowNorm BlockImpl::norm_of(const Modulation& m, const ForwardOptions& options) const {
  return {.scale = m.scale, .shift = m.shift, .modulated = true, .eps = eps_, .type = options.compute};
}

ops::RowNorm BlockImpl::norm2(const ForwardOptions& options, at::ScalarType stream) const {
  return {.scale = norm2_weight_.to(stream),
          .shift = norm2_bias_.to(stream),
          .modulated = false,
          .eps = eps_,
          .type = options.compute};
}

TextKeys BlockImpl::text_keys(const at::Tensor& text, const ForwardOptions& options) const {
  const auto make = [&] { return attn2_->text_keys(text); };
  return options.text == nullptr ? make() : options.text->keys(index_, make);
}

at::Tensor BlockImpl::feed_forward(const at::Tensor& x) {
  return ops::feed_forward(x, ffn_in_->weights(x.scalar_type()), ffn_out_->weights(x.scalar_type()));
}

}  // namespace rehyat::models
