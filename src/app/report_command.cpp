#include <chrono>
#include <ctime>
#include <iomanip>
#include <memory>
#include <sstream>
#include <thread>

#include "app/command.h"
#include "app/load_experiment.h"
#include "app/report_parts.h"
#include "app/stages.h"
#include "core/strings.h"
#include "evaluate/finite_json.h"
#include "files/atomic_file.h"
#include "report/report.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;
using stages::Experiment;
using State = report::Check::State;

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[24];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

std::string word(State state) {
  return state == State::passed ? "passed" : state == State::missed ? "missed" : "info";
}

json checks_json(const report::ReportData& data) {
  json out = json::array();
  for (const auto& c : data.checks)
    out.push_back(
        {{"statement", c.statement}, {"measured", c.measured}, {"expected", c.expected}, {"state", word(c.state)}});
  return out;
}

json losses_json(const Losses& losses) {
  json out = {{"pointwise", losses.pointwise}, {"teacher", losses.teacher}, {"finetuned", losses.finetuned}};
  if (losses.undistilled) out["undistilled"] = *losses.undistilled;
  if (losses.distilled) out["distilled"] = *losses.distilled;
  if (losses.control) out["control"] = *losses.control;
  return out;
}

void add_headline(report::ReportData& data, Experiment& experiment) {
  const models::BlockMap blocks = experiment.blocks();
  data.title = experiment.config().report.title;
  data.subtitle = "A video diffusion transformer with softmax attention, no block of which is converted.";
  if (!blocks.empty()) {
    std::vector<std::string> parts, names;
    for (const auto& [attention, count] : models::attentions_of(blocks)) {
      const std::string of_all = parts.empty() ? cat(" of ", experiment.architecture().layers, " blocks ") : " ";
      parts.push_back(cat(count, of_all, attention.spec.kind->in_plain_words(attention.spec)));
      names.push_back(ops::to_string(attention.spec));
    }
    data.subtitle = cat("A video diffusion transformer with softmax attention (the teacher) is turned into a hybrid: ",
                        join(parts, "; "), ". In the settings this is called ", join(names, " and "), ".");
  }
  data.subtitle += " Losses and errors are on clips, prompts and seeds that were not trained on.";
  data.date = today();
  data.hardware = cat(std::thread::hardware_concurrency(), " CPU cores, ", experiment.device().str());
}

/// The stages that the report reads; `run` and the messages name the first that is missing.
std::vector<std::pair<std::string, stages::Stage>> needed_stages(Experiment& experiment) {
  std::vector<std::pair<std::string, stages::Stage>> out = {{"prepare", experiment.dataset_stage()}};
  if (experiment.config().model.weights.empty()) out.emplace_back("pretrain", experiment.pretrain_stage());
  if (!experiment.blocks().empty()) out.emplace_back("distill", experiment.distill_stage());
  out.emplace_back("finetune", experiment.finetune_stage());
  return out;
}

std::string text_of(const json& result) {
  std::ostringstream text;
  for (const json& c : result.at("checks"))
    text << "  " << std::left << std::setw(8) << c.at("state").get<std::string>()
         << c.at("statement").get<std::string>() << ": " << c.at("measured").get<std::string>()
         << " (expected: " << c.at("expected").get<std::string>() << ")\n";
  for (const json& s : result.at("stages")) {
    const double budget = s.at("budget_seconds");
    text << "  " << std::left << std::setw(20) << s.at("name").get<std::string>() << human_seconds(s.at("seconds"))
         << (budget > 0 ? " of " + human_seconds(budget) : "") << "\n";
  }
  text << "report: " << std::filesystem::absolute(result.at("report").get<std::string>()).string();
  return text.str();
}

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> out;
  if (path.empty()) return out;
  std::istringstream lines(read_file(path, 1 << 20));
  for (std::string line; std::getline(lines, line);) out.push_back(line);
  return out;
}

void write_report(Context& context, const std::string& commands) {
  Experiment experiment = load_experiment(context);
  if (context.arguments.dry_run) {
    const json needs = report_needs(experiment);
    context.result(needs, cat("report: would write ", needs.at("report").get<std::string>(), "\n", needs.dump(2)));
    return;
  }
  const json result = run_report(experiment, lines_of(commands));
  context.result(result, text_of(result));
}

}  // namespace

Experiment control_of(const Experiment& experiment) {
  models::HybridConfig none = experiment.config().hybrid;
  none.groups.clear();
  none.blocks.list = std::vector<std::int64_t>{};
  return experiment.with_hybrid(none);
}

json report_needs(Experiment& experiment) {
  json stages = json::object();
  for (const auto& [name, stage] : needed_stages(experiment)) stages[name] = stage.complete();
  Experiment control = control_of(experiment);
  return {{"report", (experiment.config().run.dir / "report.html").string()},
          {"complete", stages},
          {"control_complete", control.finetune_stage().complete()},
          {"videos", experiment.config().report.prompts * (experiment.blocks().empty() ? 2 : 4)}};
}

json run_report(Experiment& experiment, const std::vector<std::string>& commands) {
  const auto start = std::chrono::steady_clock::now();
  experiment.world().together([&] {
    for (const auto& [name, stage] : needed_stages(experiment)) stage.require_complete();
  });
  Experiment control = control_of(experiment);
  report::ReportData data;
  add_headline(data, experiment);
  const Losses losses = measure_losses(experiment, control);
  add_losses(data, losses,
             cat("run `rehyat finetune` with ",
                 experiment.config().hybrid.groups.empty() ? "hybrid.blocks=[]" : "\"hybrid={blocks: []}\"",
                 " for the comparison"));
  if (!experiment.blocks().empty()) add_distillation(data, experiment);
  add_curves(data, experiment, control);
  add_denoised(data, experiment);
  add_comparisons(data, experiment);
  add_costs(data, experiment);
  add_stages(data, experiment, control);
  data.commands = commands;
  data.config_yaml = config::yaml(config::to_json(experiment.config()));
  add_environment(data, experiment);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  data.stages.push_back({"report", experiment.config().report.budget.report, seconds});
  const std::filesystem::path path = experiment.config().run.dir / "report.html";
  experiment.world().together([&] {
    if (experiment.world().rank() == 0) write_file_atomic(path, report::render_html(data));
  });
  json stages = json::array();
  for (const auto& s : data.stages)
    stages.push_back({{"name", s.name}, {"budget_seconds", s.budget_seconds}, {"seconds", s.seconds}});
  return evaluate::finite_json({{"report", path.string()},
                                {"losses", losses_json(losses)},
                                {"checks", checks_json(data)},
                                {"stages", stages},
                                {"seconds", seconds}});
}

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
