#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "comm/communicator.h"

namespace rehyat::stages {

/// What a result may depend on besides config and seed: versions of the program and its libraries, compiler, ranks,
/// threads, machine and device.
nlohmann::ordered_json environment(const comm::Communicator& world, at::Device device);

/// Adds one start of a stage to `folder`/environment.json, a list with a date each; a start like the one before adds
/// nothing.
void record_environment(const std::filesystem::path& folder, const nlohmann::ordered_json& environment);

}  // namespace rehyat::stages
