#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "config/config.h"
#include "diffusion/samplers.h"
#include "distill/loss.h"
#include "tensor/precision.h"
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
  std::int64_t keep_per_trajectory = 10;       ///< (step, guidance branch) points kept of each trajectory
  double validation_share = 0.1;               ///< of the prompts; their trajectories are never trained on
  Precision precision = Precision::automatic;  ///< of the teacher's matrix products
  CacheType type = CacheType::bf16;
  bool store_targets = false;  ///< also keep the teacher's attention outputs
  std::int64_t quota = 500'000'000'000;

  CacheConfig();
  void fields(config::Fields& f);
};

enum class Source { cache, online };

/// `distill.online`: the teacher runs beside the students, with the settings of the `cache` section, and nothing of it
/// is written to disk. Training goes in rounds of equal length; each has the points of new trajectories.
struct OnlineConfig {
  std::int64_t rounds = 10;
  std::int64_t trajectories = 4;         ///< new ones a round
  std::int64_t memory = 16'000'000'000;  ///< bytes of the points held at once, over all ranks

  void fields(config::Fields& f);
};

/// The `distill` section.
struct DistillConfig {
  Source source = Source::cache;
  std::optional<OnlineConfig> online;          ///< for source online alone
  Precision precision = Precision::automatic;  ///< of the matrix products; phi's weights and the loss are float32
  /// Bytes of training points that a rank keeps ready on its device and in the host's memory; unset: what is free.
  std::optional<std::int64_t> keep_on_device, keep_on_host;
  Loss loss = Loss::l1;
  std::int64_t threads = 1;  ///< per rank, on CPUs: fixed, so that the result does not depend on the number of ranks
  std::int64_t validation_samples = 16;
  train::TrainConfig train;

  DistillConfig();
  void fields(config::Fields& f);
  void validate() const;
};

}  // namespace rehyat::distill
