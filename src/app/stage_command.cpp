#include "app/command.h"
#include "app/load_run.h"
#include "stages/plan.h"
#include "stages/runner.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

void tell(const Context& context, const stages::Stage& stage, json result, const std::filesystem::path& folder) {
  const std::string text = stages::result_text(stage, result, folder);
  if (!result.contains("folder")) result["folder"] = folder.string();
  context.result(result, text);
}

}  // namespace

void run_stage_command(const Context& context, const stages::Stage& stage) {
  const bool dry = context.arguments.dry_run;
  const std::unique_ptr<stages::Run> run = load_run(context, dry ? stages::Purpose::plan : stages::Purpose::work);
  if (dry) {
    const stages::Plan plan = stages::plan_stage(*run, stage);
    context.result(plan.json, plan.text);
    return stages::require_accepted({plan});
  }
  try {
    const json result = stages::run_stage(*run, stage);
    tell(context, stage, result, run->folder(stage.name()).folder());
  } catch (const stages::FailedCheck& failed) {
    tell(context, stage, failed.result(), run->folder(stage.name()).folder());
    throw;
  }
}

Command stage_command(const stages::Stage& stage) {
  stages::StageHelp help = stage.help();
  Command command;
  command.name = stage.name();
  command.summary = std::move(help.summary);
  command.example = std::move(help.example);
  command.settings = std::move(help.settings);
  command.config = Command::Config::needed;
  command.dry_run = true;
  command.polls = help.polls;
  command.run = [&stage](const Context& context) { run_stage_command(context, stage); };
  return command;
}

}  // namespace rehyat::app
