#include "diffusion/samplers.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/strings.h"
#include "diffusion/flow_matching.h"
#include "diffusion/unipc.h"
#include "tensor/random.h"
#include "tensor/wide.h"

namespace rehyat::diffusion {
namespace {

constexpr double kSmallestSigma = 0.001;

/// Point i of numpy's linspace(from, to, intervals + 1), in its order of operations: where 1000 sigma is a whole
/// number, another order would cut the timestep to the one below.
double point(double from, double to, std::int64_t i, std::int64_t intervals) {
  if (intervals == 0) return from;
  if (i == intervals) return to;
  const double step = (to - from) / static_cast<double>(intervals);
  return static_cast<double>(i) * step + from;
}

/// The shifted last sigma of flow-match Euler, which its reference computes in float32.
double smallest_flow_match_sigma(double shift) {
  const auto s = static_cast<float>(shift), less = static_cast<float>(shift - 1);
  const float sigma = 1.0F / static_cast<float>(kTimesteps);
  return static_cast<double>(s * sigma / (1.0F + less * sigma));
}

/// Deterministic first-order steps along the flow.
class Euler : public Sampler {
 public:
  explicit Euler(Schedule schedule) : Sampler(std::move(schedule)) {}
  using Sampler::step;
  at::Tensor step(std::int64_t i, const at::Tensor& v, const at::Tensor& x,
                  const std::function<at::Tensor()>&) override {
    return wide(x) + (sigma(i + 1) - sigma(i)) * wide(v);
  }
};

/// Euler-ancestral for rectified flow, eta = 1: a step to a lower noise level, then fresh noise up to the next one. The
/// factors are computed in float32 in the order of the reference, whose roundings are part of its trajectory: where
/// 1 - sigma is small they move it by 1e-5.
class EulerAncestral : public Sampler {
 public:
  explicit EulerAncestral(Schedule schedule) : Sampler(std::move(schedule)) {}
  using Sampler::step;
  at::Tensor step(std::int64_t i, const at::Tensor& v, const at::Tensor& x,
                  const std::function<at::Tensor()>& noise) override {
    constexpr float eta = 1, tiny = 1e-12F;
    const auto now = static_cast<float>(sigma(i)), next = static_cast<float>(sigma(i + 1));
    const at::Tensor sample = wide(x), x0 = sample - now * wide(v);
    if (next == 0) return x0;
    const float down = next * (1 + (next / now - 1) * eta);
    const float alpha_next = 1 - next, alpha_down = 1 - down;
    const float variance = next * next - down * down * (alpha_next * alpha_next) / (alpha_down * alpha_down + tiny);
    const float ratio = down / now, renoise = std::sqrt(std::max(variance, 0.0F));
    const at::Tensor lower = ratio * sample + (1 - ratio) * x0;
    return (alpha_next / (alpha_down + tiny)) * lower + noise().to(sample.scalar_type()) * renoise;
  }
};

}  // namespace

void SamplerConfig::fields(config::Fields& f) {
  f.choice("kind", kind,
           {{"auto", SamplerKind::automatic},
            {"unipc", SamplerKind::unipc},
            {"euler", SamplerKind::euler},
            {"euler_ancestral", SamplerKind::euler_ancestral}},
           "which sampler; auto: that of the model's scheduler_config.json, else unipc");
  f.add("steps", steps, "denoising steps").between(1, 10'000);
  f.add("shift", shift,
        "flow shift of the noise levels; null: as sample.sampler.shift, there that of the model's "
        "scheduler_config.json, else 8")
      .above(0);
  f.add("grid", grid, "diffusers, original or flow_match; null: the usual one of the sampler");
}

void SamplerConfig::validate() const {
  sigma_grid();
}

SigmaGrid SamplerConfig::sigma_grid() const {
  if (!grid)
    return kind == SamplerKind::unipc || kind == SamplerKind::automatic ? SigmaGrid::diffusers : SigmaGrid::flow_match;
  if (*grid == "diffusers") return SigmaGrid::diffusers;
  if (*grid == "original") return SigmaGrid::original;
  if (*grid == "flow_match") return SigmaGrid::flow_match;
  throw UserError({"sampler.grid", '"' + *grid + '"', "diffusers, original or flow_match", ""});
}

Schedule make_schedule(SigmaGrid grid, std::int64_t steps, double shift) {
  Schedule schedule;
  for (std::int64_t i = 0; i < steps; ++i) {
    double sigma = 0;
    switch (grid) {
      case SigmaGrid::diffusers:
        sigma = shift_sigma(point(1, kSmallestSigma, i, steps), shift);
        if (i == 0 && std::abs(sigma - 1) < 1e-6) sigma -= 1e-6;
        break;
      case SigmaGrid::original:
        sigma = shift_sigma(point(static_cast<double>(0.999F), 0, i, steps), shift);
        break;
      case SigmaGrid::flow_match:
        sigma = shift_sigma(point(kTimesteps, kTimesteps * smallest_flow_match_sigma(shift), i, steps - 1) / kTimesteps,
                            shift);
        break;
    }
    schedule.sigmas.push_back(sigma);
    // Cut, not rounded, and before any rounding of sigma to float32.
    const float rounded = static_cast<float>(sigma) * static_cast<float>(kTimesteps);
    schedule.timesteps.push_back(grid == SigmaGrid::flow_match ? static_cast<double>(rounded)
                                                               : std::trunc(kTimesteps * sigma));
  }
  schedule.sigmas.push_back(0);
  return schedule;
}

Sampler::Sampler(Schedule schedule) : schedule_(std::move(schedule)) {
  for (double& sigma : schedule_.sigmas) sigma = static_cast<double>(static_cast<float>(sigma));
}

at::Tensor Sampler::step(std::int64_t i, const at::Tensor& velocity, const at::Tensor& x, Rng& noise) {
  return step(i, velocity, x, [&] { return randn(noise, x.sizes(), x.device()); });
}

std::unique_ptr<Sampler> make_sampler(const SamplerConfig& config) {
  Schedule schedule = make_schedule(config.sigma_grid(), config.steps, config.shift.value_or(kDefaultShift));
  switch (config.kind) {
    case SamplerKind::automatic:  // of a run without a scheduler of its own
    case SamplerKind::unipc:
      return std::make_unique<UniPC>(std::move(schedule));
    case SamplerKind::euler:
      return std::make_unique<Euler>(std::move(schedule));
    case SamplerKind::euler_ancestral:
      return std::make_unique<EulerAncestral>(std::move(schedule));
  }
  return nullptr;
}

}  // namespace rehyat::diffusion
