#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

#include "config/config.h"
#include "core/rng.h"
#include "ops/activation.h"
#include "tensor/replica.h"

/// Feature maps phi: R^D -> R^F of the linear branch, own weights per head (paper, "Characterization of phi").
namespace rehyat::ops {

enum class FeatureMapKind { poly_mlp, hedgehog, elu };

struct FeatureMapConfig {
  FeatureMapKind kind = FeatureMapKind::poly_mlp;
  std::int64_t layers = 2;  ///< poly_mlp: linear layers
  std::int64_t degree = 2;  ///< poly_mlp: P, the highest power; slice i of the embedding is raised to the power i
  std::int64_t hidden = 0;  ///< poly_mlp: hidden width; 0 = P * D
  Activation activation = Activation::gelu;
  NonNegative nonnegative = NonNegative::softplus;
  bool rope_first = true;  ///< phi acts on q, k after RoPE, which keeps phi >= 0; false is the ablation

  void fields(config::Fields& f);
  void validate() const;
  /// Width F of the features for head width D.
  std::int64_t feature_width(std::int64_t head_width) const;
  /// False for elu: such maps have no parameters and nothing to train, only the saved buffer `level`.
  bool trainable() const { return kind != FeatureMapKind::elu; }
  /// Whether phi >= 0 whatever the weights.
  bool never_negative() const { return kind != FeatureMapKind::poly_mlp || nonnegative != NonNegative::none; }
  bool operator==(const FeatureMapConfig&) const = default;
};

/// One map for all heads of a block: x [B,A,N,D] -> [B,A,N,F], computed in x's dtype. On a GPU a poly_mlp runs as
/// matrix products with one kernel behind each, in float32 with one rounding; elsewhere as libtorch's operators, where
/// biases and activations round to x's dtype and non-negativity and powers are float32. Parameters
/// (poly_mlp): "weight_<i>" [A,in,out], "bias_<i>" [A,1,out]; hedgehog: "weight_0" [A,D,F/2]; elu: none.
class FeatureMapImpl : public torch::nn::Module {
 public:
  FeatureMapImpl(std::int64_t heads, std::int64_t head_width, const FeatureMapConfig& config);

  at::Tensor forward(const at::Tensor& x);
  /// The same as libtorch's operators alone, on any device: what the kernels are compared with.
  at::Tensor forward_composed(const at::Tensor& x);
  /// Draws the weights from `rng` and sets the output level so that phi_q . phi_k is about `target_product` for a
  /// typical pair (1 for the joint normalizer: an exponent of 0). Maps without an output level of their own (hedgehog,
  /// elu) get it through the saved buffer `level`. Throws UserError where the settings cannot reach the target.
  void initialize(Rng& rng, double target_product = 1.0);
  const FeatureMapConfig& config() const { return config_; }
  std::int64_t feature_width() const { return config_.feature_width(head_width_); }

 private:
  void check(const at::Tensor& x) const;
  double expected_product(const at::Tensor& features) const;
  void calibrate(Rng& rng, double target_product);
  at::Tensor raw(const at::Tensor& x) const;             ///< poly_mlp: the embedding
  at::Tensor powers(const at::Tensor& embedding) const;  ///< poly_mlp: the features of an embedding

  std::int64_t heads_, head_width_;
  FeatureMapConfig config_;
  std::vector<at::Tensor> weights_, biases_;
  std::vector<Replica> weight_copies_, bias_copies_;  ///< in the type of x
  at::Tensor level_;
};
TORCH_MODULE(FeatureMap);

enum class Normalizer;

/// phi_q . phi_k of a typical pair at the start: with `joint` 1 (an exponent of 0); with `lse` the share of one of
/// `window_tokens` softmax keys, with `row_max` e^{-c} of a typical row of that many scores.
double start_product(Normalizer normalizer, std::int64_t window_tokens);

}  // namespace rehyat::ops
