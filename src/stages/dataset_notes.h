#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "data/dataset/identity.h"
#include "data/dataset/manifest.h"

namespace rehyat::stages {

/// Notes in the run's folder which dataset was made of a data section (see data::section_key), so that later stages
/// need not look at the videos again, and find what was made from it when it is gone itself. Call on rank 0.
void remember_dataset(const std::filesystem::path& run_folder, const std::string& section,
                      const data::Identity& identity);

/// The identity that was noted; nothing where none was. Throws UserError for a damaged note.
std::optional<data::Identity> recall_dataset(const std::filesystem::path& run_folder, const std::string& section);

}  // namespace rehyat::stages
