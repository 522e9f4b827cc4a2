#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "files/marked_folder.h"

namespace rehyat::data {

using rehyat::Identity;

/// How the values of a dataset's identity are called where the user sets them, for identity_differences.
std::map<std::string, std::string> identity_names();

/// The folder of a prepared dataset. Its marker, manifest.json, holds {"shards", "text", "captions", "samples"} and,
/// with buckets, {"table"}.
MarkedFolder dataset_folder(const std::filesystem::path& folder, const Identity& identity);

}  // namespace rehyat::data
