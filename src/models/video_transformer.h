#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <array>
#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/architecture.h"
#include "models/attention/self_attention.h"
#include "models/recompute.h"
#include "models/text_memory.h"
#include "tensor/io.h"

/// The interface of every video transformer: a stack of blocks, each with one self-attention over the video's tokens
/// that can be converted, under a timestep and a text.
namespace rehyat::models {

/// How a forward pass runs.
struct ForwardOptions {
  AttentionForm form = AttentionForm::parallel;
  at::ScalarType compute = at::kFloat;  ///< type of the matrix products; the residual stream stays float32
  std::int64_t first_slice = 0;         ///< where a chunk of a longer video begins
  std::vector<ops::RecurrentState>* states = nullptr;  ///< one a block: run the input as the next chunk
  bool update_states = true;
  RecomputePlan recompute;                 ///< of a pass with gradients, which has no states
  ops::AttentionMemory* memory = nullptr;  ///< of the block that runs (run_block)
  /// What depends on the text alone, of an earlier pass or for a later one. A pass with gradients neither reads nor
  /// fills it, and a family whose blocks make nothing of the text alone leaves it empty.
  TextMemory* text = nullptr;

  ForwardOptions with(ops::AttentionMemory* of_block) const {
    ForwardOptions out = *this;
    out.memory = of_block;
    return out;
  }

  /// How the self-attention of a block runs.
  AttentionPass of_block(std::int64_t block) const {
    return {form, states == nullptr ? nullptr : &states->at(static_cast<std::size_t>(block)), update_states, memory};
  }
};

/// A part of a model's weights: the teacher's own, or the feature maps that conversion added.
enum class Weights { all, teacher, feature_maps };

/// A module's parameters and buffers by name, sorted.
NamedTensors tensors_of(const torch::nn::Module& module, Weights part);
/// Whether a parameter of this name belongs to a feature map.
bool is_feature_map(const std::string& name);

class VideoTransformerImpl : public torch::nn::Module {
 public:
  virtual const Architecture& architecture() const = 0;
  /// latents [B,C,T,H,W], timestep [B] (1000 sigma), text [B,L,text_width] -> velocity [B,C,T,H,W] in float32, float64
  /// where the weights are. T, H and W must be multiples of the patch. Throws UserError on shapes that do not fit.
  virtual at::Tensor forward(const at::Tensor& latents, const at::Tensor& timestep, const at::Tensor& text,
                             const ForwardOptions& options = {}) = 0;
  virtual std::int64_t block_count() const = 0;
  virtual SelfAttention attention(std::int64_t block) const = 0;
  /// The RoPE tables of the self-attention for a latent of T x H x W; `first_slice` counts slices of tokens.
  virtual ops::RopeTables rope(const std::array<std::int64_t, 3>& latent, std::int64_t first_slice = 0) const = 0;
  /// Draws every weight of the teacher from (seed, its name).
  virtual void initialize(std::uint64_t seed) = 0;

  /// The attention of every block.
  std::vector<ops::AttentionSpec> attention_specs() const;
  /// Whether every block has a recurrent form.
  bool fully_recurrent() const { return !ops::chunk_by_chunk(attention_specs()).unable; }
  /// One state a block for a latent of H x W; throws UserError naming the first block without a recurrent form.
  std::vector<ops::RecurrentState> make_states(std::int64_t height, std::int64_t width) const;
  NamedTensors tensors(Weights part) const { return tensors_of(*this, part); }
  /// The name of a block's attention among the model's modules, "blocks.0.attn1" for example.
  std::string attention_name(std::int64_t block) const;
};

/// A transformer of any family. A handle: copies share the model, and a const one gives access to all of it, like a
/// shared_ptr.
class VideoTransformer : public torch::nn::ModuleHolder<VideoTransformerImpl> {
 public:
  VideoTransformer(std::nullptr_t) : ModuleHolder(nullptr) {}
  template <std::derived_from<VideoTransformerImpl> Impl>
  VideoTransformer(std::shared_ptr<Impl> model)
      : ModuleHolder(std::shared_ptr<VideoTransformerImpl>(std::move(model))) {}
  template <std::derived_from<VideoTransformerImpl> Impl>
  VideoTransformer(const torch::nn::ModuleHolder<Impl>& model) : VideoTransformer(model.ptr()) {}
  VideoTransformerImpl* operator->() const { return impl_.get(); }
};

}  // namespace rehyat::models
