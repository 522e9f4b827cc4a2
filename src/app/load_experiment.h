#pragma once

#include <set>
#include <string>

#include "analysis/cost.h"
#include "app/command.h"
#include "stages/experiment.h"

namespace rehyat::app {

/// Reads the config on every rank; throws UsageError with file:line:column. Warns where the teacher was not made by
/// this program and the encoders are the embedded ones, which it has never seen.
stages::Experiment load_experiment(const Context& context);

/// The sections that the file or an override names: `run` does what is described.
std::set<std::string> sections_of(const Arguments& arguments);

/// The size of the experiment's video for the cost model.
analysis::VideoSize video_of(stages::Experiment& experiment);
/// The attention of every block as the experiment configures it.
std::vector<analysis::BlockChoice> block_choices(stages::Experiment& experiment);

}  // namespace rehyat::app
