#pragma once

#include <functional>
#include <optional>

#include "models/wan/vae_config.h"
#include "models/wan/vae_decoder.h"
#include "models/wan/vae_encoder.h"
#include "models/wan/vae_options.h"
#include "models/wan/vae_tiles.h"
#include "tensor/io.h"
#include "tensor/wide.h"

namespace rehyat::models {

/// Mean and logarithm of the variance, clamped to -30 ... 20, of the latents' posterior: [B,z_dim,1+k,h,w] each.
struct VaePosterior {
  at::Tensor mean, logvar;
  const at::Tensor& mode() const { return mean; }
};

/// The video VAE of Wan2.1 (diffusers' AutoencoderKLWan), of any size. Videos run in chunks, 1, 4, 4, ... frames, and
/// latents one frame at a time, on a GPU some of these together; causal layers remember the last frames of the chunk
/// before, so memory does not grow with a video's length. It is only run, never trained: no gradients flow. Parameters
/// have diffusers' names.
class WanVaeImpl : public torch::nn::Module {
 public:
  /// Weights are not set; see load_vae. Throws UserError on options that do not fit.
  explicit WanVaeImpl(const VaeConfig& config, const VaeOptions& options = {});

  /// Video [B,in_channels,4k+1,H,W] in [-1,1], H and W multiples of the spatial stride (8), on any device -> posterior
  /// in float32 (float64 when computed in it) on the video's device, before normalisation. Throws UserError on other
  /// shapes.
  VaePosterior encode(const at::Tensor& video);
  /// Latents [B,z_dim,n,h,w], not normalised -> video [B,out_channels,1+4(n-1),8h,8w] clamped to [-1,1], in the same
  /// type on the latents' device. Only one chunk of it is on the VAE's device at a time.
  at::Tensor decode(const at::Tensor& latents);
  /// Called with the decoded frames in order, [B,out_channels,frames,H,W] on the VAE's device: 1, then a multiple of 4
  /// each.
  using Sink = std::function<void(const at::Tensor& frames)>;
  void decode(const at::Tensor& latents, const Sink& sink);

  const VaeConfig& config() const { return config_; }
  const VaeOptions& options() const { return options_; }
  at::ScalarType result_type() const { return wide_type(options_.compute); }
  /// All parameters by name, sorted.
  NamedTensors tensors() const;

 private:
  friend class VaeEncodeStream;
  friend class VaeDecodeStream;
  /// Latent frames that run together, after the first.
  std::int64_t together() const;
  /// Whether frames of this size, in pixels, are cut in tiles.
  bool cuts(std::int64_t height, std::int64_t width) const;
  VaeConfig config_;
  VaeOptions options_;
  VaeEncoder encoder_;
  VaeDecoder decoder_;
  VaeConv quant_conv_, post_quant_conv_;
};
TORCH_MODULE(WanVae);

/// One video encoded as its frames come. The VAE must outlive it.
class VaeEncodeStream {
 public:
  explicit VaeEncodeStream(WanVaeImpl& vae);
  /// The first frame [B,in_channels,1,H,W], then four at a time -> moments (mean, then logvar, unclamped)
  /// [B,2*z_dim,1 or 4/temporal_stride,H/8,W/8] on the VAE's device. Throws UserError on other shapes.
  at::Tensor push(const at::Tensor& frames);
  std::int64_t cache_bytes() const { return run_.cache_bytes(); }

 private:
  friend class WanVaeImpl;
  /// The same before quant_conv for frames that are run whole.
  at::Tensor features(const at::Tensor& frames);
  at::Tensor moments(const at::Tensor& features) const;

  WanVaeImpl& vae_;
  TiledRun run_;
  std::vector<std::int64_t> size_;  // of the first chunk
};

/// One video decoded as its latent frames come. The VAE must outlive it.
class VaeDecodeStream {
 public:
  explicit VaeDecodeStream(WanVaeImpl& vae);
  /// The next latent frame [B,z_dim,1,h,w] -> its frames [B,out_channels,1 or 4,8h,8w] on the VAE's device.
  at::Tensor push(const at::Tensor& latent);
  std::int64_t cache_bytes() const { return run_.cache_bytes(); }

 private:
  friend class WanVaeImpl;
  /// post_quant_conv of latents on the VAE's device; latents that are cut in tiles are left for `frames`.
  at::Tensor project(const at::Tensor& latents) const;
  at::Tensor frames(const at::Tensor& projected);

  WanVaeImpl& vae_;
  TiledRun run_;
  std::vector<std::int64_t> size_;
};

}  // namespace rehyat::models
