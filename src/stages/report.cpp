#include "report/report.h"

#include <chrono>
#include <cmath>
#include <ctime>
#include <sstream>
#include <thread>

#include "comm/root.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "files/atomic_file.h"
#include "stages/builtin.h"
#include "stages/costs.h"
#include "stages/report_parts.h"
#include "stages/sample_request.h"
#include "stages/setting_sides.h"
#include "stages/stage.h"

namespace rehyat::stages {
namespace {

struct ReportedCheck {
  std::string statement, measured, expected, state;

  void fields(config::Fields& f) {
    f.add("statement", statement, "what was put to the test");
    f.add("measured", measured, "what came out");
    f.add("expected", expected, "what would pass");
    f.add("state", state, "passed, missed or info");
  }
};

struct ReportedStage {
  std::string name;
  double budget_seconds = 0, seconds = 0;

  void fields(config::Fields& f) {
    f.add("name", name, "of the stage");
    f.add("budget_seconds", budget_seconds, "that it may take; 0 = not set");
    f.add("seconds", seconds, "that it took");
  }
};

struct ReportResult {
  std::string report;  ///< the page
  Losses losses;
  std::vector<ReportedCheck> checks;
  std::vector<ReportedStage> stages;
  bool finite = true;  ///< no loss is NaN or infinite; JSON has neither

  void fields(config::Fields& f) {
    f.add("report", report, "the page");
    f.section("losses", losses, "on the same held-out points");
    f.list("checks", checks, "statements put to the test");
    f.list("stages", stages, "that are complete");
    f.add("finite", finite, "no loss is NaN or infinite");
  }
};

/// Replaces NaN and infinity, which JSON cannot hold, by a huge number.
void make_finite(double& loss, bool& finite) {
  if (std::isfinite(loss)) return;
  loss = 1e308;
  finite = false;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[24];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

std::string word(report::Check::State state) {
  using State = report::Check::State;
  return state == State::passed ? "passed" : state == State::missed ? "missed" : "info";
}

void add_headline(report::ReportData& data, Run& run) {
  const models::BlockMap& blocks = run.models().blocks();
  data.title = run.config().report.title;
  data.subtitle = "A video diffusion transformer with softmax attention, no block of which is converted.";
  if (!blocks.empty()) {
    std::vector<std::string> parts, names;
    for (const auto& [attention, count] : models::attentions_of(blocks)) {
      const std::string of_all = parts.empty() ? cat(" of ", run.models().architecture().layers, " blocks ") : " ";
      parts.push_back(cat(count, of_all, attention.spec.kind->in_plain_words(attention.spec)));
      names.push_back(ops::to_string(attention.spec));
    }
    data.subtitle = cat("A video diffusion transformer with softmax attention (the teacher) is turned into a hybrid: ",
                        join(parts, "; "), ". In the settings this is called ", join(names, " and "), ".");
  }
  data.subtitle += " Losses and errors are on clips, prompts and seeds that were not trained on.";
  data.date = today();
  const at::Device device = run.device().get();
  data.hardware = cat(std::thread::hardware_concurrency(), " CPU cores", device.is_cpu() ? "" : ", " + device.str());
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::vector<std::string> out;
  if (path.empty()) return out;
  std::istringstream lines(read_file(path, 1 << 20));
  for (std::string line; std::getline(lines, line);) out.push_back(line);
  return out;
}

class ReportStage : public StageOf<ReportResult> {
 public:
  std::string name() const override { return "report"; }
  StageHelp help() const override {
    return {.summary = "one HTML page: losses, errors, curves, videos side by side, costs and times",
            .example = "rehyat report -c configs/demo.yaml"};
  }
  nlohmann::ordered_json identity(Run& run) const override {
    return {{"format", 2},
            {"finetune", run.folder("finetune").fingerprint()},
            {"report", deciding("report", config::to_json(run.config().report))},
            {"sample", deciding("sample", config::to_json(run.config().sample))}};
  }
  std::vector<std::string> reads(Run& run) const override {
    std::vector<std::string> out = {"prepare"};
    for (const std::string& stage : run.models().made_by(TrainedModel::teacher)) out.push_back(stage);
    if (!run.models().blocks().empty()) out.emplace_back("distill");
    out.emplace_back("finetune");
    return out;
  }
  bool is_goal(const std::set<std::string>& sections) const override { return sections.contains(name()); }
  bool always_anew() const override { return true; }

  Needs needs(Run& run) const override {
    Needs needs;
    needs.control_complete = run.control()->folder("finetune").complete();
    needs.videos = run.config().report.prompts * compared_models(run);
    return needs;
  }

 protected:
  ReportResult make(Run& run, const StageFolder& /*folder*/) const override {
    const auto start = std::chrono::steady_clock::now();
    const std::unique_ptr<Run> control = run.control();
    control->find(run.registry().at("finetune"));
    ReportResult result;
    result.report = (run.config().run.dir / "report.html").string();
    report::ReportData data;
    add_headline(data, run);
    result.losses = measure_losses(run, *control);
    const char* none = run.config().hybrid.groups.empty() ? "hybrid.blocks=[]" : "\"hybrid={blocks: []}\"";
    add_losses(data, result.losses, cat("run `rehyat finetune` with ", none, " for the comparison"));
    if (!run.models().blocks().empty()) add_distillation(data, run);
    add_curves(data, run, *control);
    add_denoised(data, run);
    add_comparisons(data, run);
    add_costs(data, run);
    add_stages(data, run, *control);
    data.commands = lines_of(run.config().report.commands);
    data.config_yaml = config::yaml(config::to_json(run.config()));
    add_environment(data, run);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    data.stages.push_back({name(), run.config().report.budget.report, seconds});
    comm::on_root(run.world(), [&] { write_file_atomic(result.report, report::render_html(data)); });
    Losses& losses = result.losses;
    for (double* loss : {&losses.pointwise, &losses.teacher, &losses.finetuned}) make_finite(*loss, result.finite);
    for (std::optional<double>* loss : {&losses.undistilled, &losses.distilled, &losses.control})
      if (*loss) make_finite(**loss, result.finite);
    for (const auto& c : data.checks) result.checks.push_back({c.statement, c.measured, c.expected, word(c.state)});
    for (const auto& s : data.stages) result.stages.push_back({s.name, s.budget_seconds, s.seconds});
    return result;
  }

  std::string told(const Timed<ReportResult>& timed) const override {
    TextList checks, stages;
    for (const ReportedCheck& c : timed.result.checks)
      checks.add(c.state, cat(c.statement, ": ", c.measured, " (expected: ", c.expected, ")"));
    for (const ReportedStage& s : timed.result.stages)
      stages.add(s.name, cat(human_seconds(s.seconds), s.budget_seconds > 0 ? " of " : "",
                             s.budget_seconds > 0 ? human_seconds(s.budget_seconds) : std::string()));
    return cat(checks.text(), stages.text(), "report: ", std::filesystem::absolute(timed.result.report).string());
  }
};

}  // namespace

std::shared_ptr<const Stage> report_stage() {
  return std::make_shared<ReportStage>();
}

}  // namespace rehyat::stages
