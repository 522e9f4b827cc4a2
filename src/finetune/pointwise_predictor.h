#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace rehyat::finetune {

/// The best predictor that sees no context: for each latent value it knows its channel, sigma and the noisy value at
/// that very place, and returns the posterior mean of the velocity under the channel's empirical distribution,
///
///     E[x0 | x] = sum_k x_k N(x; (1-sigma) x_k, sigma^2) / sum_k N(x; (1-sigma) x_k, sigma^2),  v = (x - E[x0 | x]) /
///     sigma,
///
/// with the x_k the channel's quantiles over the training latents. What a trained model wins over it, it wins by
/// looking at other places, at the text or by knowing the clip.
class PointwisePredictor {
 public:
  /// Latents [C,T,H,W] of the training split. Keeps `quantiles` values a channel.
  PointwisePredictor(const std::vector<at::Tensor>& latents, std::int64_t quantiles = 256);

  /// x_sigma [C,T,H,W] -> velocity of the same shape, float32; 0 < sigma <= 1.
  at::Tensor velocity(const at::Tensor& x, double sigma) const;

 private:
  at::Tensor support_;  // [C, K] float64
};

}  // namespace rehyat::finetune
