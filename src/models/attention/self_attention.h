#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <functional>

#include "models/dense.h"
#include "ops/feature_map.h"
#include "ops/hybrid_attention.h"
#include "ops/rope.h"

namespace rehyat::models {

/// Which form of the same function is computed; softmax attention has one form and runs as it is under each of them.
enum class AttentionForm { parallel, reference, recurrent };

/// A block's attention as data: which kind, with which feature map.
struct BlockAttention {
  ops::AttentionSpec spec{.kind = ops::AttentionKind::softmax};
  ops::FeatureMapConfig phi;

  ops::FeatureSign feature_sign() const;
  /// False for a block that was converted to an attention without a recurrent form, such as non-causal rehyat.
  bool supports(AttentionForm form) const;
  /// Refuses a normalizer that the feature map's sign does not go with.
  void validate() const;
  /// `kinds`: those that may be named.
  void fields(config::Fields& f, const ops::AttentionKinds& kinds = ops::built_in_kinds());
  bool operator==(const BlockAttention&) const = default;
};

/// q, k, v [B,A,N,D] after RMSNorm and RoPE, and what the feature maps see (the same, or before RoPE for the ablation).
struct Heads {
  at::Tensor q, k, v, phi_q_input, phi_k_input;
};

/// [B,A,N,D] -> [B,N,dim]: what the heads attend to, side by side.
at::Tensor merge_heads(const at::Tensor& y);
/// The teacher's attention of these heads, by the kernels that a forward pass takes: [B,N,dim], before the output
/// projection. Differentiable.
at::Tensor softmax_attention(const Heads& heads);

/// What self-attention and cross-attention share: projections and the RMSNorm over all heads of q and k.
class ProjectedAttention : public torch::nn::Module {
 protected:
  ProjectedAttention(std::int64_t dim, std::int64_t heads, double eps);
  /// Queries of `x` [B,N,dim] -> [B,A,N,D], normalised; keys and values of `context` [B,L,dim] -> [B,A,L,D].
  at::Tensor queries(const at::Tensor& x) const;
  at::Tensor keys(const at::Tensor& context) const;
  at::Tensor values(const at::Tensor& context) const;

  std::int64_t heads_;
  double eps_;
  Dense to_q_{nullptr}, to_k_{nullptr}, to_v_{nullptr}, to_out_{nullptr};
  RmsNorm norm_q_{nullptr}, norm_k_{nullptr};
};

/// Parameters of such an attention, of so wide a stream.
constexpr std::int64_t attention_parameters(std::int64_t dim) {
  return 4 * (dim * dim + dim) + 2 * dim;
}

/// How a forward pass runs a self-attention.
struct AttentionPass {
  AttentionForm form = AttentionForm::parallel;
  ops::RecurrentState* state = nullptr;  ///< of the chunks before: the input is the next chunk of a video
  bool update_state = true;
  ops::AttentionMemory* memory = nullptr;  ///< of an earlier pass over the same input, or for a later one
};

/// Is shown the input of a self-attention [B,N,dim] and its output before the projection [B,N,dim].
using AttentionTap = std::function<void(const at::Tensor& input, const at::Tensor& output)>;

/// The self-attention of a block: projections, RMSNorm over all heads, RoPE, and exactly one attention.
/// Shapes: B batch, N tokens, A heads, D head width, dim = A*D.
class SelfAttentionImpl : public ProjectedAttention {
 public:
  SelfAttentionImpl(std::int64_t dim, std::int64_t heads, double eps);

  /// x [B,N,dim] (normalised and modulated) -> [B,N,dim], projected.
  at::Tensor forward(const at::Tensor& x, const ops::RopeTables& rope, std::int64_t slices, const AttentionPass& pass);

  /// The steps of `forward`. x [B,N,dim] -> q, k, v.
  Heads heads(const at::Tensor& x, const ops::RopeTables& rope) const;
  /// -> [B,N,dim], before the output projection. Throws UserError where the attention does not support the form.
  /// `given`: the softmax branch of these heads, for the parallel form of frozen heads (ops::softmax_branch).
  /// `memory`: of an earlier pass over the same heads, or for a later one, for the parallel form.
  at::Tensor attend(const Heads& heads, std::int64_t slices, AttentionForm form, const ops::SoftmaxBranch& given = {},
                    ops::AttentionMemory* memory = nullptr);
  /// The same for one chunk with the state of the chunks before.
  at::Tensor attend_chunk(const Heads& heads, ops::RecurrentState& state, bool update);

  /// Makes this the given attention; its feature maps are not drawn yet.
  void install(const BlockAttention& attention);
  /// Draws the feature maps from (seed, block). `window_tokens` of softmax keys set the start of the normalizers that
  /// need it.
  void initialize(std::uint64_t seed, std::int64_t block, std::int64_t window_tokens);
  /// Installs the attention and draws its feature maps.
  void convert(const BlockAttention& attention, std::uint64_t seed, std::int64_t block, std::int64_t window_tokens);
  /// Another pattern for the same feature maps (chunk size, overlap, normalizer). Refused where either side has no
  /// feature maps, and where the normalizer does not go with them.
  void set_spec(const ops::AttentionSpec& spec);

  const BlockAttention& attention() const { return attention_; }
  /// phi_q and phi_k; null without a linear branch.
  ops::FeatureMap phi_q() const { return phi_q_; }
  ops::FeatureMap phi_k() const { return phi_k_; }
  std::int64_t head_count() const { return heads_; }
  std::int64_t head_width() const { return dim_ / heads_; }
  double eps() const { return eps_; }

  /// Shows every later forward pass to `tap`, or to none; returns the one before (models/attention/tap.h).
  AttentionTap set_tap(AttentionTap tap);

 private:
  std::int64_t dim_;
  BlockAttention attention_;
  ops::FeatureMap phi_q_{nullptr}, phi_k_{nullptr};
  AttentionTap tap_;
};
TORCH_MODULE(SelfAttention);

/// The same projections with their own storage, on the same device and in the same type; softmax attention, whatever
/// `attention` was converted to.
SelfAttention softmax_copy(const SelfAttention& attention);

/// Keys and values of a text, [B,A,L,D].
struct TextKeys {
  at::Tensor k, v;
};

/// Attention of the video tokens to the text: all slots, no mask, no RoPE.
class CrossAttentionImpl : public ProjectedAttention {
 public:
  CrossAttentionImpl(std::int64_t dim, std::int64_t heads, double eps);
  /// text [B,L,dim] -> its keys and values, which depend on nothing else.
  TextKeys text_keys(const at::Tensor& text) const;
  /// x [B,N,dim] -> [B,N,dim].
  at::Tensor forward(const at::Tensor& x, const TextKeys& text);
};
TORCH_MODULE(CrossAttention);

}  // namespace rehyat::models
