#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "stages/run.h"

/// Runs stages: finds each by its fingerprint, claims its folder, keeps log, time, settings and versions in it, marks
/// it complete, and leaves alone what is complete. All functions are collective.
namespace rehyat::stages {

/// One stage. Throws UserError, which names the command to run first, where a stage that it reads is not complete.
/// Returns the result with "seconds".
nlohmann::ordered_json run_stage(Run& run, const Stage& stage);

/// A result of run_stage as people read it: what was done, in which folder, in how much time, and what came out.
std::string result_text(const Stage& stage, const nlohmann::ordered_json& result, const std::filesystem::path& folder);

/// Whether there is nothing to do. On the rank that looks.
bool is_done(Run& run, const Stage& stage, const StageFolder& folder);

/// What `run` does for a config that names these sections: its goals and all that they read, each after what it reads.
std::vector<const Stage*> described_stages(Run& run, const std::set<std::string>& sections);

}  // namespace rehyat::stages
