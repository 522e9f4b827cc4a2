#pragma once

#include <string>

#include "models/encoders.h"
#include "models/wan/vae.h"

namespace rehyat::models {

/// The Wan VAE as the codec of a dataset or a sampler: latents are the posterior's mode, normalised channel by channel
/// with the config's mean and deviation, as diffusers' pipelines do it.
class WanVaeCodec : public models::VideoCodec {
 public:
  /// Throws UserError unless the VAE has three colours, a stride in time of kVaeChunk, and a mean and a deviation for
  /// every latent channel.
  explicit WanVaeCodec(WanVae vae);

  VideoGeometry geometry() const override { return vae_->config().geometry(); }
  /// RGB video [3, 4k+1, H, W] in [-1, 1] -> normalised latents [z, 1+k, H/8, W/8] in float32 on the video's device.
  /// Throws UserError on other shapes and when the VAE yields NaN or infinite values.
  at::Tensor encode(const at::Tensor& video) override;
  /// Normalised latents -> video [3, 4k+1, H, W] in [-1, 1], float32, on the latents' device.
  at::Tensor decode(const at::Tensor& latents) override;
  /// The same in parts, one call for 1, then for a multiple of 4 frames [3, frames, H, W] on the VAE's device.
  void decode(const at::Tensor& latents, const WanVaeImpl::Sink& sink);
  /// Config, weights, the types that are computed in, and tiling, all of which change the latents.
  std::string fingerprint() const override { return fingerprint_; }

  const WanVae& vae() const { return vae_; }

 private:
  at::Tensor denormalise(const at::Tensor& latents) const;

  WanVae vae_;
  at::Tensor mean_, inverse_std_;  // [1, z, 1, 1, 1]
  std::string fingerprint_;
};

}  // namespace rehyat::models
