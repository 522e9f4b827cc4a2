#pragma once

#include "analysis/cost.h"
#include "app/command.h"
#include "pipeline/experiment.h"

namespace rehyat::app {

/// Reads the config on every rank; throws UsageError with file:line:column.
pipeline::Experiment load_experiment(const Context& context);

/// What a stage would need: samples, disk, memory, FLOPs.
nlohmann::ordered_json requirements(pipeline::Experiment& experiment, const std::string& stage);

/// The sizes of the experiment's model and video for the cost model.
analysis::Dimensions dimensions_of(const models::WanConfig& config);
analysis::VideoSize video_of(const data::DataConfig& config);

}  // namespace rehyat::app
