#pragma once

#include <array>
#include <string>
#include <vector>

#include "models/video_transformer.h"
#include "models/wan/block.h"
#include "models/wan/config.h"

namespace rehyat::models {

/// The Wan2.1 text-to-video transformer, of any size, with any attention in each block. Parameters have diffusers'
/// names. Precision: timestep, modulation, norms, residual stream and head in float32 (float64 when the weights are),
/// matrix products in ForwardOptions::compute, whatever type the weights are stored in. In float32 the numbers are
/// those of diffusers; with a half-precision compute type those of the original repository, whose timestep sinusoid is
/// float64 and which keeps more in float32 than diffusers does (RoPE there multiplies in float64, here in float32: the
/// difference is far below the rounding to half precision that follows).
class WanTransformerImpl : public VideoTransformerImpl {
 public:
  explicit WanTransformerImpl(const WanConfig& config);

  at::Tensor forward(const at::Tensor& latents, const at::Tensor& timestep, const at::Tensor& text,
                     const ForwardOptions& options = {}) override;

  const WanConfig& config() const { return config_; }
  const Architecture& architecture() const override { return architecture_; }
  std::int64_t block_count() const override { return static_cast<std::int64_t>(blocks_.size()); }
  SelfAttention attention(std::int64_t block) const override {
    return blocks_.at(static_cast<std::size_t>(block))->self_attention();
  }
  ops::RopeTables rope(const std::array<std::int64_t, 3>& latent, std::int64_t first_slice = 0) const override;
  void initialize(std::uint64_t seed) override;

 private:
  at::Tensor embed_patches(const at::Tensor& latents, at::ScalarType compute) const;
  /// text [B,L,text_dim] -> [B,L,dim] in the compute type.
  at::Tensor embed_text(const at::Tensor& text, const ForwardOptions& options) const;
  at::Tensor unpatch(const at::Tensor& x, const std::array<std::int64_t, 3>& grid) const;
  void check(const at::Tensor& latents, const at::Tensor& timestep, const at::Tensor& text) const;

  WanConfig config_;
  Architecture architecture_;
  mutable ops::RopeCache rope_;
  at::Tensor patch_weight_, patch_bias_, table_;
  Dense time_1_{nullptr}, time_2_{nullptr}, time_proj_{nullptr}, text_1_{nullptr}, text_2_{nullptr}, proj_out_{nullptr};
  std::vector<Block> blocks_;
};
TORCH_MODULE(WanTransformer);

}  // namespace rehyat::models
