#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "config/config.h"
#include "report/report.h"
#include "stages/run.h"

/// The parts of the report's data; all collective where they run a model.
namespace rehyat::stages {

/// Validation losses on the same held-out points; absent where the run has no such model.
struct Losses {
  double pointwise = 0, teacher = 0, finetuned = 0;
  std::optional<double> undistilled, distilled, control;

  void fields(config::Fields& f);
};

/// One series of a training's metrics.jsonl: (step, value) of every line that has the key; steps count from 1.
report::Series metrics_series(const std::filesystem::path& folder, const std::string& key, const std::string& name);

Losses measure_losses(Run& run, Run& control);
void add_losses(report::ReportData& data, const Losses& losses, const std::string& how_to_get_control);
void add_distillation(report::ReportData& data, Run& run);
void add_curves(report::ReportData& data, Run& run, Run& control);
/// Held-out clips, the same with noise, and what every model takes them for; also as MP4 in the run's folder.
void add_denoised(report::ReportData& data, Run& run);
/// Videos of every model for the first prompts, from the same noise; also as MP4 in the run's folder.
void add_comparisons(report::ReportData& data, Run& run);
void add_costs(report::ReportData& data, Run& run);
/// Every stage that is complete, with its time and its budget.
void add_stages(report::ReportData& data, Run& run, Run& control);
void add_environment(report::ReportData& data, Run& run);
/// How many models' videos are compared.
std::int64_t compared_models(Run& run);

}  // namespace rehyat::stages
