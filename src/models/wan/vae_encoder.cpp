#include "models/wan/vae_encoder.h"

#include <algorithm>

#include "models/dense.h"

namespace rehyat::models {
namespace {

using Layers = std::vector<std::shared_ptr<VaeLayerImpl>>;

/// Residual blocks, attention where the config asks for it, and downsampling in one list: down_blocks.0, .1, ...
Layers down_blocks(const VaeConfig& config, const at::TensorOptions& options) {
  Layers out;
  double scale = 1;
  std::int64_t channels = config.base_dim;
  for (std::size_t stage = 0; stage < config.dim_mult.size(); ++stage) {
    const std::int64_t wider = config.base_dim * config.dim_mult[stage];
    const bool attends =
        std::find(config.attn_scales.begin(), config.attn_scales.end(), scale) != config.attn_scales.end();
    for (std::int64_t block = 0; block < config.num_res_blocks; ++block) {
      out.push_back(std::make_shared<VaeResidualImpl>(channels, wider, options));
      if (attends) out.push_back(std::make_shared<VaeAttentionImpl>(wider, options));
      channels = wider;
    }
    if (stage + 1 == config.dim_mult.size()) break;
    out.push_back(std::make_shared<VaeDownsampleImpl>(channels, config.temporal_downsample[stage], options));
    scale /= 2;
  }
  return out;
}

}  // namespace

VaeEncoderImpl::VaeEncoderImpl(const VaeConfig& config, const at::TensorOptions& options)
    : conv_in_(config.in_channels, config.base_dim, std::vector<std::int64_t>{3, 3, 3}, options),
      layers_(down_blocks(config, options)),
      head_(*this, config.base_dim * config.dim_mult.back(), 2 * config.z_dim, options) {
  register_module("conv_in", conv_in_);
  const auto folder = register_module("down_blocks", ModuleGroup());
  for (std::size_t i = 0; i < layers_.size(); ++i) folder->register_module(std::to_string(i), layers_[i]);
  const auto middle = std::make_shared<VaeMiddleImpl>(config.base_dim * config.dim_mult.back(), options);
  layers_.push_back(register_module("mid_block", middle));
}

at::Tensor VaeEncoderImpl::forward(at::Tensor x, FeatureCache& cache) {
  cache.begin_chunk();
  VaeFeatures features = first_features(conv_in_, std::move(x), cache.next());
  for (const auto& layer : layers_) features = layer->forward(std::move(features), cache);
  return head_.forward(features, cache);
}

}  // namespace rehyat::models
