#include "diffusion/flow_matching.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::diffusion {

void FlowConfig::fields(config::Fields& f) {
  f.add("shift", shift, "s of sigma = s u / (1 + (s-1) u); null: as sample.sampler.shift").above(0);
  f.choice("levels", levels, {{"uniform", NoiseLevels::uniform}, {"logit_normal", NoiseLevels::logit_normal}},
           "distribution of u");
  f.add("mean", mean, "logit_normal: mean of the logit; null: 0");
  f.add("spread", spread, "logit_normal: standard deviation of the logit; null: 1").above(0);
}

void FlowConfig::validate() const {
  if (levels == NoiseLevels::logit_normal) return;
  for (const auto& [name, value] : {std::pair("mean", mean), std::pair("spread", spread)}) {
    require(!value.has_value(), [&, name = name, value = value] {
      return cat(name, ": found ", *value,
                 " with levels uniform, which has none, expected levels logit_normal; remove "
                 "the key or change levels");
    });
  }
}

double shift_sigma(double sigma, double shift) {
  return shift * sigma / (1 + (shift - 1) * sigma);
}

double draw_sigma(const FlowConfig& config, Rng& rng) {
  const double u = config.levels == NoiseLevels::uniform
                       ? rng.uniform()
                       : 1 / (1 + std::exp(-(config.mean.value_or(0) + config.spread.value_or(1) * rng.normal())));
  return shift_sigma(std::clamp(u, 1e-5, 1 - 1e-5), config.shift.value_or(kDefaultShift));
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
