#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>
#include <functional>

namespace rehyat::evaluate {

/// The best predictor of the velocity value by value: what needs no transformer. Of each latent value it knows the
/// noise level, the noisy value at that very place, the channel, and whether the place is in slice 0 (one frame, not
/// four: another distribution) or in a later one. It returns the posterior mean under the empirical distribution p of
/// the training values of that channel and kind of slice,
///
///     E[x0 | x] = sum_k x_k N(x; (1-sigma) x_k, sigma^2) / sum_k N(x; (1-sigma) x_k, sigma^2),
///     v = (x - E[x0 | x]) / sigma,
///
/// the least mean squared error that a function of these four can have. It sees neither other places nor the text, nor
/// where in the picture or in which later slice a place is; what a model wins over it, it wins by these.
class PointwisePredictor {
 public:
  /// `latent(i)`, 0 <= i < count, gives a training latent [C,T,H,W]. Bounded memory: of many latents 256 are drawn, and
  /// of each at most 1024 places of each kind of slice. Of the values of a channel and kind, all are kept where they
  /// are at most `values`, else as many quantiles, each the middle of an equal share. Depends on the seed alone.
  PointwisePredictor(std::int64_t count, const std::function<at::Tensor(std::int64_t)>& latent, std::uint64_t seed,
                     std::int64_t values = 256);

  /// x_sigma [C,T,H,W] -> velocity of the same shape, float32; 0 < sigma <= 1.
  at::Tensor velocity(const at::Tensor& x, double sigma) const;

 private:
  std::array<at::Tensor, 2> support_;  // of slice 0 and of the later ones, [C, K] float64
};

}  // namespace rehyat::evaluate
