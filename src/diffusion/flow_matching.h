#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "config/config.h"
#include "core/rng.h"

/// Rectified-flow matching: x_sigma = (1 - sigma) x0 + sigma eps, the model predicts the velocity eps - x0 at timestep
/// 1000 sigma.
namespace rehyat::diffusion {

enum class NoiseLevels { uniform, logit_normal };

/// How training draws noise levels: sigma = s u / (1 + (s-1) u), u uniform or logit-normal.
struct FlowConfig {
  std::optional<double> shift;  ///< s; unset: kDefaultShift
  NoiseLevels levels = NoiseLevels::logit_normal;
  std::optional<double> mean, spread;  ///< of the logit; unset: 0 and 1

  void fields(config::Fields& f);
  void validate() const;
};

/// Wan2.1's own shift, where nothing else is said.
constexpr double kDefaultShift = 8.0;
constexpr double kTimesteps = 1000;

/// sigma -> s sigma / (1 + (s-1) sigma).
double shift_sigma(double sigma, double shift);

/// One draw of sigma in (0, 1).
double draw_sigma(const FlowConfig& config, Rng& rng);

/// x0, eps of one shape -> x_sigma.
at::Tensor noised(const at::Tensor& x0, const at::Tensor& noise, double sigma);
/// eps - x0.
at::Tensor velocity(const at::Tensor& x0, const at::Tensor& noise);

/// cond and uncond predictions -> uncond + guidance (cond - uncond), float32.
at::Tensor guided(const at::Tensor& conditional, const at::Tensor& unconditional, double guidance);

}  // namespace rehyat::diffusion
