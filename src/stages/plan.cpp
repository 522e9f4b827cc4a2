#include "stages/plan.h"

#include "comm/root.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "stages/nearest_other.h"
#include "stages/needs.h"
#include "stages/runner.h"

namespace rehyat::stages {
namespace {

using json = nlohmann::ordered_json;

/// What the stage would refuse before it begins; empty where nothing is known to stand in its way.
std::string refusal_of(Run& run, const Stage& stage, const StageFolder& folder) {
  try {
    stage.check(run, folder);
    return "";
  } catch (const UserError& error) {
    return error.what();
  }
}

/// What is missing for all stages of a run, and what was assumed for it.
TextList missing_of(const json& plan) {
  TextList list;
  for (const json& file : plan.value("missing", json::array())) list.add("missing", file.get<std::string>());
  if (plan.contains("assumed")) list.add("assumed", "the sizes of " + plan["assumed"].get<std::string>());
  return list;
}

/// One stage; `list` begins with what is missing, or is empty where that was said before.
std::string plan_text(const json& plan, TextList list, const Needs& needs, const Machine& machine,
                      const std::filesystem::path& run_folder) {
  std::vector<std::string> before;
  for (const auto& [name, complete] : plan.at("reads").items()) {
    if (!complete.get<bool>()) before.push_back(name);
  }
  if (!before.empty()) list.add("run first", join(before, ", "));
  if (plan.contains("refused")) list.add("refused", plan["refused"].get<std::string>());
  if (plan.contains("nearest")) list.add("begins anew", plan["nearest"].get<std::string>());
  needs.tell(list, machine);
  const bool named = plan.contains("folder");
  return cat(plan.at("stage").get<std::string>(),
             plan.at("complete").get<bool>() ? ": complete in " : ": would work in ",
             named ? plan["folder"].get<std::string>() : run_folder.string(),
             named ? "" : ", in a folder that gets its name once the missing files are there", "\n", list.text("  "));
}

/// On rank 0.
json plan_on_root(Run& run, const Stage& stage, std::int64_t disk_before) {
  const StageFolder folder = run.folder(stage.name());
  const std::vector<std::string> missing = run.missing();
  const bool complete = missing.empty() && is_done(run, stage, folder);
  json plan = {{"stage", stage.name()}};
  if (missing.empty()) plan["folder"] = folder.folder().string();
  plan["complete"] = complete;
  if (!missing.empty()) plan["missing"] = missing;
  if (!run.assumed().empty()) plan["assumed"] = run.assumed();
  plan["reads"] = json::object();
  for (const std::string& name : stage.reads(run)) plan["reads"][name] = run.folder(name).complete();
  Needs needs = stage.needs(run);
  const Machine machine = machine_of(run);
  std::string refused;
  if (!complete) {
    refused = refusal_of(run, stage, folder);
    compare(needs, machine, stage.name(), refused.empty() ? std::optional(disk_before) : std::nullopt);
  }
  if (!refused.empty()) plan["refused"] = refused;
  if (!complete && missing.empty() && !std::filesystem::exists(folder.folder())) {
    const std::string nearest = nearest_other(run, stage);
    if (!nearest.empty()) plan["nearest"] = nearest;
  }
  plan["machine"] = config::to_json(machine);
  plan["needs"] = config::to_json(needs);
  return {{"plan", plan},
          {"text", plan_text(plan, missing_of(plan), needs, machine, run.config().run.dir)},
          {"own_text", plan_text(plan, {}, needs, machine, run.config().run.dir)},
          {"refused", refused},
          {"disk_bytes", complete ? 0 : needs.disk_bytes.value_or(0)},
          {"gpu_hours", complete || !needs.work ? 0.0 : needs.work->gpu_hours}};
}

}  // namespace

Plan plan_stage(Run& run, const Stage& stage, std::int64_t disk_before) {
  stage.look(run);
  run.find(stage);
  const json all = comm::from_root<json>(run.world(), [&] { return plan_on_root(run, stage, disk_before); });
  return {all.at("plan"),    all.at("text"),       all.at("own_text"),
          all.at("refused"), all.at("disk_bytes"), all.at("gpu_hours")};
}

std::string plans_text(const std::vector<Plan>& plans) {
  TextTable table({{"stage"}, {"state"}, {"disk", true}, {"one GPU", true}});
  std::int64_t disk = 0;
  double hours = 0;
  const auto disk_text = [](std::int64_t bytes) { return bytes > 0 ? human_bytes(bytes) : "-"; };
  const auto time_text = [](double gpu_hours) { return gpu_hours > 0 ? human_seconds(3600 * gpu_hours) : "-"; };
  for (const Plan& plan : plans) {
    const bool complete = plan.json.at("complete").get<bool>();
    table.row({plan.json.at("stage").get<std::string>(),
               complete               ? "complete"
               : plan.refused.empty() ? "to do"
                                      : "refused",
               disk_text(plan.disk_bytes), time_text(plan.gpu_hours)});
    disk += plan.disk_bytes;
    hours += plan.gpu_hours;
  }
  table.row({"together", "", disk_text(disk), time_text(hours)});
  std::string out = plans.empty() ? "" : missing_of(plans.front().json).text();
  if (!out.empty()) out += "\n";
  out += table.text() + "as far as it is known before the stages run\n";
  for (const Plan& plan : plans) out.append("\n").append(plan.own_text);
  return out;
}

void require_accepted(const std::vector<Plan>& plans) {
  for (const Plan& plan : plans) require(plan.refused.empty(), [&] { return plan.refused; });
}

}  // namespace rehyat::stages
