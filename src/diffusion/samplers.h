#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/rng.h"

/// Samplers of rectified-flow models. Schedules in double; the factors of a step with the roundings of the published
/// samplers, so that trajectories are theirs; latents in float32 at least. Steps are named by their number, never by a
/// timestep value, which repeats on fine grids.
namespace rehyat::diffusion {

/// `automatic`: the scheduler of the model's folder, else unipc; a run resolves it before anything is sampled.
enum class SamplerKind { unipc, euler, euler_ancestral, automatic };

/// The published grids; 0 is appended to each.
enum class SigmaGrid {
  diffusers,  ///< linspace(1, 0.001, n+1) without its end, shifted; timesteps cut to whole numbers
  original,   ///< linspace(float32(0.999), 0, n+1) without its end, shifted: Wan's own
  flow_match  ///< n points from 1 to the shifted 0.001, shifted again; timesteps stay fractions
};

struct SamplerConfig {
  SamplerKind kind = SamplerKind::unipc;
  std::int64_t steps = 50;
  std::optional<double> shift;      ///< unset: kDefaultShift
  std::optional<std::string> grid;  ///< default: diffusers for unipc, flow_match for the others

  void fields(config::Fields& f);
  void validate() const;
  SigmaGrid sigma_grid() const;
};

/// sigma_0 ... sigma_n (n + 1 values, the last 0) and the timesteps of the n steps.
struct Schedule {
  std::vector<double> sigmas, timesteps;
};
Schedule make_schedule(SigmaGrid grid, std::int64_t steps, double shift);

/// Walks one sample (or a batch of them that share the schedule) from noise to data.
class Sampler {
 public:
  virtual ~Sampler() = default;
  /// x at step i and the model's velocity there -> x at step i + 1, in float32 (float64 if x is). Steps must be taken
  /// in order from 0; step 0 starts anew. `noise` is drawn from only by ancestral samplers, not at the last step.
  at::Tensor step(std::int64_t i, const at::Tensor& velocity, const at::Tensor& x, Rng& noise);
  /// The same with given standard normal noise of x's shape, which only ancestral samplers use.
  virtual at::Tensor step(std::int64_t i, const at::Tensor& velocity, const at::Tensor& x,
                          const std::function<at::Tensor()>& noise) = 0;

  std::int64_t steps() const { return static_cast<std::int64_t>(schedule_.timesteps.size()); }
  double sigma(std::int64_t i) const { return schedule_.sigmas.at(static_cast<std::size_t>(i)); }
  double timestep(std::int64_t i) const { return schedule_.timesteps.at(static_cast<std::size_t>(i)); }

 protected:
  /// The published samplers hold their sigmas in float32. They are rounded here too: near 1 that moves 1 - sigma by a
  /// percent, and the steps of UniPC and Euler-ancestral with it.
  explicit Sampler(Schedule schedule);
  Schedule schedule_;
};

std::unique_ptr<Sampler> make_sampler(const SamplerConfig& config);

}  // namespace rehyat::diffusion
