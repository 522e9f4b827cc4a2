#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "stages/experiment.h"

/// What is made from the trained models: stages like those of Experiment, each with its folder, times and log, and
/// left alone when it is complete. Collective; each returns its summary.
namespace rehyat::app {

/// MP4, latents and settings of each prompt; "videos" and "seconds". A video counts as there when all its files are.
nlohmann::ordered_json run_sample(stages::Experiment& experiment);

/// A model folder in diffusers' layout, read back and compared whole; "folder", "dtype", "model", "bytes", "seconds".
nlohmann::ordered_json run_export(stages::Experiment& experiment);

/// report.html in the run's folder; "report", "losses", "checks", "stages", "seconds". `commands`: shown on the page.
nlohmann::ordered_json run_report(stages::Experiment& experiment, const std::vector<std::string>& commands);
/// What run_report would need: the stages that have to be complete, and whether they are. Reads markers only.
nlohmann::ordered_json report_needs(stages::Experiment& experiment);

/// The experiment with no block converted: the teacher trained on, with which the report compares.
stages::Experiment control_of(const stages::Experiment& experiment);

}  // namespace rehyat::app
