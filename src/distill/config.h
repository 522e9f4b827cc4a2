#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/config.h"
#include "diffusion/samplers.h"
#include "distill/loss.h"
#include "train/config.h"

namespace rehyat::distill {

enum class CacheType { f32, bf16 };

/// The `cache` section: which points of the teacher's trajectories are kept (paper, Eq. 19: prompts x noise samples x
/// denoising steps).
struct CacheConfig {
  std::filesystem::path prompts;     ///< one a line; empty: the captions of the training clips
  std::int64_t max_prompts = 0;      ///< 0 = all
  std::int64_t seeds = 1;            ///< trajectories a prompt
  diffusion::SamplerConfig sampler;  ///< Euler-ancestral, 50 steps
  double guidance = 5.0;
  std::int64_t keep_per_trajectory = 10;  ///< (step, guidance branch) points kept of each trajectory
  double validation_share = 0.1;          ///< of the prompts; their trajectories are never trained on
  CacheType type = CacheType::bf16;
  bool store_targets = false;  ///< also keep the teacher's attention outputs
  std::int64_t quota = 500'000'000'000;

  CacheConfig();
  void fields(config::Fields& f);
};

/// The `distill` section.
struct DistillConfig {
  Loss loss = Loss::l1;
  std::int64_t threads = 1;  ///< per rank, on CPUs: fixed, so that the result does not depend on the number of ranks
  std::int64_t validation_samples = 16;
  train::TrainConfig train;

  DistillConfig();
  void fields(config::Fields& f);
};

}  // namespace rehyat::distill
