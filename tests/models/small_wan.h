#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/rng.h"
#include "models/hybrid.h"
#include "models/wan/transformer.h"
#include "tensor/random.h"

namespace rehyat::testing {

/// A transformer of a few thousand weights.
inline models::WanConfig small_config(std::int64_t layers = 3) {
  return {.dim = 24,
          .layers = layers,
          .heads = 2,
          .ffn_dim = 40,
          .freq_dim = 18,
          .text_dim = 20,
          .text_length = 5,
          .in_channels = 4,
          .out_channels = 4};
}

constexpr std::array<std::int64_t, 3> kLatent = {7, 4, 6};

/// Every weight drawn at random, the ones that start at 0 or 1 too, so that none of them can be left out unnoticed.
inline models::WanTransformer small_wan(std::int64_t layers = 3) {
  models::WanTransformer model(small_config(layers));
  model->initialize(1);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : model->tensors(models::Weights::teacher)) {
    Rng rng(2, "test.wan." + name);
    tensor.add_(randn(rng, tensor.sizes()), 0.1);
  }
  return model;
}

/// One attention of each kind, with other feature maps and normalizers in between.
inline std::vector<models::BlockAttention> every_attention() {
  using ops::AttentionKind;
  using ops::Normalizer;
  const ops::FeatureMapConfig poly, hedgehog{.kind = ops::FeatureMapKind::hedgehog},
      elu{.kind = ops::FeatureMapKind::elu}, before_rope{.rope_first = false};
  return {{{.kind = AttentionKind::softmax}, poly},
          {{.kind = AttentionKind::rehyat, .tc = 3, .to = 1}, poly},
          {{.kind = AttentionKind::rehyat, .tc = 2, .to = 3}, before_rope},
          {{.kind = AttentionKind::rehyat, .tc = 3, .to = 0, .normalizer = Normalizer::row_max}, poly},
          {{.kind = AttentionKind::rehyat, .tc = 2, .to = 1, .normalizer = Normalizer::lse}, elu},
          {{.kind = AttentionKind::rehyat, .tc = 3, .to = 1, .causal = false}, poly},
          {{.kind = AttentionKind::uniform_hybrid, .rate = 4}, poly},
          {{.kind = AttentionKind::uniform_hybrid, .rate = 3, .normalizer = Normalizer::lse}, hedgehog},
          {{.kind = AttentionKind::linear}, hedgehog},
          {{.kind = AttentionKind::linear}, poly}};
}

inline void convert_all(models::WanTransformer& model, const models::BlockAttention& attention) {
  models::BlockMap blocks;
  for (std::int64_t i = 0; i < model->block_count(); ++i) blocks[i] = attention;
  models::convert(model, blocks, 3, kLatent);
}

/// Latents [2,4,7,4,6], timesteps [2] and text [2,5,20].
struct WanInputs {
  at::Tensor latents, timestep, text;
};

inline WanInputs wan_inputs(at::ScalarType type = at::kFloat) {
  Rng rng(4, "test.wan.inputs");
  return {randn(rng, {2, 4, kLatent[0], kLatent[1], kLatent[2]}).to(type), at::tensor({999.0, 371.5}, at::kFloat),
          randn(rng, {2, 5, 20}).to(type)};
}

inline at::Tensor run(models::WanTransformer& model, const WanInputs& in, const models::ForwardOptions& options = {}) {
  const at::NoGradGuard no_grad;
  return model->forward(in.latents, in.timestep, in.text, options);
}

/// The largest difference, over the largest value.
inline double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

}  // namespace rehyat::testing
