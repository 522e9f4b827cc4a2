#include "models/wan/vae_decoder.h"

#include "models/dense.h"

namespace rehyat::models {

VaeDecoderImpl::VaeDecoderImpl(const VaeConfig& config, const at::TensorOptions& options)
    : conv_in_(config.z_dim, config.decoder_base_dim * config.dim_mult.back(), std::vector<std::int64_t>{3, 3, 3},
               options),
      head_(*this, config.decoder_base_dim * config.dim_mult.front(), config.out_channels, options) {
  register_module("conv_in", conv_in_);
  std::int64_t channels = config.decoder_base_dim * config.dim_mult.back();
  layers_.push_back(register_module("mid_block", std::make_shared<VaeMiddleImpl>(channels, options)));
  const auto blocks = register_module("up_blocks", ModuleGroup());
  for (std::size_t i = 0; i < config.dim_mult.size(); ++i) {
    // The encoder's stages backwards.
    const std::size_t stage = config.dim_mult.size() - 1 - i;
    const std::int64_t narrower = config.decoder_base_dim * config.dim_mult[stage];
    const auto block = blocks->register_module(std::to_string(i), ModuleGroup());
    const auto resnets = block->register_module("resnets", ModuleGroup());
    for (std::int64_t j = 0; j <= config.num_res_blocks; ++j) {
      layers_.push_back(
          resnets->register_module(std::to_string(j), std::make_shared<VaeResidualImpl>(channels, narrower, options)));
      channels = narrower;
    }
    if (stage == 0) break;
    const auto upsample = std::make_shared<VaeUpsampleImpl>(channels, config.temporal_downsample[stage - 1], options);
    layers_.push_back(block->register_module("upsamplers", ModuleGroup())->register_module("0", upsample));
    channels /= 2;
  }
}

at::Tensor VaeDecoderImpl::forward(at::Tensor x, FeatureCache& cache) {
  cache.begin_chunk();
  VaeFeatures features = first_features(conv_in_, std::move(x), cache.next());
  for (const auto& layer : layers_) features = layer->forward(std::move(features), cache);
  return head_.forward(features, cache);
}

}  // namespace rehyat::models
