#pragma once

#include "models/wan/vae_config.h"
#include "models/wan/vae_layers.h"

namespace rehyat::models {

/// Video to the moments of the latents, before quant_conv, chunk by chunk.
class VaeEncoderImpl : public torch::nn::Module {
 public:
  VaeEncoderImpl(const VaeConfig& config, const at::TensorOptions& options);
  /// One frame first, then 4n at a time: [B,in_channels,1 or 4n,H,W] -> [B,2*z_dim,1 or 4n/temporal_stride,H/s,W/s].
  at::Tensor forward(at::Tensor x, FeatureCache& cache);

 private:
  VaeConv conv_in_;
  std::vector<std::shared_ptr<VaeLayerImpl>> layers_;
  VaeHead head_;
};
TORCH_MODULE(VaeEncoder);

}  // namespace rehyat::models
