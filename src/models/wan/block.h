#pragma once

#include "models/attention/self_attention.h"
#include "models/video_transformer.h"
#include "models/wan/config.h"
#include "ops/row_ops.h"

namespace rehyat::models {

/// One transformer block: modulated self-attention, cross-attention, modulated feed-forward.
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(const WanConfig& config, std::int64_t index);
  /// x [B,N,dim] float32, text [B,L,dim] in the compute type, modulation [B,6,dim] float32 -> x. With
  /// ForwardOptions::text the text's keys and values are made once.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& text, const at::Tensor& modulation,
                     const ops::RopeTables& rope, std::int64_t slices, const ForwardOptions& options);
  SelfAttention self_attention() const { return attn1_; }

 private:
  /// The rows of one part's modulation, each [B,1,dim].
  struct Modulation {
    at::Tensor shift, scale, gate;
  };
  ops::RowNorm norm_of(const Modulation& m, const ForwardOptions& options) const;
  /// Cross-attention's, with weights, for a stream of this type.
  ops::RowNorm norm2(const ForwardOptions& options, at::ScalarType stream) const;
  TextKeys text_keys(const at::Tensor& text, const ForwardOptions& options) const;
  at::Tensor feed_forward(const at::Tensor& x);

  std::int64_t index_;
  double eps_;
  SelfAttention attn1_{nullptr};
  CrossAttention attn2_{nullptr};
  Dense ffn_in_{nullptr}, ffn_out_{nullptr};
  at::Tensor norm2_weight_, norm2_bias_, table_;
};
TORCH_MODULE(Block);

}  // namespace rehyat::models
