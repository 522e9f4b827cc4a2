#pragma once

#include "analysis/cost.h"
#include "app/command.h"
#include "pipeline/experiment.h"

namespace rehyat::app {

/// Reads the config on every rank; throws UsageError with file:line:column.
pipeline::Experiment load_experiment(const Context& context);

/// The sizes of the experiment's model and video for the cost model.
analysis::Dimensions dimensions_of(const models::WanConfig& config);
analysis::VideoSize video_of(const data::DataConfig& config);

}  // namespace rehyat::app
