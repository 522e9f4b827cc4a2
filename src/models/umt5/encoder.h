#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/umt5/config.h"

namespace rehyat::models {

struct Umt5Weights {
  Umt5Config config;
  std::unique_ptr<TensorSource> tensors;  ///< in transformers' names
};

/// Finds the weights of a UMT5 encoder: a folder in transformers' layout (config.json beside model.safetensors, or
/// shards and their index), a folder that holds the original models_t5_*.pth, or a single .pth or .safetensors file in
/// the names of either. Throws UserError when there is none.
Umt5Weights open_umt5(const std::filesystem::path& path);

/// The encoder of UMT5: relative position biases of each layer's own, no scale of the scores. Weights stay where the
/// file has them, memory-mapped, as long as neither type nor device differ, so that loading takes no memory.
class Umt5Encoder {
 public:
  /// `type`: of weights and products (float32, bfloat16, float16, float64), the file's when absent. In float16 the last
  /// product of the feed-forward and the residual stream are float32, as transformers keeps them. Every tensor must be
  /// there with its shape, and nothing else but a decoder, which is left out. Throws UserError with file and tensor.
  explicit Umt5Encoder(const Umt5Weights& weights, at::Device device = at::kCPU,
                       std::optional<at::ScalarType> type = std::nullopt);

  /// ids [B, L], mask [B, L], 0 where a token is to be hidden -> last hidden states [B, L, width] in the encoder's type
  /// on its device. Throws UserError on other shapes or ids outside the vocabulary.
  at::Tensor forward(const at::Tensor& ids, const at::Tensor& mask) const;

  const Umt5Config& config() const { return config_; }
  at::Device device() const { return shared_.device(); }
  at::ScalarType type() const { return shared_.scalar_type(); }
  /// Checksum of sizes, type and weights; reads all weights once.
  std::string fingerprint() const;

 private:
  struct Layer {
    at::Tensor attention_norm, q, k, v, o, bias, ffn_norm, wi_0, wi_1, wo;  // wi_1 is undefined without a gate
  };
  template <typename Self, typename Visit>
  static void visit(Self& self, Visit&& visit);
  at::Tensor attend(const Layer& layer, const at::Tensor& x, const at::Tensor& buckets, const at::Tensor& seen) const;
  at::Tensor feed_forward(const Layer& layer, const at::Tensor& x) const;
  at::Tensor norm(const at::Tensor& x, const at::Tensor& weight) const;

  Umt5Config config_;
  at::Tensor shared_, final_norm_;
  std::vector<Layer> layers_;
};

/// The bucket of every relative position key - query, [length, length], int64 on the CPU (T5's scheme: half of each
/// direction's buckets for single positions, the rest for logarithmically wider ranges).
at::Tensor umt5_buckets(std::int64_t length, std::int64_t buckets, std::int64_t max_distance);

}  // namespace rehyat::models
