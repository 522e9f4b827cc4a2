#include "stages/report_parts.h"

#include <algorithm>
#include <limits>
#include <sstream>

#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "stages/costs.h"
#include "stages/distill.h"
#include "stages/environment.h"

namespace rehyat::stages {
namespace {

using json = nlohmann::ordered_json;

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

report::Series metrics_series(const std::filesystem::path& folder, const std::string& key, const std::string& name) {
  report::Series series{name, {}};
  const auto path = folder / "metrics.jsonl";
  if (!std::filesystem::exists(path)) return series;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    const json values = parse_json_if(line).value_or(json());
    if (values.is_object() && values.contains("step") && values["step"].is_number() && values.contains(key) &&
        values[key].is_number())
      series.points.emplace_back(values["step"].get<double>(), values[key].get<double>());
  }
  return series;
}

void add_curves(report::ReportData& data, Run& run, Run& control) {
  if (!run.config().model.names_teacher()) {
    const auto folder = run.folder("pretrain").folder();
    data.charts.push_back({"Teacher: flow matching loss",
                           "step",
                           "loss",
                           true,
                           {smoothed(metrics_series(folder, "loss", "training, mean of 10 steps"), 10),
                            metrics_series(folder, "validation_loss", "validation")}});
  }
  data.charts.push_back(
      {"Finetuning: flow matching loss",
       "step",
       "loss",
       true,
       {smoothed(metrics_series(run.folder("finetune").folder(), "loss", "hybrid, mean of 10 steps"), 10),
        metrics_series(run.folder("finetune").folder(), "validation_loss", "hybrid, validation")}});
  if (control.folder("finetune").complete() && !run.models().blocks().empty())
    data.charts.back().series.push_back(
        metrics_series(control.folder("finetune").folder(), "validation_loss", "teacher trained on, validation"));
  if (run.models().blocks().empty()) return;
  report::Chart distillation{"Distillation: loss of each block", "step", "L1", true, {}};
  for (const auto& item : run.models().blocks()) {
    distillation.series.push_back(
        smoothed(metrics_series(run.folder("distill").folder() / distill::block_name(item.first), "loss",
                                cat("block ", item.first)),
                 10));
  }
  data.charts.push_back(std::move(distillation));
}

void add_costs(report::ReportData& data, Run& run) {
  const auto row = [&](const std::string& label, const models::Architecture& model, const analysis::VideoSize& video,
                       const ops::AttentionSpec& spec, const ops::FeatureMapConfig& phi) {
    const analysis::BlockCost c = analysis::block_cost(model, video, spec, phi);
    data.costs.push_back({label, c.block_tflops_paper,
                          c.block_tflops_recurrent.value_or(std::numeric_limits<double>::quiet_NaN()),
                          c.attention_tflops, c.state_bytes, c.ring_bytes});
  };
  auto groups = models::attentions_of(run.models().blocks());
  const models::ModelRegistry& families = run.models().families();
  const models::Architecture &own = run.models().architecture(),
                             wan = families.named("wan").architecture(json::object());
  const analysis::VideoSize video = video_of(run),
                            usual{81, 480, 832, families.encoders().named("wan").published_geometry()};
  const ops::AttentionSpec softmax = analysis::softmax_block().attention;
  row("this model, softmax", own, video, softmax, {});
  for (const auto& [attention, count] : groups)
    row("this model, " + ops::to_string(attention.spec), own, video, attention.spec, attention.phi);
  if (groups.empty()) groups.emplace_back(run.config().hybrid.all_groups().front().attention, 0);
  row("Wan2.1 1.3B at 480 x 832 x 81, softmax", wan, usual, softmax, {});
  for (const auto& [attention, count] : groups)
    row("Wan2.1 1.3B at 480 x 832 x 81, " + ops::to_string(attention.spec), wan, usual, attention.spec, attention.phi);
}

void add_stages(report::ReportData& data, Run& run, Run& control) {
  const nlohmann::ordered_json budgets = config::to_json(run.config().report.budget);
  const auto add = [&](const std::string& name, const std::string& budget, const StageFolder& folder) {
    if (folder.complete()) data.stages.push_back({name, budgets.value(budget, 0.0), folder.seconds()});
  };
  const Stage& report = run.registry().at("report");
  const std::vector<const Stage*> read = with_what_it_reads(run, report);
  for (const auto& stage : run.registry().all()) {
    // The stages that the report reads, and the goals that a config may ask for besides.
    const bool belongs =
        std::find(read.begin(), read.end(), stage.get()) != read.end() || stage->is_goal({stage->name()});
    if (!belongs || stage.get() == &report) continue;
    add(stage->name(), stage->name(), run.folder(stage->name()));
    if (stage->name() == "finetune" && !run.models().blocks().empty())
      add("finetune (control)", "control", control.folder("finetune"));
  }
}

void add_environment(report::ReportData& data, Run& run) {
  const json values = environment(run.world(), run.device().get());
  for (const auto& [name, value] : values.items()) {
    if (name == "host") continue;  // the page is meant to be passed on
    data.environment.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  data.environment.emplace_back("seed", cat(run.config().run.seed));
}

}  // namespace rehyat::stages
