#pragma once

#include "diffusion/samplers.h"

namespace rehyat::diffusion {

/// UniPC (Zhao et al. 2023) with data prediction, B(h) = e^h - 1 ("bh2"), order 2, for rectified flow: alpha = 1 -
/// sigma, lambda = log(alpha / sigma). Each step first corrects the sample with the model output just obtained (from
/// step 1 on, at the order of the step before), then predicts the next one; the last step is of first order.
/// The factors of a step are float32 numbers taken in the reference's order: on fine grids the steps in lambda are
/// differences of nearly equal numbers, and what they lose there is part of the reference's trajectory (3e-6 of x over
/// 200 steps).
class UniPC : public Sampler {
 public:
  explicit UniPC(Schedule schedule) : Sampler(std::move(schedule)) {}
  using Sampler::step;
  at::Tensor step(std::int64_t i, const at::Tensor& velocity, const at::Tensor& x,
                  const std::function<at::Tensor()>&) override;

 private:
  float level(std::int64_t i) const;  ///< sigma
  float lambda(std::int64_t i) const;
  at::Tensor correct(std::int64_t i, const at::Tensor& x0) const;
  at::Tensor predict(std::int64_t i, const at::Tensor& x, std::int64_t order) const;

  at::Tensor before_, now_, last_x_;  ///< x0 estimates of the two latest steps; the sample the last step started from
  std::int64_t order_ = 1, expected_ = 0;
};

}  // namespace rehyat::diffusion
