#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "distill/trajectories.h"
#include "stages/run.h"
#include "stages/stage.h"

/// The teacher's trajectories, which the stage `cache` stores and online distillation walks beside the students.
namespace rehyat::stages {

/// The settings of the `cache` section that decide the trajectories, with the lines of cache.prompts.
nlohmann::ordered_json trajectory_settings(Run& run);
/// The stages that the prompts come from; none where cache.prompts names a file, which needs no video.
std::vector<std::string> prompts_come_from(Run& run);
/// The entry of an identity that names the prompts: the fingerprint of the dataset; for the lines of a file, which
/// trajectory_settings holds, that of the text encoder.
std::pair<std::string, std::string> prompts_identity(Run& run);
/// How many prompts the teacher is run on. Throws UserError where they are too few to distil with.
std::size_t prompt_count(Run& run);
/// The prompts that the teacher is run on. Those of a file are encoded into the stage's folder, and the encoders'
/// weights freed. `command` stands in messages. Collective.
distill::Prompts teacher_prompts(Run& run, const StageFolder& folder, const std::string& command);
distill::TeacherWalk teacher_walk(Run& run, const models::VideoTransformer& teacher, distill::Prompts prompts);

}  // namespace rehyat::stages
