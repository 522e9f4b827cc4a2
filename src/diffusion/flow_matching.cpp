#include "diffusion/flow_matching.h"

#include <algorithm>
#include <cmath>

namespace rehyat::diffusion {

void FlowConfig::fields(config::Fields& f) {
  f.add("shift", shift, "s of sigma = s u / (1 + (s-1) u)").above(0);
  f.choice("levels", levels, {{"uniform", NoiseLevels::uniform}, {"logit_normal", NoiseLevels::logit_normal}},
           "distribution of u");
  f.add("mean", mean, "logit_normal: mean of the logit");
  f.add("spread", spread, "logit_normal: standard deviation of the logit").above(0);
}

double shift_sigma(double sigma, double shift) {
  return shift * sigma / (1 + (shift - 1) * sigma);
}

double draw_sigma(const FlowConfig& config, Rng& rng) {
  const double u = config.levels == NoiseLevels::uniform
                       ? rng.uniform()
                       : 1 / (1 + std::exp(-(config.mean + config.spread * rng.normal())));
  return shift_sigma(std::clamp(u, 1e-5, 1 - 1e-5), config.shift);
}

at::Tensor noised(const at::Tensor& x0, const at::Tensor& noise, double sigma) {
  return (1 - sigma) * x0 + sigma * noise;
}

at::Tensor velocity(const at::Tensor& x0, const at::Tensor& noise) {
  return noise - x0;
}

at::Tensor guided(const at::Tensor& conditional, const at::Tensor& unconditional, double guidance) {
  const at::Tensor base = unconditional.to(at::kFloat);
  return base + guidance * (conditional.to(at::kFloat) - base);
}

}  // namespace rehyat::diffusion
