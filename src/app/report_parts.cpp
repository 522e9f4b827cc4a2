#include "app/report_parts.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <sstream>

#include "app/load_experiment.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "stages/environment.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;
using stages::Experiment;

/// One series of metrics.jsonl: (step, value) of every line that has the key.
report::Series series_of(const std::filesystem::path& folder, const std::string& key, const std::string& name) {
  report::Series series{name, {}};
  const auto path = folder / "metrics.jsonl";
  if (!std::filesystem::exists(path)) return series;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    const json values = parse_json_if(line).value_or(json());
    if (values.is_object() && values.contains("step") && values["step"].is_number() && values.contains(key) &&
        values[key].is_number())
      series.points.emplace_back(values["step"].get<double>() + 1, values[key].get<double>());
  }
  return series;
}

/// Means of `window` neighbouring points: flow matching losses are noisy.
report::Series smoothed(const report::Series& in, std::size_t window) {
  report::Series out{in.name, {}};
  for (std::size_t i = 0; i + window <= in.points.size(); i += window) {
    double x = 0, y = 0;
    for (std::size_t j = i; j < i + window; ++j) {
      x += in.points[j].first / static_cast<double>(window);
      y += in.points[j].second / static_cast<double>(window);
    }
    out.points.emplace_back(x, y);
  }
  return out;
}

}  // namespace

void add_curves(report::ReportData& data, Experiment& experiment, Experiment& control) {
  if (experiment.config().model.weights.empty()) {
    const auto folder = experiment.pretrain_stage().folder();
    data.charts.push_back({"Teacher: flow matching loss",
                           "step",
                           "loss",
                           true,
                           {smoothed(series_of(folder, "loss", "training, mean of 10 steps"), 10),
                            series_of(folder, "validation_loss", "validation")}});
  }
  data.charts.push_back(
      {"Finetuning: flow matching loss",
       "step",
       "loss",
       true,
       {smoothed(series_of(experiment.finetune_stage().folder(), "loss", "hybrid, mean of 10 steps"), 10),
        series_of(experiment.finetune_stage().folder(), "validation_loss", "hybrid, validation")}});
  if (control.finetune_stage().complete() && !experiment.blocks().empty())
    data.charts.back().series.push_back(
        series_of(control.finetune_stage().folder(), "validation_loss", "teacher trained on, validation"));
  if (experiment.blocks().empty()) return;
  report::Chart distillation{"Distillation: loss of each block", "step", "L1", true, {}};
  for (const auto& item : experiment.blocks()) {
    char name[32];
    std::snprintf(name, sizeof name, "phi-%05lld", static_cast<long long>(item.first));
    distillation.series.push_back(
        smoothed(series_of(experiment.distill_stage().folder() / name, "loss", cat("block ", item.first)), 10));
  }
  data.charts.push_back(std::move(distillation));
}

void add_costs(report::ReportData& data, Experiment& experiment) {
  const auto row = [&](const std::string& label, const models::Architecture& d, const analysis::VideoSize& video,
                       const ops::AttentionSpec& spec, const ops::FeatureMapConfig& phi) {
    const analysis::BlockCost c = analysis::block_cost(d, video, spec, phi);
    data.costs.push_back({label, c.block_tflops_paper,
                          c.block_tflops_recurrent.value_or(std::numeric_limits<double>::quiet_NaN()),
                          c.attention_tflops, c.state_bytes, c.ring_bytes});
  };
  auto groups = models::attentions_of(experiment.blocks());
  const models::Architecture own = experiment.architecture(),
                             wan = experiment.families().named("wan").architecture(json::object());
  const analysis::VideoSize video = video_of(experiment);
  const analysis::VideoSize usual{81, 480, 832, experiment.families().encoders().named("wan").published_geometry()};
  const ops::AttentionSpec softmax = analysis::softmax_block().attention;
  row("this model, softmax", own, video, softmax, {});
  for (const auto& [attention, count] : groups)
    row("this model, " + ops::to_string(attention.spec), own, video, attention.spec, attention.phi);
  if (groups.empty()) groups.emplace_back(experiment.config().hybrid.all_groups().front().attention, 0);
  row("Wan2.1 1.3B at 480 x 832 x 81, softmax", wan, usual, softmax, {});
  for (const auto& [attention, count] : groups)
    row("Wan2.1 1.3B at 480 x 832 x 81, " + ops::to_string(attention.spec), wan, usual, attention.spec, attention.phi);
}

void add_stages(report::ReportData& data, Experiment& experiment, Experiment& control) {
  const stages::BudgetConfig& budget = experiment.config().report.budget;
  const auto add = [&](const std::string& name, double seconds, const stages::Stage& stage) {
    if (stage.complete()) data.stages.push_back({name, seconds, stage.summary().value("seconds", 0.0)});
  };
  add("prepare", budget.prepare, experiment.dataset_stage());
  if (experiment.config().model.weights.empty()) add("pretrain", budget.pretrain, experiment.pretrain_stage());
  if (!experiment.blocks().empty()) {
    if (experiment.needs_cache()) add("cache", budget.cache, experiment.cache_stage());
    add("distill", budget.distill, experiment.distill_stage());
  }
  add("finetune", budget.finetune, experiment.finetune_stage());
  if (!experiment.blocks().empty()) add("finetune (control)", budget.control, control.finetune_stage());
  add("sample", budget.sample, experiment.sample_stage());
  add("verify", budget.verify, experiment.verify_stage());
  add("export", budget.export_, experiment.export_stage());
}

void add_environment(report::ReportData& data, const Experiment& experiment) {
  const json values = stages::environment(experiment.world(), experiment.device());
  for (const auto& [name, value] : values.items()) {
    if (name == "host") continue;  // the page is meant to be passed on
    data.environment.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  data.environment.emplace_back("seed", cat(experiment.config().run.seed));
}

}  // namespace rehyat::app
