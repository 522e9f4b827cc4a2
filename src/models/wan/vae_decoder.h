#pragma once

#include "models/wan/vae_config.h"
#include "models/wan/vae_layers.h"

namespace rehyat::models {

/// Latents, after post_quant_conv, to video.
class VaeDecoderImpl : public torch::nn::Module {
 public:
  VaeDecoderImpl(const VaeConfig& config, const at::TensorOptions& options);
  /// The first latent frame alone, then n at a time: [B,z_dim,n,h,w] -> [B,out_channels,frames,s*h,s*w], 1 frame of the
  /// first, temporal_stride of each later one.
  at::Tensor forward(at::Tensor x, FeatureCache& cache);

 private:
  VaeConv conv_in_;
  std::vector<std::shared_ptr<VaeLayerImpl>> layers_;
  VaeHead head_;
};
TORCH_MODULE(VaeDecoder);

}  // namespace rehyat::models
