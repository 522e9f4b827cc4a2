#include "diffusion/samplers.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/strings.h"
#include "diffusion/flow_matching.h"
#include "diffusion/unipc.h"
#include "tensor/random.h"

namespace rehyat::diffusion {
namespace {

constexpr double kSmallestSigma = 0.001;

double point(double from, double to, std::int64_t i, std::int64_t intervals) {
  return from + (to - from) * static_cast<double>(i) / static_cast<double>(intervals);
}

/// Deterministic first-order steps along the flow.
class Euler : public Sampler {
 public:
  explicit Euler(Schedule schedule) : Sampler(std::move(schedule)) {}
  at::Tensor step(std::int64_t i, const at::Tensor& v, const at::Tensor& x, Rng&) override {
    return x.to(at::kFloat) + (sigma(i + 1) - sigma(i)) * v.to(at::kFloat);
  }
};

/// Euler-ancestral for rectified flow, eta = 1: a step to a lower noise level, then fresh noise up to the next one.
class EulerAncestral : public Sampler {
 public:
  explicit EulerAncestral(Schedule schedule) : Sampler(std::move(schedule)) {}
  at::Tensor step(std::int64_t i, const at::Tensor& v, const at::Tensor& x, Rng& rng) override {
    constexpr double eta = 1;
    const double now = sigma(i), next = sigma(i + 1);
    const at::Tensor sample = x.to(at::kFloat), x0 = sample - now * v.to(at::kFloat);
    if (next == 0) return x0;
    const double down = next * (1 + (next / now - 1) * eta);
    const double alpha = (1 - next) / (1 - down);
    const double renoise = std::sqrt(std::max(next * next - down * down * alpha * alpha, 0.0));
    const at::Tensor lower = (down / now) * sample + (1 - down / now) * x0;
    return alpha * lower + renoise * randn(rng, sample.sizes(), sample.device());
  }
};

}  // namespace

void SamplerConfig::fields(config::Fields& f) {
  f.choice(
      "kind", kind,
      {{"unipc", SamplerKind::unipc}, {"euler", SamplerKind::euler}, {"euler_ancestral", SamplerKind::euler_ancestral}},
      "which sampler");
  f.add("steps", steps, "denoising steps").between(1, 10'000);
  f.add("shift", shift, "flow shift of the noise levels; null: as sample.sampler.shift, there 8").above(0);
  f.add("grid", grid, "diffusers, original or flow_match; null: the usual one of the sampler");
}

void SamplerConfig::validate() const {
  sigma_grid();
}

SigmaGrid SamplerConfig::sigma_grid() const {
  if (!grid) return kind == SamplerKind::unipc ? SigmaGrid::diffusers : SigmaGrid::flow_match;
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
        sigma =
            shift_sigma(point(1, shift_sigma(kSmallestSigma, shift), i, std::max<std::int64_t>(steps - 1, 1)), shift);
        break;
    }
    schedule.sigmas.push_back(sigma);
    // Cut, not rounded, and before any rounding of sigma to float32.
    schedule.timesteps.push_back(grid == SigmaGrid::flow_match ? kTimesteps * sigma : std::trunc(kTimesteps * sigma));
  }
  schedule.sigmas.push_back(0);
  return schedule;
}

std::unique_ptr<Sampler> make_sampler(const SamplerConfig& config) {
  Schedule schedule = make_schedule(config.sigma_grid(), config.steps, config.shift.value_or(kDefaultShift));
  switch (config.kind) {
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
