#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "data/manifest.h"

namespace rehyat::pipeline {

/// Notes in the run's folder which prepared dataset belongs to a data section (see data::section_key), so that later
/// stages need not look at the videos again. Call on rank 0.
void remember_dataset(const std::filesystem::path& run_folder, const std::string& section,
                      const std::filesystem::path& dataset);

/// The identity that the manifest of that dataset carries; nothing where none was noted or it is gone. Throws UserError
/// for a damaged manifest.
std::optional<data::Identity> recall_dataset(const std::filesystem::path& run_folder, const std::string& section);

}  // namespace rehyat::pipeline
