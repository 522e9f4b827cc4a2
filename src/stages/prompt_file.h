#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace rehyat::stages {

/// The prompts of a text file, one a line; throws UserError where there is none.
std::vector<std::string> read_prompts(const std::filesystem::path& path);

}  // namespace rehyat::stages
