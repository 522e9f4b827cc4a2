#pragma once

#include "config/config.h"
#include "diffusion/flow_matching.h"
#include "tensor/precision.h"
#include "train/config.h"

namespace rehyat::finetune {

/// The `pretrain` and `finetune` sections: flow matching of all parameters.
struct FlowTrainingConfig {
  train::TrainConfig train;
  diffusion::FlowConfig flow;
  std::int64_t global_batch = 16;  ///< samples of a step, over all ranks
  std::int64_t micro_batch = 1;    ///< samples run at once on one rank
  double caption_dropout = 0.1;
  Precision precision = Precision::automatic;
  std::int64_t validation_samples = 64;  ///< fixed (clip, sigma, noise) points

  void fields(config::Fields& f);
  void validate() const;
};

}  // namespace rehyat::finetune
