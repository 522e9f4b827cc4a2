#include "app/command.h"
#include "app/load_run.h"
#include "config/config.h"
#include "core/log.h"
#include "core/strings.h"
#include "stages/config.h"
#include "stages/runner.h"

namespace rehyat::app {
namespace {

/// Every key of the file, a line each.
std::string all_settings() {
  stages::ExperimentConfig defaults;
  config::Fields fields;
  defaults.fields(fields);
  return config::documentation(fields);
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
    const std::unique_ptr<stages::Run> run = load_run(context);
    const auto described = stages::described_stages(*run, sections_of(context.arguments));
    nlohmann::ordered_json results = nlohmann::ordered_json::object();
    std::vector<std::string> texts;
    for (const stages::Stage* stage : described) {
      if (context.arguments.dry_run) {
        const auto& plan = results[stage->name()] = stages::plan_stage(*run, *stage);
        texts.push_back(stages::plan_text(plan));
      } else {
        log::info("run: ", stage->name(), ", stage ", results.size() + 1, " of ", described.size());
        const auto& result = results[stage->name()] = stages::run_stage(*run, *stage);
        texts.push_back(stages::result_text(*stage, result, run->folder(stage->name()).folder()));
      }
    }
    context.result(results, join(texts, "\n\n"));
  };
  return command;
}

}  // namespace rehyat::app
