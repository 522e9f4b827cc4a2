#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "diffusion/samplers.h"

/// Samplers by the names and settings of diffusers.
namespace rehyat::diffusion {

/// The sampler, and the grid that goes with it, of a class name: diffusers' (UniPCMultistepScheduler,
/// FlowMatchEulerDiscreteScheduler, LTXEulerAncestralRFScheduler), the original's FlowUniPCMultistepScheduler, or ours
/// (unipc, euler, euler_ancestral), in any case. Throws UserError naming `where`.
SamplerConfig sampler_of_class(const std::string& name, const std::string& where);

/// A grid by our name or another's: diffusers; original, wan; flow_match, euler. Throws UserError naming `where`.
SigmaGrid sigma_grid_of(const std::string& name, const std::string& where);
std::string to_string(SigmaGrid grid);

/// The sampler that a pipeline's scheduler_config.json describes; steps keep their default. Throws UserError on
/// settings that change the result and are not supported, known or not.
SamplerConfig sampler_from_json(const nlohmann::ordered_json& json, const std::string& where);
/// The same from FOLDER/scheduler_config.json or the file itself.
SamplerConfig read_scheduler_config(const std::filesystem::path& path);

}  // namespace rehyat::diffusion
