#pragma once

#include "analysis/cost.h"
#include "data/config.h"
#include "models/hybrid.h"

/// The cost model's view of an experiment.
namespace rehyat::stages {

analysis::VideoSize video_of(const data::DataConfig& config, const models::VideoGeometry& geometry);

/// TFLOP of one training step of `samples` videos, forward and backward, with these blocks converted.
double training_step_tflops(const models::Architecture& model, const models::BlockMap& blocks,
                            const analysis::VideoSize& video, std::int64_t samples);

}  // namespace rehyat::stages
