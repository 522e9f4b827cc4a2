#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "stages/run.h"
#include "stages/stage.h"

/// What the stages of a run would do, for --dry-run. Nothing is touched.
namespace rehyat::stages {

/// What one stage would do. What stands in its way comes first: files that are missing, stages to run before, a
/// refusal, warnings.
struct Plan {
  /// {"stage", "folder": unless files are missing that decide its name, "complete", "missing": where there is anything,
  /// "assumed": the published model whose sizes were taken, "reads": {NAME: whether it is complete}, "refused": what
  /// the stage itself would say before it begins, "nearest": how the folder of another config that is most like it
  /// differs, "machine", "needs"}.
  nlohmann::ordered_json json;
  std::string text;             ///< the same for people
  std::string own_text;         ///< the same without the missing files, which are the same for all stages of a run
  std::string refused;          ///< empty where the stage would begin
  std::int64_t disk_bytes = 0;  ///< that it would write
  double gpu_hours = 0;         ///< that it would take
};

/// `disk_before`: bytes that the stages planned before it will write. Collective, and the same on all ranks.
Plan plan_stage(Run& run, const Stage& stage, std::int64_t disk_before = 0);

/// The plans of all stages of a run for people: missing files first, then what the stages take together, then each.
std::string plans_text(const std::vector<Plan>& plans);

/// Throws UserError with what the first of the plans that would be refused says, as the stage itself would.
void require_accepted(const std::vector<Plan>& plans);

}  // namespace rehyat::stages
