#include "app/command.h"
#include "app/load_run.h"
#include "config/config.h"
#include "core/log.h"
#include "core/strings.h"
#include "stages/config.h"
#include "stages/plan.h"
#include "stages/runner.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

/// Every key of the file, a line each.
std::string all_settings() {
  stages::ExperimentConfig defaults;
  config::Fields fields;
  defaults.fields(fields);
  return config::documentation(fields);
}

/// Says what each stage would do and what they take together; refuses what one of them would refuse.
void plan_all(const Context& context, stages::Run& run, const std::vector<const stages::Stage*>& described) {
  json results = json::object();
  std::vector<stages::Plan> plans;
  std::int64_t disk = 0;
  for (const stages::Stage* stage : described) {
    const stages::Plan& plan = plans.emplace_back(stages::plan_stage(run, *stage, disk));
    disk += plan.disk_bytes;
    results[stage->name()] = plan.json;
  }
  context.result(results, stages::plans_text(plans));
  stages::require_accepted(plans);
}

}  // namespace

Command run_command() {
  Command command;
  command.name = "run";
  command.summary = "every stage that the file describes, in order, leaving out what is complete";
  command.example = "mpirun -n 2 rehyat run -c configs/demo.yaml";
  command.settings = all_settings();
  command.config = Command::Config::needed;
  command.dry_run = true;
  command.polls = true;
  command.run = [](const Context& context) {
    const bool dry = context.arguments.dry_run;
    const std::unique_ptr<stages::Run> run = load_run(context, dry ? stages::Purpose::plan : stages::Purpose::work);
    const auto described = stages::described_stages(*run, sections_of(context.arguments));
    if (dry) return plan_all(context, *run, described);
    json results = json::object();
    std::vector<std::string> texts;
    for (const stages::Stage* stage : described) {
      log::info("run: ", stage->name(), ", stage ", results.size() + 1, " of ", described.size());
      const json& result = results[stage->name()] = stages::run_stage(*run, *stage);
      texts.push_back(stages::result_text(*stage, result, run->folder(stage->name()).folder()));
    }
    context.result(results, join(texts, "\n\n"));
  };
  return command;
}

}  // namespace rehyat::app
