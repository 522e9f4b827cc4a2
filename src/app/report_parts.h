#pragma once

#include <optional>

#include "report/report.h"
#include "stages/experiment.h"

/// The parts of the report's data; all collective where they run a model.
namespace rehyat::app {

/// Validation losses on the same held-out points; absent where the run has no such model.
struct Losses {
  double pointwise = 0, teacher = 0, finetuned = 0;
  std::optional<double> undistilled, distilled, control;
};

Losses measure_losses(stages::Experiment& experiment, stages::Experiment& control);
void add_losses(report::ReportData& data, const Losses& losses, const std::string& how_to_get_control);
void add_distillation(report::ReportData& data, stages::Experiment& experiment);
void add_curves(report::ReportData& data, stages::Experiment& experiment, stages::Experiment& control);
/// Held-out clips, the same with noise, and what every model takes them for; also as MP4 in the run's folder.
void add_denoised(report::ReportData& data, stages::Experiment& experiment);
/// Videos of every model for the first prompts, from the same noise; also as MP4 in the run's folder.
void add_comparisons(report::ReportData& data, stages::Experiment& experiment);
void add_costs(report::ReportData& data, stages::Experiment& experiment);
/// Every stage that is complete, with its time and its budget.
void add_stages(report::ReportData& data, stages::Experiment& experiment, stages::Experiment& control);
void add_environment(report::ReportData& data, const stages::Experiment& experiment);

}  // namespace rehyat::app
