#pragma once

#include <cstdint>
#include <optional>

#include "config/config.h"
#include "diffusion/flow_matching.h"
#include "models/recompute_policy.h"
#include "tensor/precision.h"
#include "train/config.h"

namespace rehyat::finetune {

/// What a step runs again in its backward pass; `automatic`: the least that the memory allows.
enum class RecomputePolicy { automatic, none, selective, full };

/// The parameters that training changes: all, or of the converted blocks all, the self-attention or the feature maps.
enum class Trainable { all, blocks, attention, feature_maps };

/// The `pretrain` and `finetune` sections: flow matching of all parameters, or of some.
struct FlowTrainingConfig {
  train::TrainConfig train;
  diffusion::FlowConfig flow;
  std::int64_t global_batch = 16;  ///< samples of a step, over all ranks
  std::int64_t micro_batch = 1;    ///< samples run at once on one rank
  double caption_dropout = 0.1;
  Trainable trainable = Trainable::all;
  Precision precision = Precision::automatic;
  RecomputePolicy recompute = RecomputePolicy::automatic;  ///< decides time and memory, and no number
  std::optional<std::int64_t> memory;                      ///< bytes within which `automatic` decides
  models::RecomputePlan automatic_plan;                    ///< no setting: what `automatic` was decided to be
  std::int64_t validation_samples = 64;                    ///< fixed (clip, sigma, noise) points

  void fields(config::Fields& f);
  void validate() const;
  /// What blocks run again; `automatic` keeps everything until somebody who knows the memory decides.
  models::RecomputePlan decided_recompute() const;
};

}  // namespace rehyat::finetune
