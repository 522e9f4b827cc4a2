#pragma once

#include <array>
#include <string>
#include <vector>

#include "models/wan/block.h"
#include "models/wan/config.h"
#include "tensor/io.h"

namespace rehyat::models {

/// The Wan2.1 text-to-video transformer, of any size, with any attention in each block. Parameters have diffusers'
/// names. Precision: timestep, modulation, norms, residual stream and head in float32 (float64 when the weights are),
/// matrix products in ForwardOptions::compute, whatever type the weights are stored in. In float32 the numbers are
/// those of diffusers; with a half-precision compute type those of the original repository, whose timestep sinusoid is
/// float64 and which keeps more in float32 than diffusers does (RoPE there multiplies in float64, here in float32: the
/// difference is far below the rounding to half precision that follows).
class WanTransformerImpl : public torch::nn::Module {
 public:
  explicit WanTransformerImpl(const WanConfig& config);

  /// latents [B,C,T,H,W], timestep [B] (1000 sigma), text [B,L,text_dim] -> velocity [B,C,T,H,W] in float32. H and W
  /// must be multiples of the patch. Throws UserError on shapes that do not fit.
  at::Tensor forward(const at::Tensor& latents, const at::Tensor& timestep, const at::Tensor& text,
                     const ForwardOptions& options = {});

  const WanConfig& config() const { return config_; }
  std::int64_t block_count() const { return static_cast<std::int64_t>(blocks_.size()); }
  SelfAttention attention(std::int64_t block) const {
    return blocks_.at(static_cast<std::size_t>(block))->self_attention();
  }
  /// RoPE tables for a latent of T x H x W.
  ops::RopeTables rope(const std::array<std::int64_t, 3>& latent, std::int64_t first_slice = 0) const;
  /// Draws every weight from (seed, its name).
  void initialize(std::uint64_t seed);
  /// Whether every block has a recurrent form, so that chunk-by-chunk sampling works.
  bool fully_recurrent() const;
  /// One state a block; throws UserError naming the first block without a recurrent form.
  std::vector<ops::RecurrentState> make_states(std::int64_t height, std::int64_t width) const;
  /// All parameters and buffers by name, sorted; the teacher's only (no phi), or only phi.
  enum class Which { all, base, phi };
  NamedTensors tensors(Which which) const;

 private:
  at::Tensor embed_patches(const at::Tensor& latents, at::ScalarType compute) const;
  at::Tensor unpatch(const at::Tensor& x, const std::array<std::int64_t, 3>& grid) const;
  void check(const at::Tensor& latents, const at::Tensor& timestep, const at::Tensor& text) const;

  WanConfig config_;
  mutable ops::RopeCache rope_;
  at::Tensor patch_weight_, patch_bias_, table_;
  Dense time_1_{nullptr}, time_2_{nullptr}, time_proj_{nullptr}, text_1_{nullptr}, text_2_{nullptr}, proj_out_{nullptr};
  std::vector<Block> blocks_;
};
TORCH_MODULE(WanTransformer);

}  // namespace rehyat::models
