#pragma once

#include "models/attention/self_attention.h"
#include "models/wan/config.h"

namespace rehyat::models {

/// Called with a block's number, the input of its self-attention [B,N,dim] and the output before projection [B,N,dim].
using AttentionTap = std::function<void(std::int64_t block, const at::Tensor& input, const at::Tensor& output)>;

/// How a forward pass runs.
struct ForwardOptions {
  AttentionForm form = AttentionForm::parallel;
  at::ScalarType compute = at::kFloat;  ///< type of the matrix products; the residual stream stays float32
  AttentionTap tap;
  std::int64_t first_slice = 0;                        ///< where a chunk of a longer video begins
  std::vector<ops::RecurrentState>* states = nullptr;  ///< one a block: run the input as the next chunk
  bool update_states = true;
};

/// One transformer block: modulated self-attention, cross-attention, modulated feed-forward.
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(const WanConfig& config, std::int64_t index);
  /// x [B,N,dim] float32, text [B,L,dim] in the compute type, modulation [B,6,dim] float32 -> x.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& text, const at::Tensor& modulation,
                     const ops::RopeTables& rope, std::int64_t slices, const ForwardOptions& options);
  SelfAttention self_attention() const { return attn1_; }

 private:
  /// The rows of one part's modulation, each [B,1,dim].
  struct Modulation {
    at::Tensor shift, scale, gate;
  };
  at::Tensor self_attend(const at::Tensor& x, const Modulation& m, const ops::RopeTables& rope, std::int64_t slices,
                         const ForwardOptions& options);
  at::Tensor cross_attend(const at::Tensor& x, const at::Tensor& text, const ForwardOptions& options);
  at::Tensor feed_forward(const at::Tensor& x, const Modulation& m, const ForwardOptions& options);

  std::int64_t index_;
  double eps_;
  SelfAttention attn1_{nullptr};
  CrossAttention attn2_{nullptr};
  Dense ffn_in_{nullptr}, ffn_out_{nullptr};
  at::Tensor norm2_weight_, norm2_bias_, table_;
};
TORCH_MODULE(Block);

}  // namespace rehyat::models
