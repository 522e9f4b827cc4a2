#include <chrono>
#include <ctime>
#include <fstream>
#include <iomanip>
#include <limits>
#include <sstream>
#include <thread>

#include "analysis/cost.h"
#include "app/command.h"
#include "app/load_experiment.h"
#include "core/atomic_file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/strings.h"
#include "data/video.h"
#include "finetune/flow_task.h"
#include "report/report.h"
#include "sampling/generate.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;
using pipeline::Experiment;
using pipeline::WhichModel;
using State = report::Check::State;

std::string digits(double value, int precision = 4) {
  std::ostringstream out;
  out << std::setprecision(precision) << value;
  return out.str();
}

struct Losses {
  double pointwise = 0, teacher = 0, undistilled = 0, distilled = 0, finetuned = 0, control = 0;
};

/// Every model on the same held-out points.
Losses measure(Experiment& experiment, Experiment& control) {
  const finetune::FlowTrainingConfig& config = experiment.config().finetune;
  const auto points = finetune::validation_points(experiment.dataset(), config, experiment.config().run.seed);
  std::vector<at::Tensor> latents;
  for (std::int64_t i = 0; i < experiment.dataset().size(data::Split::train); ++i)
    latents.push_back(experiment.dataset().get(data::Split::train, i).latents);
  const auto loss = [&](Experiment& from, WhichModel which) {
    models::WanTransformer model = from.load(which);
    return finetune::validation_loss(model, points, at::kFloat, experiment.world());
  };
  Losses out;
  out.pointwise = finetune::pointwise_loss(finetune::PointwisePredictor(latents), points);
  out.teacher = loss(experiment, WhichModel::teacher);
  out.undistilled = loss(experiment, WhichModel::undistilled);
  out.distilled = loss(experiment, WhichModel::distilled);
  out.finetuned = loss(experiment, WhichModel::finetuned);
  out.control = loss(control, WhichModel::finetuned);
  return out;
}

void add_losses(report::ReportData& data, const Losses& l) {
  data.losses = {
      {"best predictor that sees no context", l.pointwise,
       "posterior mean of each value from its own noisy value, the noise level and its channel's distribution"},
      {"teacher", l.teacher, "softmax attention in every block"},
      {"hybrid, not distilled", l.undistilled, "converted blocks with feature maps as they start"},
      {"hybrid, distilled", l.distilled, "feature maps distilled block by block; nothing else trained"},
      {"hybrid, finetuned", l.finetuned, "all parameters, flow matching"},
      {"teacher trained on", l.control,
       "softmax attention, for the same total number of steps as the finetuned hybrid"}};
  const auto check = [](bool held) { return held ? State::passed : State::missed; };
  data.checks.push_back({"The teacher beats the best predictor that sees no context",
                         digits(l.teacher) + " against " + digits(l.pointwise), "below 0.8 of it",
                         check(l.teacher < 0.8 * l.pointwise)});
  data.checks.push_back({"The finetuned hybrid is within 5 % of the teacher trained for the same number of steps",
                         digits(l.finetuned) + " against " + digits(l.control) + " (" +
                             digits(100 * (l.finetuned / l.control - 1), 3) + " %)",
                         "at most 5 % above", check(l.finetuned <= 1.05 * l.control)});
}

void add_distillation(report::ReportData& data, const json& summary, const std::string& attention) {
  for (const json& r : summary.at("blocks"))
    data.errors.push_back({r.at("block"), attention, r.at("window_only"), r.at("untrained"), r.at("distilled")});
  const double window = summary.at("window_only"), before = summary.at("untrained"), after = summary.at("distilled");
  data.checks.push_back({"Distillation lowers the mean relative error of the attention outputs",
                         digits(before, 3) + " to " + digits(after, 3), "below that of untrained feature maps",
                         after < before ? State::passed : State::missed});
  data.checks.push_back({"The linear branch is worth having",
                         digits(after, 3) + " against " + digits(window, 3) + " for the windowed softmax alone",
                         "at least a quarter lower", after <= 0.75 * window ? State::passed : State::missed});
}

/// One series of metrics.jsonl: (step, value) of every line that has the key.
report::Series series_of(const std::filesystem::path& folder, const std::string& key, const std::string& name) {
  report::Series series{name, {}};
  const auto path = folder / "metrics.jsonl";
  if (!std::filesystem::exists(path)) return series;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    const json values = parse_json_if(line).value_or(json());
    if (values.is_object() && values.contains(key) && values.contains("step"))
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
        series_of(experiment.finetune_stage().folder(), "validation_loss", "hybrid, validation"),
        series_of(control.finetune_stage().folder(), "validation_loss", "teacher trained on, validation")}});
  report::Chart distillation{"Distillation: loss of each block", "step", "L1", true, {}};
  for (const auto& item : models::resolve(experiment.config().hybrid, experiment.architecture().layers)) {
    char name[32];
    std::snprintf(name, sizeof name, "phi-%05lld", static_cast<long long>(item.first));
    distillation.series.push_back(
        smoothed(series_of(experiment.distill_stage().folder() / name, "loss", cat("block ", item.first)), 10));
  }
  data.charts.push_back(distillation);
}

report::Clip clip_of(Experiment& experiment, WhichModel which, const std::string& label, const std::string& prompt,
                     std::uint64_t sample, const std::filesystem::path& folder) {
  models::WanTransformer model = experiment.load(which);
  const sampling::Request request = experiment.sample_request(model, sample);
  log::info("report: sampling \"", prompt, "\" from ", label);
  const at::Tensor frames = experiment.decode(
      sampling::generate(model, request, experiment.encode_prompt(prompt), experiment.encode_prompt("")));
  const auto path = folder / cat("report-", sample, '-', static_cast<int>(which), ".mp4");
  data::write_video(path, frames, experiment.config().data.fps);
  report::Clip clip{label, read_file(path), {}};
  for (std::int64_t i = 0; i < 5; ++i)
    clip.png_frames.push_back(data::encode_png(frames[i * (frames.size(0) - 1) / 4]));
  return clip;
}

void add_comparisons(report::ReportData& data, Experiment& experiment, const std::filesystem::path& folder) {
  const auto prompts = experiment.sample_prompts();
  const auto count =
      std::min<std::size_t>(prompts.size(), static_cast<std::size_t>(experiment.config().report.prompts));
  for (std::size_t i = 0; i < count; ++i) {
    report::Comparison comparison{prompts[i], experiment.config().sample.seed, {}};
    for (const auto& [which, label] :
         std::vector<std::pair<WhichModel, std::string>>{{WhichModel::teacher, "teacher"},
                                                         {WhichModel::undistilled, "hybrid, not distilled"},
                                                         {WhichModel::distilled, "hybrid, distilled"},
                                                         {WhichModel::finetuned, "hybrid, finetuned"}}) {
      comparison.clips.push_back(clip_of(experiment, which, label, prompts[i], i, folder));
    }
    data.comparisons.push_back(std::move(comparison));
  }
}

void add_costs(report::ReportData& data, Experiment& experiment) {
  const auto row = [&](const std::string& label, const analysis::Dimensions& d, const analysis::VideoSize& video,
                       const ops::AttentionSpec& spec, const ops::FeatureMapConfig& phi) {
    const analysis::BlockCost c = analysis::block_cost(d, video, spec, phi);
    data.costs.push_back({label, c.block_tflops_paper,
                          c.block_tflops_recurrent.value_or(std::numeric_limits<double>::quiet_NaN()),
                          c.attention_tflops, c.state_bytes, c.ring_bytes});
  };
  const models::BlockAttention& attention = experiment.config().hybrid.attention;
  const std::string name = ops::to_string(attention.spec);
  row("this model, softmax", dimensions_of(experiment.architecture()), video_of(experiment.config().data),
      {.kind = ops::AttentionKind::softmax}, attention.phi);
  row("this model, " + name, dimensions_of(experiment.architecture()), video_of(experiment.config().data),
      attention.spec, attention.phi);
  row("Wan2.1 1.3B at 480 x 832 x 81, softmax", {}, {}, {.kind = ops::AttentionKind::softmax}, attention.phi);
  row("Wan2.1 1.3B at 480 x 832 x 81, " + name, {}, {}, attention.spec, attention.phi);
}

void add_stages(report::ReportData& data, Experiment& experiment, Experiment& control) {
  const pipeline::BudgetConfig& budget = experiment.config().report.budget;
  const auto add = [&](const std::string& name, double seconds, const pipeline::Stage& stage) {
    if (stage.complete()) data.stages.push_back({name, seconds, stage.summary().value("seconds", 0.0)});
  };
  add("prepare", budget.prepare, experiment.prepare_stage());
  if (experiment.config().model.weights.empty()) add("pretrain", budget.pretrain, experiment.pretrain_stage());
  add("cache", budget.cache, experiment.cache_stage());
  add("distill", budget.distill, experiment.distill_stage());
  add("finetune", budget.finetune, experiment.finetune_stage());
  add("finetune (control)", budget.control, control.finetune_stage());
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[24];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

json checks_json(const report::ReportData& data) {
  json out = json::array();
  for (const auto& c : data.checks)
    out.push_back({{"statement", c.statement},
                   {"measured", c.measured},
                   {"expected", c.expected},
                   {"state", c.state == State::passed   ? "passed"
                             : c.state == State::missed ? "missed"
                                                        : "info"}});
  return out;
}

void write_report(Context& context, const std::string& commands) {
  require(context.world.size() == 1,
          [] { return "[report] found several ranks, expected one; start it without mpirun"; });
  Experiment experiment = load_experiment(context);
  models::HybridConfig none = experiment.config().hybrid;
  none.blocks.list = std::vector<std::int64_t>{};
  Experiment control = experiment.with_hybrid(none);
  const std::filesystem::path folder = experiment.config().run.dir;
  report::ReportData data;
  data.title = experiment.config().report.title;
  data.subtitle =
      cat("A softmax video diffusion transformer made recurrent: ",
          ops::to_string(experiment.config().hybrid.attention.spec), " in ",
          models::resolve(experiment.config().hybrid, experiment.architecture().layers).size(), " of ",
          experiment.architecture().layers, " blocks. Losses and errors are on held-out clips, prompts and seeds.");
  data.date = today();
  data.hardware = cat(std::thread::hardware_concurrency(), " CPU cores, ", experiment.device().str());
  const Losses losses = measure(experiment, control);
  add_losses(data, losses);
  add_distillation(data, experiment.distill_stage().summary(),
                   ops::to_string(experiment.config().hybrid.attention.spec));
  add_curves(data, experiment, control);
  add_comparisons(data, experiment, folder);
  add_costs(data, experiment);
  add_stages(data, experiment, control);
  if (!commands.empty()) {
    std::istringstream lines(read_file(commands, 1 << 20));
    for (std::string line; std::getline(lines, line);) data.commands.push_back(line);
  }
  data.config_yaml = config::yaml(config::to_json(experiment.config()));
  data.environment = {{"libtorch", TORCH_VERSION}, {"seed", std::to_string(experiment.config().run.seed)}};
  const std::filesystem::path path = folder / "report.html";
  write_file_atomic(path, report::render_html(data));
  const json result = {{"report", path.string()},
                       {"losses",
                        {{"pointwise", losses.pointwise},
                         {"teacher", losses.teacher},
                         {"undistilled", losses.undistilled},
                         {"distilled", losses.distilled},
                         {"finetuned", losses.finetuned},
                         {"control", losses.control}}},
                       {"checks", checks_json(data)}};
  std::ostringstream text;
  for (const auto& c : data.checks)
    text << (c.state == State::passed ? "  passed  " : "  missed  ") << c.statement << ": " << c.measured
         << " (expected: " << c.expected << ")\n";
  for (const auto& s : data.stages)
    text << "  " << std::left << std::setw(20) << s.name << human_seconds(s.seconds)
         << (s.budget_seconds > 0 ? " of " + human_seconds(s.budget_seconds) : "") << "\n";
  text << "report: " << std::filesystem::absolute(path).string();
  context.result(result, text.str());
}

}  // namespace

Command report_command() {
  Command command;
  command.name = "report";
  command.summary = "one HTML page: losses, errors, curves, videos side by side, costs and times";
  command.example = "rehyat report -c configs/demo.yaml";
  const auto commands = std::make_shared<std::string>();
  command.declare = [commands](CLI::App& app) {
    app.add_option("--commands", *commands, "text file with the commands that were run, shown on the page");
  };
  command.run = [commands](Context& context) { write_report(context, *commands); };
  return command;
}

}  // namespace rehyat::app
